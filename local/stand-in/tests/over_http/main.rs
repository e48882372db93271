//! The stand-in as a proxy or a browser meets it: over HTTP and WebSocket, on loopback.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod jobs;
mod keeping;
mod program;
mod quirks;
mod stage;
