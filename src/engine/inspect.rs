//! What an operator's command asks of the engine: one connection per question, and nothing kept open.

use super::docker::{alive, connect_fault};
use crate::model::{Container, EngineDetails, ProbeFault, RunningContainer, Survey};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout_at};

/// To connect is to risk starting an engine that somebody stopped: look at the unit first.
pub struct Inspector {
    socket: PathBuf,
    timeout: Duration,
}

impl Inspector {
    /// `timeout` bounds one question, connecting included.
    pub fn new(socket: PathBuf, timeout: Duration) -> Self {
        Self { socket, timeout }
    }

    /// `/_ping`, then `/info`: proof that the engine works.
    pub async fn prove(&self) -> Result<EngineDetails, ProbeFault> {
        let deadline = Instant::now() + self.timeout;
        let ping = self.get("/_ping", deadline).await?.ok_or(ProbeFault::PingTimeout(self.timeout))?;
        alive("/_ping", ping.0)?;
        let (status, body) = self.get("/info", deadline).await?.ok_or(ProbeFault::InfoTimeout(self.timeout))?;
        alive("/info", status)?;
        if status.is_client_error() {
            return Ok(EngineDetails { version: "of unknown version".to_owned(), ..EngineDetails::default() });
        }
        details(read("/info", &body)?)
    }

    /// The running containers.
    pub async fn containers(&self) -> Result<Vec<Container>, ProbeFault> {
        const PATH: &str = "/containers/json";
        let answer = self.get(PATH, Instant::now() + self.timeout).await?;
        let (status, body) = answer.ok_or_else(|| ProbeFault::Io(format!("no answer to {PATH}")))?;
        if !status.is_success() {
            return Err(ProbeFault::Status { path: PATH, status: status.as_u16() });
        }
        let listed: Vec<Listed> = read(PATH, &body)?;
        Ok(listed.into_iter().map(Listed::container).collect())
    }

    /// The running containers with their processes, and what a restart that loses none of them depends on.
    pub async fn survey(&self) -> Result<Survey, ProbeFault> {
        let info: Stance = self.ask("/info").await?;
        let mut containers = Vec::new();
        for container in self.containers().await? {
            let inspected: Inspected = self.ask(&format!("/containers/{}/json", container.id)).await?;
            let (pid, name) = (inspected.state.pid, inspected.name.trim_start_matches('/').to_owned());
            // one that ended just now has none
            if pid > 0 {
                containers.push(RunningContainer { id: container.id, name, pid, born: None });
            }
        }
        Ok(Survey { swarm: info.swarm.local_node_state, live_restore: info.live_restore_enabled, containers })
    }

    async fn ask<T: DeserializeOwned>(&self, path: &str) -> Result<T, ProbeFault> {
        const WHAT: &str = "a question about containers";
        let answer = self.get(path, Instant::now() + self.timeout).await?;
        let (status, body) = answer.ok_or_else(|| ProbeFault::Io(format!("no answer to {path}")))?;
        if !status.is_success() {
            return Err(ProbeFault::Status { path: WHAT, status: status.as_u16() });
        }
        read(WHAT, &body)
    }

    /// Nothing if there was no answer in time.
    async fn get(&self, path: &str, deadline: Instant) -> Result<Option<(StatusCode, Bytes)>, ProbeFault> {
        timeout_at(deadline, self.exchange(path)).await.map_or(Ok(None), |answer| answer.map(Some))
    }

    async fn exchange(&self, path: &str) -> Result<(StatusCode, Bytes), ProbeFault> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| connect_fault(&self.socket, &error))?;
        let (mut sender, driver) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| ProbeFault::Io(error.to_string()))?;
        let request = Request::get(path).header(HOST, "docker").body(Empty::<Bytes>::new());
        let request = request.map_err(|error| ProbeFault::Io(error.to_string()))?;
        let exchange = async move {
            let response = sender.send_request(request).await?;
            let status = response.status();
            Ok::<_, hyper::Error>((status, response.into_body().collect().await?.to_bytes()))
        };
        // the driver ends when the exchange drops the sender, or with the connection
        let (answer, _) = tokio::join!(exchange, driver);
        answer.map_err(|_| ProbeFault::Closed)
    }
}

fn read<T: DeserializeOwned>(path: &'static str, body: &[u8]) -> Result<T, ProbeFault> {
    serde_json::from_slice(body).map_err(|error| ProbeFault::Garbled { path, what: error.to_string() })
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Info {
    #[serde(rename = "ID")]
    id: String,
    server_version: String,
    containers_running: u32,
    live_restore_enabled: Option<bool>,
    containerd_commit: Commit,
    warnings: Option<Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Stance {
    live_restore_enabled: Option<bool>,
    swarm: Swarm,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Swarm {
    local_node_state: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    #[serde(default)]
    name: String,
    state: ProcessState,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ProcessState {
    #[serde(default)]
    pid: u32,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Commit {
    #[serde(rename = "ID")]
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
    #[serde(default)]
    names: Vec<String>,
    image: Option<String>,
}

impl Listed {
    fn container(self) -> Container {
        let name = self.names.first().map(|name| name.trim_start_matches('/').to_owned());
        Container { id: self.id, name, image: self.image }
    }
}

fn details(info: Info) -> Result<EngineDetails, ProbeFault> {
    // what 20.10 says while containerd.service is stopped
    if info.containerd_commit.id == "N/A" {
        return Err(ProbeFault::ContainerdGone);
    }
    Ok(EngineDetails {
        id: info.id,
        version: info.server_version,
        containers_running: info.containers_running,
        live_restore: info.live_restore_enabled,
        containerd: Some(info.containerd_commit.id).filter(|id| !id.is_empty()),
        warnings: info.warnings.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests;
