//! The way to the agent on this host.

use super::exit::{self, Failure};
use crate::http::client::{Answer, Lines, LocalError, ask, follow};
use crate::model::report::{Report, SCHEMA};
use hyper::Method;
use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

const NAME: &str = "agent.sock";
const RUNTIME_DIRECTORY: &str = "/run/swarm-agent";

/// Below the directory that systemd makes for the service (RUNTIME_DIRECTORY), or where the packaged service has it.
pub fn default_socket() -> PathBuf {
    let given = std::env::var_os("RUNTIME_DIRECTORY").map(PathBuf::from).filter(|path| path.is_absolute());
    given.unwrap_or_else(|| RUNTIME_DIRECTORY.into()).join(NAME)
}

#[derive(clap::Args)]
pub struct LocalArgs {
    /// The agent's socket, if it is not the packaged service's
    #[arg(long, value_name = "PATH", env = "SWARM_AGENT_SOCKET")]
    socket: Option<PathBuf>,
    /// Give up after this long
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = super::positive_duration)]
    timeout: Duration,
}

impl LocalArgs {
    pub async fn ask(&self, method: Method, target: &str, body: String) -> Result<Answer, Failure> {
        let socket = self.socket.clone().unwrap_or_else(default_socket);
        let answer = ask(&socket, method, target, body, self.timeout).await.map_err(unanswered)?;
        checked(answer)
    }

    pub async fn report(&self) -> Result<Report, Failure> {
        let answer = self.ask(Method::GET, "/status", String::new()).await?;
        read_report(&answer.body)
    }

    /// The agent's reports: the first at once, then one at each change and every `pace`.
    pub async fn follow(&self, pace: Duration) -> Result<Reports, Failure> {
        let socket = self.socket.clone().unwrap_or_else(default_socket);
        let target = format!("/status?watch={}", pace.as_secs().max(1));
        let lines = follow(&socket, &target, self.timeout).await.map_err(unanswered)?;
        match lines.status {
            200 => Ok(Reports(lines)),
            _ => {
                let answer = lines.rest(self.timeout).await.map_err(unanswered)?;
                checked(answer).and(Err(Failure::other("the agent gave no reports")))
            }
        }
    }

    pub fn timeout(&self) -> Duration {
        self.timeout
    }
}

/// Reports as they come.
pub struct Reports(Lines);

impl Reports {
    /// Fails when the agent ends.
    /// Cancel-safe: what was read of a report is kept for the next call.
    pub async fn next(&mut self) -> Result<Report, Failure> {
        match self.0.next().await.map_err(unanswered)? {
            Some(line) => read_report(&line),
            None => Err(Failure { code: exit::UNAVAILABLE, text: Some("the agent ended".to_owned()) }),
        }
    }
}

fn read_report(body: &[u8]) -> Result<Report, Failure> {
    let report: Report = serde_json::from_slice(body).map_err(|error| other_version(&error))?;
    if report.schema == SCHEMA { Ok(report) } else { Err(other_version(&format_args!("schema {}", report.schema))) }
}

fn other_version(why: &dyn Display) -> Failure {
    Failure::other(format!("the agent that runs is of another version ({why}): systemctl restart swarm-agent"))
}

fn checked(answer: Answer) -> Result<Answer, Failure> {
    match answer.status {
        400 => Err(Failure { code: exit::FAILURE, text: Some(refusal(&answer)) }),
        403 => Err(Failure { code: exit::DENIED, text: Some(refusal(&answer)) }),
        404 | 405 => Err(other_version(&"it does not know this request")),
        500.. => Err(Failure { code: exit::UNAVAILABLE, text: Some(refusal(&answer)) }),
        _ => Ok(answer),
    }
}

fn unanswered(error: LocalError) -> Failure {
    let remedy = match &error {
        LocalError::Absent(_) => "; does it run? systemctl status swarm-agent",
        LocalError::Denied(_) => "; use sudo",
        LocalError::Timeout(_) => "; --timeout gives it longer, and journalctl -u swarm-agent tells what it does",
        LocalError::Failed { .. } => "",
    };
    let code = if matches!(error, LocalError::Denied(_)) { exit::DENIED } else { exit::UNAVAILABLE };
    Failure { code, text: Some(format!("{error}{remedy}")) }
}

/// What the agent says of a request that it did not carry out.
fn refusal(answer: &Answer) -> String {
    let said = serde_json::from_slice::<serde_json::Value>(&answer.body).ok();
    let text = said.as_ref().and_then(|said| said["error"].as_str());
    text.map_or_else(|| format!("the agent answered {}", answer.status), str::to_owned)
}
