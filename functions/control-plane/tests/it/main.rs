//! The functions together: as roles of one program, what they ask Google for, and while their keys are rotated.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod permissions;
mod plane;
mod program;
mod rotation;
