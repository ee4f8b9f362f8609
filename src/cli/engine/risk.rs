//! The containers that a restart concerns: found without the engine, named by it where it answers.

use crate::engine::{Inspector, shims};
use crate::model::{Container, EngineDetails, UnitReport};
use crate::policy::operator_restart::{Situation, at_risk};
use crate::policy::operator_status::why_not_asked;
use crate::systemd::ManagerError;
use crate::systemd::manager::Manager;
use std::collections::BTreeMap;
use std::path::Path;

/// What a restart is decided on.
pub struct Scene {
    pub unit: UnitReport,
    pub containers: Vec<Container>,
    pub engine: Option<EngineDetails>,
}

impl Scene {
    pub async fn look(manager: &Manager, inspector: &Inspector, unit: &str) -> Result<Self, ManagerError> {
        let unit = manager.report(unit).await?;
        let scopes = manager.running("docker-*.scope").await?;
        let engine = match why_not_asked(&unit.state) {
            None => inspector.prove().await.ok(),
            Some(_) => None,
        };
        let named = match &engine {
            Some(_) => inspector.containers().await.unwrap_or_default(),
            None => Vec::new(),
        };
        // cgroup v1 has no scopes: Docker's own cgroup driver is the default there
        let ids = scopes.iter().filter_map(|scope| shims::of_scope(scope));
        let containers = merge(ids.chain(shims::running(Path::new("/proc"))), named);
        Ok(Self { unit, containers, engine })
    }

    pub fn count(&self) -> usize {
        let counted = self.engine.as_ref().map_or(0, |engine| engine.containers_running);
        self.containers.len().max(usize::try_from(counted).unwrap_or(usize::MAX))
    }

    pub fn live_restore(&self) -> Option<bool> {
        self.engine.as_ref().and_then(|engine| engine.live_restore)
    }

    pub fn situation(&self) -> Situation<'_> {
        Situation { unit: &self.unit.state, containers: self.count(), live_restore: self.live_restore() }
    }

    pub fn at_risk(&self) -> bool {
        at_risk(self.count(), self.live_restore())
    }
}

/// Each container once, with its name where the engine told it.
fn merge(ids: impl Iterator<Item = String>, named: Vec<Container>) -> Vec<Container> {
    let mut all: BTreeMap<String, Container> = ids.map(|id| (id.clone(), Container::of_id(id))).collect();
    all.extend(named.into_iter().map(|container| (container.id.clone(), container)));
    let mut containers: Vec<Container> = all.into_values().collect();
    containers.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    containers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_container_is_listed_once_and_by_name_where_it_is_known() {
        let ids = ["aa", "bb", "bb"].map(str::to_owned);
        let named = Container { id: "bb".into(), name: Some("web".into()), image: None };
        assert_eq!(merge(ids.into_iter(), vec![named.clone()]), [Container::of_id("aa"), named]);
    }
}
