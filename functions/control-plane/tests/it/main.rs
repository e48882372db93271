//! The functions together: as roles of one program, and while their keys are rotated.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod plane;
mod program;
mod rotation;
