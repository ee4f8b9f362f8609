//! `swarm-agent engine evidence`: what swarm-agent-evidence.service runs.
//!
//! It copies the last lines that the engine and containerd logged into the state directory, for whoever has no right to
//! read the journal. It takes no input: the units are the packaged ones, and which of their runs is meant, systemd knows.

use crate::cli::exit::Failure;
use crate::state::{EVIDENCE, copy_evidence};
use crate::systemd::manager::Manager;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

const LINES: &str = "200";
const LIMIT: Duration = Duration::from_secs(5);

/// Copy what the engine and containerd logged last into the state directory
#[derive(clap::Args)]
pub struct Evidence {}

impl Evidence {
    pub fn run(self) -> Result<(), Failure> {
        let Some(directory) = std::env::var_os("STATE_DIRECTORY").map(PathBuf::from) else {
            return Err(Failure::usage("this is for swarm-agent-evidence.service: systemctl start it".to_owned()));
        };
        crate::cli::runtime()?.block_on(async {
            let manager = Manager::connect().await.map_err(Failure::other)?;
            for (unit, name) in EVIDENCE {
                let text = match manager.report(unit).await {
                    Ok(report) => logged(&report.invocation).await,
                    Err(error) => format!("{unit}: {error}\n"),
                };
                copy_evidence(&directory, name, &text).map_err(Failure::other)?;
            }
            Ok(())
        })
    }
}

/// What one run of a unit logged last.
async fn logged(invocation: &[u8]) -> String {
    if invocation.is_empty() {
        return "it did not run in this boot\n".to_owned();
    }
    let id: String = invocation.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut command = Command::new("journalctl");
    command.args(["--no-pager", "--quiet", "--output=short-iso-precise", "--lines", LINES]);
    command.arg(format!("_SYSTEMD_INVOCATION_ID={id}")).arg("+").arg(format!("INVOCATION_ID={id}"));
    command.stdin(Stdio::null()).kill_on_drop(true);
    match timeout(LIMIT, command.output()).await {
        Ok(Ok(output)) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
        Ok(Ok(output)) => format!("journalctl: {}\n", String::from_utf8_lossy(&output.stderr).trim()),
        Ok(Err(error)) => format!("journalctl can't be run: {error}\n"),
        Err(_) => format!("journalctl did not end within {}\n", humantime::format_duration(LIMIT)),
    }
}
