//! `machines`: real machines for trying swarm-agent out, and the helper processes of the end-to-end tests.

mod args;
mod demo;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match demo::run(args::Args::parse().command) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("machines: {e:#}");
            ExitCode::FAILURE
        }
    }
}
