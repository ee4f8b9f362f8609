//! The way to the agent on this host.

use super::exit::{self, Failure};
use crate::http::client::{Answer, LocalError, ask};
use hyper::Method;
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
        match answer.status {
            403 => Err(Failure { code: exit::FAILURE, text: Some(refusal(&answer)) }),
            404 | 405 => {
                Err(Failure::other("the agent that runs is of another version: systemctl restart swarm-agent"))
            }
            500.. => Err(Failure { code: exit::UNAVAILABLE, text: Some(refusal(&answer)) }),
            _ => Ok(answer),
        }
    }
}

fn unanswered(error: LocalError) -> Failure {
    let remedy = match &error {
        LocalError::Absent(_) => "; does it run? systemctl status swarm-agent",
        LocalError::Denied(_) => "; use sudo",
        LocalError::Timeout(_) => "; --timeout gives it longer, and journalctl -u swarm-agent tells what it does",
        LocalError::Failed { .. } => "",
    };
    let code = if matches!(error, LocalError::Denied(_)) { exit::FAILURE } else { exit::UNAVAILABLE };
    Failure { code, text: Some(format!("{error}{remedy}")) }
}

/// What the agent says of a request that it did not carry out.
fn refusal(answer: &Answer) -> String {
    let said = serde_json::from_slice::<serde_json::Value>(&answer.body).ok();
    let text = said.as_ref().and_then(|said| said["error"].as_str());
    text.map_or_else(|| format!("the agent answered {}", answer.status), str::to_owned)
}
