//! Under paused time, on a machine that does what a real one can't be made to do on demand.

use super::*;
use crate::model::{
    ActiveState, Culprit, EngineDetails, LoadState, ProbeFault, SupervisionMode, UnitLimits, UnitReport, UnitRun,
    UnitState,
};
use crate::policy::gate::Verdict;
use crate::service::beat::Beats;
use crate::state::{Leaf, StateError};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use tokio::time::sleep;

const SETTINGS: SupervisionSettings = SupervisionSettings {
    mode: SupervisionMode::Enforce,
    budget: 2,
    window: Duration::from_secs(3600),
    cooldown: Duration::from_secs(60),
    despite_containers: false,
    runtime: false,
};

/// Everything that happens, in order; and how the machine is.
#[derive(Clone, Default)]
struct Machine {
    log: Arc<Mutex<Vec<String>>>,
    around: Arc<Mutex<Surroundings>>,
    sighting: Arc<Mutex<Sighting>>,
    /// The state directory takes nothing.
    full: Arc<Mutex<bool>>,
    kept: Arc<Mutex<Memory>>,
}

impl Machine {
    fn happen(&self, what: String) {
        self.log.lock().unwrap().push(what);
    }

    fn done(&self) -> Vec<String> {
        std::mem::take(&mut *self.log.lock().unwrap())
    }
}

#[async_trait::async_trait]
impl Hands for Machine {
    async fn surroundings(&self) -> Surroundings {
        self.around.lock().unwrap().clone()
    }

    async fn containers(&self) -> Sighting {
        self.sighting.lock().unwrap().clone()
    }

    async fn evidence(&self, _: Condition) -> Vec<Leaf> {
        self.happen("evidence".to_owned());
        // as long as it takes on a machine that is busy
        sleep(Duration::from_millis(100)).await;
        vec![("units.txt", "x".to_owned())]
    }

    async fn restart(&self, culprit: Culprit, seen: Condition) -> Result<Recovery, RestartFault> {
        self.happen(format!("restart {culprit:?} {}", seen.name()));
        sleep(Duration::from_secs(3)).await;
        let state = unit(ActiveState::Active);
        let after = UnitReport {
            name: "docker.service".into(),
            description: String::new(),
            state,
            load_word: String::new(),
            active_word: String::new(),
            since: None,
            file_state: String::new(),
            result: String::new(),
            status_text: String::new(),
            main_pid: None,
            restarts: 0,
            drop_ins: Vec::new(),
            needs_daemon_reload: false,
            limits: UnitLimits::default(),
            environment: Vec::new(),
            cpu_affinity: Vec::new(),
            invocation: Vec::new(),
            triggered_by: Vec::new(),
            run: UnitRun::default(),
        };
        Ok(Recovery { job: None, took: Duration::from_secs(3), engine: EngineDetails::default(), after })
    }
}

#[async_trait::async_trait]
impl SupervisionRecord for Machine {
    async fn keep(&self, memory: &Memory, here: &Here) -> Result<(), StateError> {
        if *self.full.lock().unwrap() {
            let cause = std::io::ErrorKind::StorageFull.into();
            return Err(StateError { path: "/supervision.json".into(), cause });
        }
        assert_eq!(here.boot, "b1");
        self.happen(format!("keep {}", memory.attempts.len()));
        *self.kept.lock().unwrap() = memory.clone();
        Ok(())
    }
}

#[async_trait::async_trait]
impl IncidentLog for Machine {
    async fn write(&self, incident: &str, files: Vec<Leaf>) -> Result<PathBuf, StateError> {
        for (name, text) in files {
            if name == crate::state::STORY {
                let told: Incident = serde_json::from_str(&text).expect("a story");
                self.happen(format!("story {}", told.story.last().map_or("", |line| &line.text)));
            } else {
                self.happen(format!("file {name}"));
            }
        }
        Ok(Path::new("/").join(incident))
    }
}

struct Running {
    machine: Machine,
    units: watch::Sender<UnitView>,
    outlook: watch::Sender<Outlook>,
    tools: watch::Sender<Tools>,
    resets: mpsc::Sender<ResetOrder>,
    supervised: watch::Receiver<Supervised>,
}

impl Running {
    fn start(settings: SupervisionSettings, memory: Memory) -> Self {
        let (machine, clock) = (Machine::default(), Clock::of_loops());
        let (units, unit_views) = watch::channel(UnitView::Known(unit(ActiveState::Active)));
        let (outlook, outlooks) = watch::channel(healthy());
        let hands = Arc::new(machine.clone());
        let (unit, containerd) = ("docker.service".to_owned(), "containerd.service".to_owned());
        let (tools, tools_seen) = watch::channel(Tools { hands, settings, unit, containerd });
        let (resets, orders) = mpsc::channel(1);
        let (supervised, supervised_seen) = watch::channel(Supervised::nothing());
        let repairer = Repairer {
            tools: tools_seen,
            units: unit_views,
            outlook: outlooks,
            orders,
            record: Arc::new(machine.clone()),
            incidents: Arc::new(machine.clone()),
            memory,
            supervised,
            metrics: Arc::default(),
            boot: "b1".to_owned(),
            booted: Duration::from_secs(10_000),
            beat: Beats::new(clock).add("repairer"),
            clock,
        };
        tokio::spawn(repairer.run(CancellationToken::new()));
        Self { machine, units, outlook, tools, resets, supervised: supervised_seen }
    }

    async fn see(&self, view: UnitState, outlook: Outlook) {
        self.units.send_replace(UnitView::Known(view));
        self.outlook.send_replace(outlook);
        self.later(1).await;
    }

    async fn later(&self, seconds: u64) {
        sleep(Duration::from_secs(seconds)).await;
    }

    fn refused(&self) -> Option<&'static str> {
        self.supervised.borrow().refused.as_ref().map(|(refusal, _)| refusal.name())
    }
}

fn unit(active: ActiveState) -> UnitState {
    UnitState { load: LoadState::Loaded, active, sub: "x".into(), job: None }
}

fn healthy() -> Outlook {
    let info = EngineInfo { scopes: Some(true), live_restore: Some(false), ..EngineInfo::default() };
    Outlook { verdict: Verdict::Open, health: EngineHealth::Healthy(info) }
}

fn faulty(fault: ProbeFault) -> Outlook {
    Outlook { verdict: Verdict::Closed, health: EngineHealth::Faulty { fault, bad: 3, limit: 3 } }
}

fn hung() -> Outlook {
    faulty(ProbeFault::PingTimeout(Duration::from_secs(5)))
}

fn failed() -> Outlook {
    Outlook { verdict: Verdict::Closed, health: EngineHealth::Failed }
}

fn no_containers(machine: &Machine) {
    *machine.sighting.lock().unwrap() = Sighting { scopes: Some(Vec::new()), shims: None };
}

#[tokio::test(start_paused = true)]
async fn a_failed_engine_is_restarted_with_the_history_on_disk_and_the_evidence_taken() {
    let node = Running::start(SETTINGS, Memory::default());
    no_containers(&node.machine);
    node.later(1).await;
    assert_eq!(node.machine.done(), ["keep 0"], "what the engine says is kept");
    node.see(unit(ActiveState::Failed), failed()).await;
    assert!(matches!(node.supervised.borrow().doing, Doing::Restarting(Culprit::Engine)));
    assert_eq!(
        node.machine.done(),
        [
            "keep 1",
            "story restart docker.service (1 of 2 restarts)",
            "evidence",
            "file units.txt",
            "restart Engine failed"
        ]
    );
    // what goes on meanwhile is no reason for another one
    node.see(unit(ActiveState::Activating), failed()).await;
    node.later(3).await;
    assert_eq!(node.machine.done(), ["story the engine works again after 3.0 s"]);
    node.see(unit(ActiveState::Active), healthy()).await;
    assert_eq!(node.machine.done(), ["story the engine works"]);
    let supervised = node.supervised.borrow().clone();
    assert_eq!((supervised.condition, supervised.restarts, node.refused()), (Condition::Working, (1, 2), None));
    assert!(supervised.last.is_some_and(|last| last.works));
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_did_not_help_is_followed_by_another_one_when_the_cooldown_ends_and_not_later() {
    let cooldown = Duration::from_secs(62);
    let node = Running::start(SupervisionSettings { cooldown, ..SETTINGS }, Memory::default());
    no_containers(&node.machine);
    node.later(1).await;
    node.see(unit(ActiveState::Failed), failed()).await;
    let first = tokio::time::Instant::now();
    node.later(20).await;
    assert_eq!(node.refused(), Some("cooldown"));
    node.machine.done();
    while !node.machine.done().contains(&"restart Engine failed".to_owned()) {
        sleep(Duration::from_millis(100)).await;
    }
    let apart = first.elapsed().as_secs_f64();
    assert!((60.0..62.0).contains(&apart), "{apart}");
}

#[tokio::test(start_paused = true)]
async fn containers_that_would_die_are_named_and_looked_at_again() {
    let node = Running::start(SETTINGS, Memory::default());
    *node.machine.sighting.lock().unwrap() = Sighting { scopes: Some(vec!["0123456789abcdef".into()]), shims: None };
    node.later(1).await;
    node.machine.done();
    node.see(unit(ActiveState::Failed), failed()).await;
    let why = "1 container would die (live-restore is off): 0123456789ab";
    assert_eq!(node.machine.done(), [format!("story docker.service is not restarted: {why}")]);
    assert_eq!(node.supervised.borrow().refused.as_ref().map(|(_, text)| text.as_str()), Some(why));
    node.later(600).await;
    assert!(node.machine.done().is_empty(), "it is said once");
    no_containers(&node.machine);
    node.later(61).await;
    assert!(node.machine.done().contains(&"restart Engine failed".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_hung_engine_is_not_confused_with_a_starved_machine_or_a_runtime_that_is_gone() {
    let node = Running::start(SETTINGS, Memory::default());
    no_containers(&node.machine);
    node.later(100).await;
    let starved = Some("processes waited for CPU in 99 % of the last 10 s".to_owned());
    node.machine.around.lock().unwrap().starved = starved.clone();
    node.see(unit(ActiveState::Active), hung()).await;
    let condition = || node.supervised.borrow().condition;
    assert_eq!((condition(), node.supervised.borrow().detail.clone()), (Condition::Starved, starved));
    node.later(600).await;
    node.machine.around.lock().unwrap().starved = None;
    node.machine.around.lock().unwrap().runtime = Some(unit(ActiveState::Failed));
    node.outlook.send_replace(faulty(ProbeFault::InfoTimeout(Duration::from_secs(5))));
    node.later(1).await;
    assert_eq!((condition(), node.refused()), (Condition::RuntimeGone, Some("runtime")));
    assert!(!node.machine.done().iter().any(|what| what.starts_with("restart")));
    // the setting changes, and so does the decision
    let tools = Tools { settings: SupervisionSettings { runtime: true, ..SETTINGS }, ..node.tools.borrow().clone() };
    node.tools.send_replace(tools);
    node.later(2).await;
    assert!(node.machine.done().contains(&"restart Runtime runtime_gone".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_answers_again_while_the_evidence_is_taken_is_left_alone() {
    let node = Running::start(SETTINGS, Memory::default());
    no_containers(&node.machine);
    node.later(100).await;
    node.machine.done();
    node.outlook.send_replace(hung());
    while !node.machine.log.lock().unwrap().contains(&"evidence".to_owned()) {
        sleep(Duration::from_millis(5)).await;
    }
    node.outlook.send_replace(healthy());
    node.later(10).await;
    let said = node.machine.done();
    assert!(said.contains(&"story docker.service is answering again by now".to_owned()), "{said:?}");
    assert!(!said.iter().any(|what| what.starts_with("restart")), "{said:?}");
    assert_eq!(node.supervised.borrow().condition, Condition::Working);
}

#[tokio::test(start_paused = true)]
async fn what_is_stopped_masked_or_unknown_is_left_alone() {
    let node = Running::start(SETTINGS, Memory::default());
    no_containers(&node.machine);
    node.later(100).await;
    node.machine.done();
    let stopped = Outlook { verdict: Verdict::Closed, health: EngineHealth::Stopped };
    node.see(unit(ActiveState::Inactive), stopped.clone()).await;
    node.see(UnitState { load: LoadState::Masked, ..unit(ActiveState::Inactive) }, stopped).await;
    node.see(unit(ActiveState::Activating), failed()).await;
    // stopped while it hung: systemd had to kill it
    node.machine.around.lock().unwrap().stopped = true;
    node.see(unit(ActiveState::Failed), failed()).await;
    assert_eq!(node.supervised.borrow().condition, Condition::Stopped);
    node.see(unit(ActiveState::Active), faulty(ProbeFault::Permission { socket: String::new() })).await;
    node.units.send_replace(UnitView::Unknown("no bus".into()));
    node.later(3600).await;
    assert_eq!(node.supervised.borrow().condition, Condition::CannotTell);
    assert!(node.machine.done().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_a_former_process_used_up_is_used_up_until_somebody_gives_it_back() {
    let used = crate::model::Attempt { at: Moment::after_origin(Duration::from_secs(9_990)), dry: false };
    let node = Running::start(SETTINGS, Memory { attempts: vec![used, used], engine: None });
    *node.machine.sighting.lock().unwrap() = Sighting { scopes: None, shims: Some(Vec::new()) };
    node.see(unit(ActiveState::Failed), failed()).await;
    assert_eq!(node.refused(), Some("budget"));
    let said = node.machine.done();
    assert!(said[0].starts_with("story giving up on docker.service until "), "{said:?}");
    node.later(1800).await;
    assert!(node.machine.done().is_empty(), "once");
    let (answer, answered) = oneshot::channel();
    node.resets.send(answer).await.unwrap();
    assert_eq!(answered.await, Ok(2));
    node.later(1).await;
    assert!(node.machine.done().contains(&"restart Engine failed".to_owned()));
    assert_eq!(node.machine.kept.lock().unwrap().attempts.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_done_that_could_not_be_written_down() {
    let node = Running::start(SETTINGS, Memory::default());
    no_containers(&node.machine);
    node.later(1).await;
    node.machine.done();
    *node.machine.full.lock().unwrap() = true;
    node.see(unit(ActiveState::Failed), failed()).await;
    node.later(7200).await;
    let said = node.machine.done();
    assert!(said.iter().all(|what| what.starts_with("story ")), "{said:?}");
    assert!(said[0].contains("could not be written down"), "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn dry_run_does_everything_but_act() {
    let node = Running::start(SupervisionSettings { mode: SupervisionMode::DryRun, ..SETTINGS }, Memory::default());
    no_containers(&node.machine);
    node.later(1).await;
    node.see(unit(ActiveState::Failed), failed()).await;
    node.later(3600).await;
    let said = node.machine.done();
    assert!(!said.iter().any(|what| what.starts_with("restart")), "{said:?}");
    let would = said.iter().filter(|what| what.contains("would be restarted now")).count();
    assert_eq!((would, node.supervised.borrow().mode), (2, SupervisionMode::DryRun), "{said:?}");
}
