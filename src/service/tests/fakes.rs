//! Stand-ins for what the tasks talk to, which do what the real ones can't be made to do on demand.

use crate::discovery::{Backend, BackendError, Claim, Listing, Release, Scope, Seen, Sight};
use crate::engine::{Door, Engine};
use crate::model::{
    ActiveState, Answer, EngineInfo, HeldEntry, Hold, Interface, InterfaceAddress, LoadState, NetworkView,
};
use crate::model::{NodeAddress, ProbeFault, ReachFault, Recorded, UnitState, UnitView};
use crate::network::{Network, NetworkError};
use crate::service::TICK;
use crate::service::registrar::{Place, Site};
use crate::state::{HeldEntries, StateError};
use crate::systemd::notify::{Message, Notifier};
use crate::systemd::{Observation, UnitSource};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until};

/// How a discovery service behaves.
#[derive(Clone, Copy, PartialEq)]
pub enum Mood {
    Well,
    /// Fails after the adapter's longest timeout.
    Slow,
    /// Never completes: a defect of the adapter.
    Stuck,
    /// Fails every other time, each time with another error.
    Fickle,
}

/// This node's id.
pub const NODE: &str = "5eed";

/// A discovery service and a state directory.
#[derive(Clone)]
pub struct World {
    pub mood: Arc<Mutex<Mood>>,
    /// Everything that happened, in order.
    pub log: Arc<Mutex<Vec<String>>>,
    /// Addresses at a server that hangs.
    pub lost: Vec<String>,
    /// Who is in the list.
    pub records: Arc<Mutex<Vec<Recorded>>>,
}

impl World {
    pub fn new(mood: Mood) -> Self {
        Self { mood: Arc::new(Mutex::new(mood)), log: Arc::default(), lost: Vec::new(), records: Arc::default() }
    }

    async fn happen(&self, what: String) -> Result<(), BackendError> {
        let turn = {
            let mut log = self.log.lock().unwrap();
            log.push(what);
            log.len()
        };
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Well => return Ok(()),
            Mood::Slow => sleep(Duration::from_secs(15)).await,
            Mood::Stuck => std::future::pending().await,
            Mood::Fickle if turn.is_multiple_of(2) => return Ok(()),
            Mood::Fickle => {
                let cause = format!("connection number {turn} was reset");
                return Err(BackendError::Broken { server: "disco".into(), cause });
            }
        }
        Err(BackendError::Timeout { server: "disco".into(), timeout: Duration::from_secs(15) })
    }

    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    pub fn site(&self) -> Site {
        Site { backend: Arc::new(self.clone()), server: "disco".into(), url: "http://disco/v1/clusters/t".into() }
    }

    pub fn place(&self, address: &str) -> Place {
        Place { site: self.site(), address: address.parse().unwrap(), hold: None, earlier_boot: None }
    }
}

#[async_trait::async_trait]
impl Backend for World {
    async fn register(&self, claim: &Claim<'_>) -> Result<Option<Hold>, BackendError> {
        self.happen(format!("register {} {}", claim.address, claim.ttl.as_secs())).await.map(|()| None)
    }

    async fn deregister(&self, Release { address, node, .. }: &Release<'_>) -> Result<(), BackendError> {
        assert_eq!(*node, Some(NODE), "an entry of another node would go");
        if self.lost.contains(&address.to_string()) {
            self.log.lock().unwrap().push(format!("lost {address}"));
            std::future::pending::<()>().await;
        }
        self.happen(format!("deregister {address}")).await
    }

    async fn watch(&self, _: Scope, _: Option<&Seen>) -> Result<Sight, BackendError> {
        self.happen("list".to_owned()).await?;
        Ok(Sight::still(Listing { records: self.records.lock().unwrap().clone(), ..Listing::default() }))
    }

    async fn mark_drained(
        &self,
        address: &NodeAddress,
        reason: Option<&str>,
        ttl: Duration,
    ) -> Result<(), BackendError> {
        self.happen(format!("mark {address} {} {}", reason.unwrap_or("-"), ttl.as_secs())).await
    }
}

#[async_trait::async_trait]
impl HeldEntries for World {
    async fn keep(&self, entries: &[HeldEntry]) -> Result<(), StateError> {
        let addresses: Vec<String> = entries.iter().map(|entry| entry.address.to_string()).collect();
        self.log.lock().unwrap().push(format!("keep [{}]", addresses.join(" ")));
        Ok(())
    }
}

/// A host with eth0, whose addresses the test sets.
#[derive(Clone, Default)]
pub struct Host {
    addresses: Arc<Mutex<Vec<&'static str>>>,
    change: Arc<Notify>,
    pub looks: Arc<Mutex<u32>>,
    /// Changes are not heard of.
    deaf: bool,
}

impl Host {
    pub fn deaf() -> Self {
        Self { deaf: true, ..Self::default() }
    }

    pub fn set(&self, addresses: &[&'static str]) {
        *self.addresses.lock().unwrap() = addresses.to_vec();
        self.change.notify_one();
    }
}

#[async_trait::async_trait]
impl Network for Host {
    async fn look(&self) -> Result<NetworkView, NetworkError> {
        *self.looks.lock().unwrap() += 1;
        let ip = |text: &&str| InterfaceAddress { ip: text.parse().unwrap(), passing: false };
        let addresses = self.addresses.lock().unwrap().iter().map(ip).collect();
        let eth0 = Interface { name: "eth0".into(), up: true, running: true, addresses };
        Ok(NetworkView { interfaces: vec![eth0], ..NetworkView::default() })
    }

    async fn changed(&mut self) -> Result<(), NetworkError> {
        if self.deaf {
            return Err(NetworkError::Timeout(TICK));
        }
        self.change.notified().await;
        Ok(())
    }
}

/// What answers at every address, and how often it was asked.
pub struct Street(pub Mutex<(Result<Answer, ReachFault>, u32)>);

#[async_trait::async_trait]
impl Door for Street {
    async fn knock(&self, _: &NodeAddress) -> Result<Answer, ReachFault> {
        sleep(Duration::from_millis(10)).await;
        let mut inner = self.0.lock().unwrap();
        inner.1 += 1;
        inner.0.clone()
    }
}

/// An engine behind its unit: it answers while the unit is active.
#[derive(Clone)]
pub struct Docker(watch::Sender<UnitView>);

impl Docker {
    /// The ID of its `/info`.
    pub const ID: &str = "AB";

    pub fn new(active: ActiveState) -> Self {
        Self(watch::Sender::new(unit(active)))
    }

    pub fn set(&self, active: ActiveState) {
        self.0.send_replace(unit(active));
    }

    /// The bus goes away.
    pub fn vanish(&self, why: &str) {
        self.0.send_replace(UnitView::Unknown(why.to_owned()));
    }
}

fn unit(active: ActiveState) -> UnitView {
    UnitView::Known(UnitState { load: LoadState::Loaded, active, sub: String::new(), job: None })
}

#[async_trait::async_trait]
impl UnitSource for Docker {
    async fn look(&self) -> UnitView {
        self.0.borrow().clone()
    }

    async fn look_at(&self, _: &str) -> UnitView {
        unit(ActiveState::Active)
    }

    async fn follow(&self, observe: &mut (dyn FnMut(Observation) -> Instant + Send)) -> String {
        let mut seen = self.0.subscribe();
        loop {
            let view = seen.borrow_and_update().clone();
            let until = match view {
                UnitView::Known(state) => observe(Observation::State(state)),
                UnitView::Unknown(why) => return why,
            };
            tokio::select! {
                _ = seen.changed() => {}
                () = sleep_until(until) => {}
            }
        }
    }
}

#[async_trait::async_trait]
impl Engine for Docker {
    fn connected(&mut self) -> bool {
        false
    }

    async fn probe(&mut self, _: bool) -> Result<EngineInfo, ProbeFault> {
        sleep(Duration::from_millis(10)).await;
        match &*self.0.borrow() {
            UnitView::Known(unit) if unit.active == ActiveState::Active => Ok(EngineInfo {
                id: Self::ID.into(),
                version: "20".into(),
                containers_running: 0,
                ..EngineInfo::default()
            }),
            _ => Err(ProbeFault::Closed),
        }
    }
}

/// A service manager that remembers the last `STATUS=` and counts the pings.
#[derive(Default)]
pub struct Manager {
    pub status: Mutex<String>,
    pub pings: Mutex<u32>,
}

impl Notifier for Manager {
    fn notify(&self, messages: &[Message]) {
        for message in messages {
            match message {
                Message::Status(line) => line.clone_into(&mut self.status.lock().unwrap()),
                Message::Watchdog => *self.pings.lock().unwrap() += 1,
                other => panic!("{other:?} is not for a task to say"),
            }
        }
    }
}
