//! Watches WebSocket bytes from a browser go by, and tells a person's messages from the protocol's own. Pure.
//!
//! The bytes are not changed, held or judged: a stream that is no WebSocket only makes the watch count wrongly.
//! Frames as in RFC 6455 §5.2. The gateway asks for no compression (see `headers`), so a message can be read here.

/// Opcodes of RFC 6455 §11.8; from 8 on they are control frames: close, ping, pong.
const CONTINUATION: u8 = 0;
const CONTROL_FROM: u8 = 8;
/// So much of a message is looked at to know the page's greeting.
const GREETING_LOOKED_AT: usize = 48;
/// ComfyUI's page sends this by itself each time it connects, without anybody there.
const GREETING: &[u8] = b"feature_flags";

/// Where in the stream of frames we are.
#[derive(Debug, Default)]
pub(crate) struct FrameWatch {
    /// As much of the next header as has come.
    header: Vec<u8>,
    frame: Frame,
    message: Message,
    /// How the current message begins, while it is unsure what it is.
    opening: Vec<u8>,
}

/// The frame that goes by.
#[derive(Debug, Default)]
struct Frame {
    fin: bool,
    opcode: u8,
    mask: Option<[u8; 4]>,
    to_come: u64,
    gone_by: u64,
}

/// What the current message is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Message {
    /// Too little of it has come to say.
    #[default]
    Unsure,
    Greeting,
    Persons,
}

impl FrameWatch {
    /// Takes the next bytes; true when some of them belong to a person's message.
    pub(crate) fn saw(&mut self, mut bytes: &[u8]) -> bool {
        let mut persons = false;
        // Each turn takes at least one byte.
        while let [first, rest @ ..] = bytes {
            if self.frame.to_come > 0 {
                bytes = self.take_payload(bytes, &mut persons);
                continue;
            }
            bytes = rest;
            self.header.push(*first);
            if let Some(frame) = Frame::parse(&self.header) {
                self.header.clear();
                persons |= self.begin(frame);
            }
        }
        persons
    }

    /// True when the frame, by its header alone, belongs to a person's message.
    fn begin(&mut self, frame: Frame) -> bool {
        self.frame = frame;
        // A control frame may come between the frames of a message, and does not end it.
        if self.frame.is_control() {
            return false;
        }
        if self.frame.opcode != CONTINUATION {
            self.opening.clear();
            self.message = Message::Unsure;
        }
        self.frame.to_come == 0 && self.decide_when_clear()
    }

    fn take_payload<'a>(&mut self, bytes: &'a [u8], persons: &mut bool) -> &'a [u8] {
        let here = usize::try_from(self.frame.to_come).unwrap_or(usize::MAX).min(bytes.len());
        let (payload, rest) = bytes.split_at(here);
        if !self.frame.is_control() && self.message == Message::Unsure {
            let missing = GREETING_LOOKED_AT.saturating_sub(self.opening.len());
            for (at, byte) in (self.frame.gone_by..).zip(&payload[..missing.min(here)]) {
                let mask = self.frame.mask.map_or(0, |mask| mask[(at % 4) as usize]);
                self.opening.push(byte ^ mask);
            }
        }
        self.frame.to_come -= here as u64;
        self.frame.gone_by += here as u64;
        *persons |= !self.frame.is_control() && self.decide_when_clear();
        rest
    }

    /// Says what the message is once enough of it has come; true when it is a person's.
    fn decide_when_clear(&mut self) -> bool {
        let whole = self.frame.fin && self.frame.to_come == 0;
        if self.message == Message::Unsure && (whole || self.opening.len() >= GREETING_LOOKED_AT) {
            let greets = self.opening.windows(GREETING.len()).any(|window| window == GREETING);
            self.message = if greets { Message::Greeting } else { Message::Persons };
        }
        self.message == Message::Persons
    }
}

impl Frame {
    /// The frame whose header these bytes are, once all of it is there.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let [first, second, rest @ ..] = bytes else { return None };
        let (to_come, rest) = match second & 0x7f {
            126 => (u64::from(u16::from_be_bytes(*rest.first_chunk()?)), &rest[2..]),
            127 => (u64::from_be_bytes(*rest.first_chunk()?), &rest[8..]),
            short => (u64::from(short), rest),
        };
        let mask = if second & 0x80 == 0 { None } else { Some(*rest.first_chunk::<4>()?) };
        Some(Self { fin: first & 0x80 != 0, opcode: first & 0x0f, mask, to_come, gone_by: 0 })
    }

    fn is_control(&self) -> bool {
        self.opcode >= CONTROL_FROM
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: u8 = 1;
    const BINARY: u8 = 2;
    const PING: u8 = 9;
    const PONG: u8 = 10;

    fn frame(fin: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![if fin { 0x80 } else { 0 } | opcode];
        match payload.len() {
            short @ ..126 => bytes.push(0x80 | u8::try_from(short).unwrap_or(0)),
            middle @ ..65536 => {
                bytes.push(0x80 | 126);
                bytes.extend(u16::try_from(middle).unwrap_or(0).to_be_bytes());
            }
            long => {
                bytes.push(0x80 | 127);
                bytes.extend((long as u64).to_be_bytes());
            }
        }
        let mask = [0x11, 0x22, 0x33, 0x44];
        bytes.extend(mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    const HELLO: &[u8] = br#"{"type":"feature_flags","data":{"supports_preview_metadata":true}}"#;

    /// Fed whole, and byte by byte: which frames were a person's must not hang on how they were cut.
    fn saw(frames: &[Vec<u8>]) -> bool {
        let all = frames.concat();
        let whole = FrameWatch::default().saw(&all);
        let mut watch = FrameWatch::default();
        let mut bytewise = false;
        for byte in &all {
            bytewise |= watch.saw(std::slice::from_ref(byte));
        }
        assert_eq!(whole, bytewise);
        whole
    }

    #[test]
    fn pings_and_pongs_are_nobody() {
        assert!(!saw(&[frame(true, PING, b"are you there"), frame(true, PONG, b""), frame(true, PONG, &[7; 125])]));
    }

    #[test]
    fn the_greeting_of_a_page_that_connects_is_nobody() {
        assert!(!saw(&[frame(true, TEXT, HELLO)]));
    }

    #[test]
    fn a_message_is_a_person_long_or_short() {
        for payload in [b"x".to_vec(), vec![b'x'; 47], vec![b'x'; 48], vec![b'x'; 200], vec![b'x'; 70_000], vec![]] {
            assert!(saw(&[frame(true, TEXT, &payload)]), "{}", payload.len());
            assert!(saw(&[frame(true, BINARY, &payload)]), "{}", payload.len());
        }
    }

    #[test]
    fn a_message_after_greeting_and_pong_is_a_person() {
        assert!(saw(&[frame(true, TEXT, HELLO), frame(true, PONG, b"p"), frame(true, TEXT, b"{\"type\":\"run\"}")]));
    }

    #[test]
    fn a_ping_inside_a_message_does_not_end_it() {
        let mut watch = FrameWatch::default();
        assert!(watch.saw(&frame(false, BINARY, &[1; 100])));
        assert!(!watch.saw(&frame(true, PING, &[2; 100])));
        assert!(watch.saw(&frame(true, CONTINUATION, &[3; 100])));
    }

    #[test]
    fn bytes_that_are_no_websocket_do_no_harm() {
        let noise: Vec<u8> = (0..100_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for cut in [1, 7, 4096] {
            let mut watch = FrameWatch::default();
            for piece in noise.chunks(cut) {
                watch.saw(piece);
            }
            // Two bytes, eight of extended length, four of mask.
            assert!(watch.header.len() < 14 && watch.opening.len() <= GREETING_LOOKED_AT);
        }
    }
}
