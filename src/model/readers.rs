//! `status.readable-by`: who may read the agent's status.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Every user of the host.
    Everyone,
    /// Root and group `swarm-agent`.
    Group,
}

impl Readers {
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "everyone" => Self::Everyone,
            "group" => Self::Group,
            _ => return None,
        })
    }
}
