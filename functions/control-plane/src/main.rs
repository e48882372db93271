//! The three functions and their tools in one program: what it does, the name it is started under says, or else its
//! first word. It is what the image holds; each function by itself is `cargo run -p auth`, `lifecycle` or `reaper`.

use std::process::ExitCode;

use service::config::Told;
use service::process::{complain, say};

/// What a function does as a process.
type Main = fn(&Told) -> ExitCode;

/// The functions, by their names.
const ROLES: [(&str, Main); 3] =
    [("auth", auth::process::main), ("lifecycle", lifecycle::process::main), ("reaper", reaper::process::main)];
/// Checks what a function would be told, in place of starting it.
const CHECK_CONFIG: &str = "check-config";

fn main() -> ExitCode {
    act(&Told::new(std::env::args_os(), std::env::vars_os()))
}

/// A function by the program's own name; otherwise a function or a tool by the first word.
fn act(told: &Told) -> ExitCode {
    if let Some(main) = role(told.program()) {
        return main(told);
    }
    let Some(word) = told.first() else { return refuse("found no word") };
    if let Some(main) = role(word) {
        return main(&told.rest());
    }
    match word {
        CHECK_CONFIG => check_config(&told.rest()),
        "--help" | "-h" | "help" => {
            // Whoever does not read it has asked for nothing else.
            let _ = say(&usage());
            ExitCode::SUCCESS
        }
        tool if auth::process::TOOLS.iter().any(|(name, _)| *name == tool) => auth::process::main(told),
        other => refuse(&format!("found {other:?}")),
    }
}

fn role(name: &str) -> Option<Main> {
    ROLES.iter().find(|(known, _)| *known == name).map(|(_, main)| *main)
}

fn check_config(told: &Told) -> ExitCode {
    match told.first().and_then(role) {
        Some(main) => main(&told.rest().with_first("--check-config")),
        None => refuse("check-config: found no function to check"),
    }
}

fn refuse(found: &str) -> ExitCode {
    let names: Vec<&str> = ROLES.iter().map(|(name, _)| *name).collect();
    complain("control-plane", format!("{found}; expected {}, or a tool: see control-plane --help", names.join(", ")));
    ExitCode::FAILURE
}

fn usage() -> String {
    let mut text = "The functions of Pilotlight's control plane, and their tools.\n\n\
         control-plane auth | lifecycle | reaper   serve; `control-plane auth --help` lists what auth must be told\n\
         control-plane check-config FUNCTION       check what the function would be told, and tell how it would be used\n"
        .to_owned();
    for (tool, what) in auth::process::TOOLS {
        text += &format!("control-plane {tool:<28}{what}\n");
    }
    text + "\nStarted as `auth`, `lifecycle` or `reaper` (a link to it), the program is that function.\n"
}
