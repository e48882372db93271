//! A client that costs as little as one can: a socket, a buffer, and no more of HTTP than the bench needs.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::neighbours::{LONG, SINK, SMALL, SMALL_BODY};
use crate::pace::LongBody;

const BUFFER_BYTES: usize = 256 * 1024;
/// No answer of the bench takes longer, on a slow machine.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Whom to ask, and with what cookie.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    pub(crate) cookie: String,
}

/// One kept connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    /// What stands in every request beside its first line.
    fields: String,
    buffer: Vec<u8>,
}

/// The head of an answer, and how much of its body came with it.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    text: String,
    body_start: usize,
    body_end: usize,
}

impl Head {
    /// A field, by its name in lower case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.text.lines().skip(1).filter_map(|line| line.split_once(": "));
        fields.find_map(|(this, value)| this.eq_ignore_ascii_case(name).then_some(value))
    }

    fn length(&self) -> u64 {
        self.field("content-length").unwrap().parse().unwrap()
    }
}

impl Client {
    pub(crate) fn open(&self) -> Connection {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(ANSWER_WITHIN)).unwrap();
        let cookie = if self.cookie.is_empty() { String::new() } else { format!("cookie: {}\r\n", self.cookie) };
        let fields = format!("host: {}\r\n{cookie}", self.address);
        Connection { stream, fields, buffer: vec![0; BUFFER_BYTES] }
    }
}

impl Connection {
    /// Asks for something without a body; gives the head of the answer.
    pub(crate) fn get(&mut self, path: &str) -> Head {
        let request = format!("GET {path} HTTP/1.1\r\n{}\r\n", self.fields);
        self.stream.write_all(request.as_bytes()).unwrap();
        self.head()
    }

    pub(crate) fn ask_small(&mut self) {
        let head = self.get(SMALL);
        assert_eq!((head.status, head.length()), (200, SMALL_BODY.len() as u64));
        self.take_body(&head);
    }

    pub(crate) fn download(&mut self, body: LongBody) {
        let head = self.get(&format!("{LONG}?{}", body.query()));
        assert_eq!((head.status, head.length()), (200, body.bytes));
        self.take_body(&head);
    }

    pub(crate) fn upload(&mut self, body: LongBody) {
        let head = format!("POST {SINK} HTTP/1.1\r\n{}content-length: {}\r\n\r\n", self.fields, body.bytes);
        self.stream.write_all(head.as_bytes()).unwrap();
        let mut pace = body.begin();
        while pace.left() > 0 {
            let piece = pace.next(self.buffer.len());
            self.stream.write_all(&self.buffer[..piece]).unwrap();
            std::thread::sleep(pace.ahead());
        }
        let head = self.head();
        assert_eq!(head.status, 200);
        self.take_body(&head);
        let taken = std::str::from_utf8(&self.buffer[head.body_start..head.body_end]).unwrap();
        assert_eq!(taken, body.bytes.to_string(), "the bytes that arrived");
    }

    fn head(&mut self) -> Head {
        let mut filled = 0;
        // Ends with the head, with the connection, or when the buffer is full and nothing can be read.
        loop {
            let read = self.stream.read(&mut self.buffer[filled..]).unwrap();
            assert!(read > 0, "the connection ended in the head of an answer");
            filled += read;
            if let Some(end) = self.buffer[..filled].windows(4).position(|end| end == b"\r\n\r\n") {
                let text = String::from_utf8(self.buffer[..end].to_vec()).unwrap();
                let status = text.split(' ').nth(1).unwrap().parse().unwrap();
                return Head { status, text, body_start: end + 4, body_end: filled };
            }
        }
    }

    /// Reads what has not come with the head; short bodies stay in the buffer if they came whole.
    fn take_body(&mut self, head: &Head) {
        let mut left = head.length() - (head.body_end - head.body_start) as u64;
        while left > 0 {
            let read = self.stream.read(&mut self.buffer).unwrap();
            assert!(read > 0, "the connection ended in a body");
            left -= read as u64;
        }
    }
}
