//! Puts one script into the head of ComfyUI's page as it streams by. Pure.

use bytes::{Bytes, BytesMut};

/// The head must end within this much of the page, or the page goes by as it is.
const HEAD_BYTES_MAX: usize = 256 * 1024;
const HEAD_END: &[u8] = b"</head>";
/// What is put in. `defer`: it watches the page and must not hold it up.
pub(crate) const SCRIPT_TAG: &[u8] = br#"<script src="/_pilotlight/activity.js" defer></script>"#;

/// A page on its way, held back until its head has ended.
#[derive(Debug, Default)]
pub(crate) struct Injector {
    held: BytesMut,
    looked_at: usize,
    done: bool,
}

impl Injector {
    /// Takes the next piece of the page; gives what may go on, if anything may.
    pub(crate) fn push(&mut self, piece: Bytes) -> Option<Bytes> {
        if self.done {
            return Some(piece);
        }
        self.held.extend_from_slice(&piece);
        // The tag may have begun in the piece before.
        let from = self.looked_at.saturating_sub(HEAD_END.len() - 1);
        let found = self.held[from..].windows(HEAD_END.len()).position(|end| end.eq_ignore_ascii_case(HEAD_END));
        self.looked_at = self.held.len();
        if let Some(position) = found {
            let rest = self.held.split_off(from + position);
            self.held.extend_from_slice(SCRIPT_TAG);
            self.held.unsplit(rest);
        } else if self.held.len() < HEAD_BYTES_MAX {
            return None;
        }
        self.done = true;
        Some(self.held.split().freeze())
    }

    /// The page is over: gives what was still held.
    pub(crate) fn finish(&mut self) -> Option<Bytes> {
        self.done = true;
        let rest = self.held.split().freeze();
        (!rest.is_empty()).then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(pieces: &[&[u8]]) -> Vec<u8> {
        let mut injector = Injector::default();
        let mut out = Vec::new();
        for piece in pieces {
            out.extend(injector.push(Bytes::copy_from_slice(piece)).unwrap_or_default());
        }
        out.extend(injector.finish().unwrap_or_default());
        out
    }

    const PAGE: &[u8] = b"<!doctype html><html><head><title>ComfyUI</title></HEAD><body></head></body></html>";

    fn expected() -> Vec<u8> {
        let tag = SCRIPT_TAG;
        [b"<!doctype html><html><head><title>ComfyUI</title>", tag, b"</HEAD><body></head></body></html>"].concat()
    }

    #[test]
    fn the_script_stands_at_the_end_of_the_head_once() {
        assert_eq!(through(&[PAGE]), expected());
    }

    #[test]
    fn wherever_the_page_is_cut_the_result_is_the_same() {
        for cut in 0..=PAGE.len() {
            let (before, after) = PAGE.split_at(cut);
            assert_eq!(through(&[before, after]), expected(), "cut at {cut}");
        }
        let bytewise: Vec<&[u8]> = PAGE.chunks(1).collect();
        assert_eq!(through(&bytewise), expected());
    }

    #[test]
    fn a_page_without_a_head_goes_by_as_it_is() {
        let page = b"<p>nothing to see</hea";
        assert_eq!(through(&[page]), page);
        assert_eq!(through(&[]), b"");
    }

    #[test]
    fn a_head_that_does_not_end_is_held_back_only_so_far() {
        let mut injector = Injector::default();
        let piece = Bytes::from(vec![b' '; HEAD_BYTES_MAX / 2]);
        assert!(injector.push(piece.clone()).is_none());
        assert_eq!(injector.push(piece).map(|out| out.len()), Some(HEAD_BYTES_MAX));
        assert_eq!(injector.push(Bytes::from_static(b"</head>")).as_deref(), Some(&b"</head>"[..]));
    }
}
