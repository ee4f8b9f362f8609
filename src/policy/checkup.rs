//! What `check-config --connect` makes of what it found: how bad it is, and what to do.

use super::gate::may_connect;
use crate::model::{self, Access, ActiveState, AddressState, AdvertiseCheck, EngineInfo, LoadState, ProbeFault, Reach};
use crate::model::{UnitState, UnitView};
use std::path::Path;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    Ok,
    /// Works, or will; somebody may want to know.
    Warn,
    Fail,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at, in a word or two.
    pub subject: &'static str,
    pub grade: Grade,
    pub says: String,
    pub remedy: Option<String>,
}

impl Grade {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

impl Finding {
    pub fn ok(subject: &'static str, says: impl Into<String>) -> Self {
        Self { subject, grade: Grade::Ok, says: says.into(), remedy: None }
    }

    pub fn warn(subject: &'static str, says: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { subject, grade: Grade::Warn, says: says.into(), remedy: Some(remedy.into()) }
    }

    pub fn fail(subject: &'static str, says: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { subject, grade: Grade::Fail, says: says.into(), remedy: Some(remedy.into()) }
    }
}

/// The system bus, and the engine's unit if the bus answers.
pub fn unit(name: &str, view: &UnitView) -> Vec<Finding> {
    match view {
        UnitView::Unknown(why) => vec![Finding::fail(
            "system bus",
            why.as_str(),
            "the agent needs systemd and its bus: systemctl status dbus; nothing is registered without them",
        )],
        UnitView::Known(state) => {
            vec![Finding::ok("system bus", "systemd answers"), unit_state(name, state)]
        }
    }
}

fn unit_state(name: &str, unit: &UnitState) -> Finding {
    let warn = |says: String, remedy: String| Finding::warn("unit", says, remedy);
    let logs = || format!("journalctl -u {name} says why; nothing is registered until it runs");
    match (unit.load, unit.active) {
        (_, ActiveState::Active | ActiveState::Reloading) => Finding::ok("unit", format!("{name} is {}", unit.active)),
        (LoadState::NotFound, _) => {
            warn(format!("systemd knows no {name}"), "install Docker, or set engine.unit to its unit".to_owned())
        }
        (LoadState::Masked, _) => warn(
            format!("{name} is masked"),
            format!("systemctl unmask {name} lets it run again; nothing is registered until then"),
        ),
        (_, ActiveState::Inactive) => warn(
            format!("{name} is stopped"),
            format!("systemctl start {name} when it should run: we never start it, and register nothing until then"),
        ),
        (_, ActiveState::Failed) => warn(format!("{name} has failed"), logs()),
        (_, state) => warn(format!("{name} is {state} ({})", unit.sub), logs()),
    }
}

/// Whether the engine may be asked: never while a connection could start it.
pub fn may_ask(view: &UnitView) -> bool {
    matches!(view, UnitView::Known(state) if may_connect(state))
}

pub fn socket(path: &Path, access: &Access, user: &str) -> Finding {
    let shown = path.display();
    let subject = "engine socket";
    match access {
        Access::Usable => Finding::ok(subject, format!("{shown} may be opened by {user}")),
        Access::Missing => Finding::warn(
            subject,
            format!("{shown} does not exist"),
            "start Docker (docker.socket), or set engine.socket to where it listens",
        ),
        Access::WrongKind(what) => {
            Finding::fail(subject, format!("{shown} is {what}, not a socket"), "set engine.socket to Docker's socket")
        }
        Access::Denied => Finding::fail(
            subject,
            format!("{shown} may not be opened by {user}"),
            "the service is in group docker; try: sudo -u swarm-agent swarm-agent check-config --connect",
        ),
        Access::Failed(why) => {
            Finding::fail(subject, format!("{shown}: {why}"), "set engine.socket to Docker's socket")
        }
    }
}

/// `None` if it was not asked.
pub fn engine(answer: Option<&Result<EngineInfo, ProbeFault>>) -> Finding {
    match answer {
        Some(Ok(info)) => {
            let plural = if info.containers_running == 1 { "" } else { "s" };
            Finding::ok("engine", format!("{} answers, {} container{plural}", info.version, info.containers_running))
        }
        Some(Err(fault)) => Finding::fail(
            "engine",
            fault.to_string(),
            "nothing is registered while the engine does not answer: docker info, journalctl -u docker",
        ),
        None => Finding::warn(
            "engine",
            "not asked",
            "it is asked only while its unit is active: a connection to its socket could start it",
        ),
    }
}

/// Where there is none to ask.
pub fn no_address(state: &AddressState) -> Finding {
    Finding::warn("advertised", state.to_string(), "the agent waits for it, or set discovery.advertise")
}

pub fn advertised(reach: &Reach, check: AdvertiseCheck) -> Finding {
    const SUBJECT: &str = "advertised";
    let Reach { address, finding } = reach;
    if *finding == model::Finding::Proved {
        return Finding::ok(SUBJECT, format!("this engine answers at {address}"));
    }
    let text = finding.to_string();
    let (says, remedy) = text.split_once("; ").unwrap_or((&text, "see \"Open the engine's port\" in the README"));
    let says = format!("{says} ({address})");
    match check {
        AdvertiseCheck::Require => {
            Finding::fail(SUBJECT, says, format!("{remedy}; discovery.advertise-check = \"require\" waits for it"))
        }
        AdvertiseCheck::Warn | AdvertiseCheck::Off => Finding::warn(SUBJECT, says, remedy),
    }
}

pub fn state_directory(path: &Path, access: &Access, user: &str) -> Finding {
    let shown = path.display();
    let subject = "state directory";
    let service = "try as the user of the service, swarm-agent or swarm-discovery: sudo -u USER";
    match access {
        Access::Usable => Finding::ok(subject, format!("{shown} may be written by {user}")),
        Access::Missing => Finding::warn(
            subject,
            format!("{shown} does not exist yet"),
            "systemd makes the default one when the service starts; make another one yourself",
        ),
        Access::WrongKind(what) => {
            Finding::fail(subject, format!("{shown} is {what}, not a directory"), "move it away")
        }
        Access::Denied => Finding::fail(subject, format!("{shown} may not be written by {user}"), service),
        Access::Failed(why) => {
            Finding::fail(subject, format!("{shown}: {why}"), "mount its file system so that it can be written")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Job, JobKind};

    fn state(load: LoadState, active: ActiveState) -> UnitState {
        UnitState { load, active, sub: String::new(), job: None }
    }

    #[test]
    fn every_state_of_the_unit_has_a_grade_and_a_remedy() {
        for (load, active, grade, word) in [
            (LoadState::Loaded, ActiveState::Active, Grade::Ok, "active"),
            (LoadState::Loaded, ActiveState::Inactive, Grade::Warn, "stopped"),
            (LoadState::Masked, ActiveState::Inactive, Grade::Warn, "masked"),
            (LoadState::NotFound, ActiveState::Inactive, Grade::Warn, "knows no"),
            (LoadState::Loaded, ActiveState::Failed, Grade::Warn, "failed"),
            (LoadState::Loaded, ActiveState::Activating, Grade::Warn, "activating"),
        ] {
            let found = unit("docker.service", &UnitView::Known(state(load, active)));
            let [bus, unit] = &found[..] else { panic!("{found:?}") };
            assert_eq!((bus.grade, unit.grade), (Grade::Ok, grade), "{unit:?}");
            assert!(unit.says.contains(word), "{unit:?}");
            assert_eq!(unit.remedy.is_some(), grade != Grade::Ok);
        }
        let found = unit("docker.service", &UnitView::Unknown("no bus".into()));
        assert!(matches!(&found[..], [bus] if bus.grade == Grade::Fail && bus.says == "no bus"));
    }

    #[test]
    fn an_engine_that_could_be_started_is_not_asked() {
        let stopping = UnitState {
            job: Some(Job { id: 1, kind: JobKind::Stop }),
            ..state(LoadState::Loaded, ActiveState::Active)
        };
        for (view, ask) in [
            (UnitView::Known(state(LoadState::Loaded, ActiveState::Active)), true),
            (UnitView::Known(state(LoadState::Loaded, ActiveState::Inactive)), false),
            (UnitView::Known(stopping), false),
            (UnitView::Unknown(String::new()), false),
        ] {
            assert_eq!(may_ask(&view), ask, "{view:?}");
        }
        assert_eq!(engine(None).grade, Grade::Warn);
        assert_eq!(engine(Some(&Err(ProbeFault::Closed))).grade, Grade::Fail);
    }

    #[test]
    fn what_is_found_at_the_advertised_address_fails_where_it_is_required() {
        use AdvertiseCheck::{Require, Warn};
        let reach = |finding| Reach { address: "10.0.0.5:2376".parse().unwrap(), finding };
        let closed = reach(model::Finding::Unreachable("connection refused".into()));
        let tls = reach(model::Finding::Unproven("it seems to want TLS; set engine.tls-ca".into()));
        for (reach, check, grade, says) in [
            (&reach(model::Finding::Proved), Require, Grade::Ok, "this engine answers at 10.0.0.5:2376"),
            (&closed, Warn, Grade::Warn, "advertised address unreachable: connection refused (10.0.0.5:2376)"),
            (&closed, Require, Grade::Fail, "advertised address unreachable: connection refused (10.0.0.5:2376)"),
            (&tls, Require, Grade::Fail, "advertised address not proved: it seems to want TLS (10.0.0.5:2376)"),
        ] {
            let found = advertised(reach, check);
            assert_eq!((found.grade, found.says.as_str()), (grade, says));
        }
        assert_eq!(advertised(&tls, Warn).remedy.as_deref(), Some("set engine.tls-ca"));
    }

    #[test]
    fn what_is_not_there_yet_is_no_failure() {
        let grades = |access: &Access| {
            let path = Path::new("/x");
            (socket(path, access, "root").grade, state_directory(path, access, "root").grade)
        };
        assert_eq!(grades(&Access::Usable), (Grade::Ok, Grade::Ok));
        assert_eq!(grades(&Access::Missing), (Grade::Warn, Grade::Warn));
        for access in [Access::Denied, Access::WrongKind("a file".into()), Access::Failed("read-only".into())] {
            assert_eq!(grades(&access), (Grade::Fail, Grade::Fail), "{access:?}");
        }
    }
}
