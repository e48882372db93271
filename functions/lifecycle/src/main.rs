//! The program: reads the environment and the command line; what it does with them, `process.rs` says.

use std::process::ExitCode;

use service::config::Told;

fn main() -> ExitCode {
    lifecycle::process::main(&Told::new(std::env::args_os(), std::env::vars_os()))
}
