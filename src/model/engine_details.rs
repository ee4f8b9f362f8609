//! What an operator wants to know of an engine, beyond whether it works.

/// The essentials of `/info`. Engines add and drop fields, so what may be missing is optional.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EngineDetails {
    pub id: String,
    pub version: String,
    pub containers_running: u32,
    pub live_restore: Option<bool>,
    /// The commit of the containerd that it talks to.
    pub containerd: Option<String>,
    pub warnings: Vec<String>,
}

/// What has to be known of an engine before a restart that loses no container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// `Swarm.LocalNodeState`; empty where the engine does not say.
    pub swarm: String,
    pub live_restore: Option<bool>,
    pub containers: Vec<RunningContainer>,
}

/// A container by its process, so that it can be told from one that was started anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningContainer {
    pub id: String,
    pub name: String,
    pub pid: u32,
    /// When its process began, in ticks of the kernel since the boot.
    pub born: Option<u64>,
}

/// A running container. Only an engine that answers knows its name and its image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Container {
    pub id: String,
    pub name: Option<String>,
    pub image: Option<String>,
}

impl Container {
    pub fn of_id(id: impl Into<String>) -> Self {
        Self { id: id.into(), name: None, image: None }
    }

    /// As `docker ps` shows it.
    pub fn short_id(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }
}
