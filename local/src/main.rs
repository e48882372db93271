//! `cargo run`: Pilotlight on one machine. The page, the three functions and a pocket Google Cloud, all on loopback.
//!
//! Everything here stands in for Google's side, or puts the parts together. Nothing here runs on Cloud Run or on a VM.

mod args;
mod children;
mod cloud;
mod emulators;
mod environment;
mod front;
mod functions;
mod machines;
mod names;
mod panel;
mod pocket;
mod ports;
mod process_group;
mod processes;
mod pubsub;
mod scheduler;
mod three_processes;

use clap::Parser;
use service::{LogFormat, init_logs};

/// What is started: the pocket cloud, or one of the processes of its VMs.
#[derive(Parser)]
#[command(name = "pilotlight", version, about, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    args: args::Args,
    #[command(subcommand)]
    process: Option<children::Process>,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    init_logs(LogFormat::Human, &cli.args.log_filter)?;
    let runtime = tokio::runtime::Runtime::new()?;
    match cli.process {
        Some(process) => runtime.block_on(children::run(process)),
        None => runtime.block_on(pocket::run(cli.args)),
    }
}
