//! The gateway as browsers, ComfyUI, lifecycle and the metadata server meet it: over HTTP, on loopback.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod checks;
mod comfyui;
mod control_plane;
mod entering;
mod heartbeats;
mod kept_queue;
mod kept_queue_falls;
mod last_resort;
mod our_pages;
mod proxying;
mod sockets;
mod stand_in;
mod uses;
mod world;
