//! `cargo run`: the pocket cloud, or one of the processes of its VMs.

use clap::Parser;
use local::{args, children, pocket};
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
