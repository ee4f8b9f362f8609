//! The command line: one file per command. Everything that prints lives here.

mod check_config;
mod completion;
pub mod config_args;
mod connect;
mod create;
mod credential_args;
mod discovery_args;
mod drain;
mod engine;
mod exit;
mod explain;
mod join;
mod list;
mod list_format;
mod list_long;
mod local;
mod log;
mod log_args;
mod metrics;
mod notify;
mod reload;
mod run;
mod serve;
mod show_config;
mod status;
mod table;
mod token;
mod watch;
mod why;
mod words;

use crate::model::Timeouts;
use clap::{CommandFactory, Parser, Subcommand};
use exit::Failure;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::Duration;

#[derive(Parser)]
#[command(name = "swarm-agent", version, about, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    log: log_args::LogArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Run),
    Serve(serve::Serve),
    Status(status::Status),
    Why(why::Why),
    Drain(drain::Drain),
    Undrain(drain::Undrain),
    Metrics(metrics::Metrics),
    Reload(reload::Reload),
    Create(create::Create),
    Token(token::Token),
    List(list::List),
    Watch(watch::Watch),
    Join(join::Join),
    CheckConfig(check_config::CheckConfig),
    ShowConfig(show_config::ShowConfig),
    Completion(completion::Completion),
    Engine(engine::Engine),
}

/// Parses the command line, runs one command, and says how it went.
pub fn main() -> ExitCode {
    let outcome = match parse() {
        Ok(cli) => match cli.command {
            Command::Run(run) => run.run(&cli.log),
            Command::Serve(serve) => serve.run(&cli.log),
            Command::Status(status) => status.run(),
            Command::Why(why) => why.run(),
            Command::Drain(drain) => drain.run(),
            Command::Undrain(undrain) => undrain.run(),
            Command::Metrics(metrics) => metrics.run(),
            Command::Reload(reload) => reload.run(),
            Command::Create(create) => create.run(),
            Command::Token(token) => token.run(),
            Command::List(list) => list.run(),
            Command::Watch(watch) => watch.run(),
            Command::Join(join) => join.run(&cli.log),
            Command::CheckConfig(check) => check.run(),
            Command::ShowConfig(show) => show.run(),
            Command::Completion(completion) => completion.run(Cli::command()),
            Command::Engine(engine) => engine.run(),
        },
        Err(error) => return exit::usage(&error),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, text: Some(text) }) => {
            remark(&format!("error: {text}"));
            ExitCode::from(code)
        }
        Err(Failure { code, text: None }) => ExitCode::from(code),
    }
}

/// `swarm-agent run` as the unit starts it has nothing to parse, and what a parser needs would stay in the agent's memory.
fn parse() -> Result<Cli, clap::Error> {
    let bare = std::env::args_os().skip(1).eq(["run"]);
    if bare && config_args::VARIABLES.iter().all(|name| std::env::var_os(name).is_none()) {
        return Ok(Cli { log: log_args::LogArgs::default(), command: Command::Run(run::Run::default()) });
    }
    Cli::try_parse()
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::other)
}

/// A server that can be reached at all answers a connection well before a list is complete.
fn timeouts(total: Duration) -> Timeouts {
    Timeouts { connect: total.min(Duration::from_secs(5)), total }
}

/// A duration of the command line; nothing is done in no time.
fn positive_duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("it must be more than 0".to_owned()),
        Ok(duration) => Ok(duration),
        Err(_) => Err("write it like 10s or 500ms".to_owned()),
    }
}

/// Writes a command's result. A reader that has seen enough (`| head`) is no failure.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::other(error)),
        _ => Ok(()),
    }
}

/// Whether the reader of our output has gone (`| head -1`), also when there is nothing to write.
fn deserted() -> bool {
    let out = std::io::stdout();
    let _ = out.lock().flush();
    let mut fds = [PollFd::new(out.as_fd(), PollFlags::empty())];
    let gone = PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL;
    poll(&mut fds, PollTimeout::ZERO).is_ok() && fds[0].revents().is_some_and(|seen| seen.intersects(gone))
}

/// Says something beside the result.
fn remark(text: &str) {
    // a closed stderr leaves nobody to tell
    let _ = writeln!(std::io::stderr(), "swarm-agent: {text}");
}
