//! How long a body is, and how fast it may go.

use std::time::{Duration, Instant};

/// A body to send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LongBody {
    pub(crate) bytes: u64,
    /// `None` for as fast as it goes.
    pub(crate) bytes_per_second: Option<u64>,
}

/// A body on its way.
#[derive(Debug)]
pub(crate) struct Pace {
    body: LongBody,
    begun: Instant,
    sent: u64,
}

impl LongBody {
    /// From the query of a request.
    pub(crate) fn parse(query: &str) -> Self {
        let (bytes, rate) = query.split_once('@').unwrap();
        Self { bytes: bytes.parse().unwrap(), bytes_per_second: rate.parse().ok() }
    }

    /// The query of a request for it.
    pub(crate) fn query(self) -> String {
        format!("{}@{}", self.bytes, self.bytes_per_second.map(|rate| rate.to_string()).unwrap_or_default())
    }

    pub(crate) fn begin(self) -> Pace {
        Pace { body: self, begun: Instant::now(), sent: 0 }
    }
}

impl Pace {
    pub(crate) fn left(&self) -> u64 {
        self.body.bytes - self.sent
    }

    /// Length of the next piece, of at most `longest` bytes; 0 at the end.
    pub(crate) fn next(&mut self, longest: usize) -> usize {
        let piece = usize::try_from(self.left()).unwrap_or(usize::MAX).min(longest);
        self.sent += piece as u64;
        piece
    }

    /// How long to wait before the next piece.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub(crate) fn ahead(&self) -> Duration {
        let Some(rate) = self.body.bytes_per_second else { return Duration::ZERO };
        let due = Duration::from_secs_f64(self.sent as f64 / rate as f64);
        due.saturating_sub(self.begun.elapsed())
    }
}
