//! The state of one unit, from systemd's manager over the system bus.

use super::calls::{MANAGER, MANAGER_PATH, PROPERTIES, SYSTEMD, call, load, state};
use super::{Observation, UnitSource};
use crate::model::{UnitState, UnitView};
use futures_util::stream::{SelectAll, select_all};
use futures_util::{FutureExt, StreamExt};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout, timeout_at};
use zbus::{Connection, MatchRule, MessageStream, OwnedObjectPath, connection, match_rule, message};

/// Bounds connecting to the bus, and each call.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How old the state may be when it is used, to begin with. A stop takes longer than that to reach the engine.
const FRESH: Duration = Duration::from_micros(500);
/// A starved machine has no better answer after that either.
const PATIENCE: Duration = Duration::from_secs(1);
/// So many looks go by before a state may be twice as old.
const LOOKS: u32 = 4;
/// Of the runtime, until what has arrived is where it belongs: the socket's reader, the stream's queue.
const TURNS: u32 = 4;
/// A follower looks again after this even if no signal came, so that a bus that swallowed one heals.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);

/// One unit; all calls share one long-lived connection, made anew after it broke.
pub struct SystemdUnit {
    name: String,
    bus: Mutex<Option<Bus>>,
}

/// An open connection, and the unit's object on it. Asking for a property of the object loads the unit if need be.
#[derive(Clone)]
struct Bus {
    connection: Connection,
    path: OwnedObjectPath,
}

impl SystemdUnit {
    pub fn new(name: String) -> Self {
        Self { name, bus: Mutex::new(None) }
    }

    async fn bus(&self) -> zbus::Result<Bus> {
        let mut slot = self.bus.lock().await;
        if let Some(open) = slot.as_ref().filter(|bus| !bus.connection.is_closed()) {
            return Ok(open.clone());
        }
        let connection = connect().await?;
        let path = load(&connection, &self.name).await?;
        Ok(slot.insert(Bus { connection, path }).clone())
    }

    async fn try_look(&self) -> zbus::Result<UnitState> {
        let Bus { connection, .. } = self.bus().await?;
        state(&connection, &self.name).await
    }

    /// Everything that tells of a change of the unit. The matches are added before the first look, so that no
    /// change falls between the two.
    async fn subscribe(&self) -> zbus::Result<SelectAll<MessageStream>> {
        let mut slot = self.bus.lock().await;
        let open = slot.take().filter(|bus| !bus.connection.is_closed());
        let connection = match &open {
            Some(bus) => bus.connection.clone(),
            None => connect().await?,
        };
        let stream = |rule| MessageStream::for_match_rule(rule, &connection, None);
        let path = async {
            match open {
                Some(bus) => Ok(bus.path),
                None => load(&connection, &self.name).await,
            }
        };
        // sent in this order, and answered together
        let (path, new, removed, _) = tokio::try_join!(
            path,
            stream(self.of_manager("JobNew")?),
            stream(self.of_manager("JobRemoved")?),
            // without it systemd sends no PropertiesChanged
            call(&connection, MANAGER_PATH, (MANAGER, "Subscribe"), &()),
        )?;
        let of_unit = from_systemd().path(&path).interface(PROPERTIES).member("PropertiesChanged").build()?;
        let changed = stream(of_unit).await?;
        slot.replace(Bus { connection: connection.clone(), path });
        Ok(select_all([changed, new, removed]))
    }

    /// The manager's signals about this unit.
    fn of_manager(&self, member: &'static str) -> zbus::Result<MatchRule<'_>> {
        from_systemd().path(MANAGER_PATH).interface(MANAGER).member(member).arg(2, self.name.as_str()).build()
    }

    /// A look that is no older than it takes to look, and after which no job was made that we could know of. What systemd
    /// sends right behind its answer (somebody stops the unit) is here before long, and long before it is worked on. An
    /// answer that was long under way, on a busy machine, tells of the past: it is asked for anew, and on a machine that
    /// never is any quicker an older one has to do.
    async fn settled_look(&self) -> zbus::Result<UnitState> {
        let Bus { connection, .. } = self.bus().await?;
        let mut jobs = MessageStream::for_match_rule(self.of_manager("JobNew")?, &connection, None).await?;
        let (began, mut looks) = (Instant::now(), 0);
        loop {
            let asked = Instant::now();
            let state = self.try_look().await?;
            looks += 1;
            // each turn lets the connection read what has arrived
            for _ in 0..TURNS {
                tokio::task::yield_now().await;
            }
            let mut stirred = false;
            while let Some(Some(Ok(_))) = jobs.next().now_or_never() {
                stirred = true;
            }
            let settled = !stirred && asked.elapsed() <= still_fresh(looks);
            if settled || began.elapsed() > PATIENCE {
                return Ok(state);
            }
        }
    }

    /// One look within bounds, connecting included.
    async fn bounded_look(&self) -> Result<UnitState, String> {
        match timeout(TIMEOUT, self.try_look()).await {
            Ok(result) => result.map_err(|error| explain(&error)),
            Err(_) => Err(no_answer()),
        }
    }

    /// A connection that failed us is not used again.
    async fn forget_connection(&self) {
        self.bus.lock().await.take();
    }
}

#[async_trait::async_trait]
impl UnitSource for SystemdUnit {
    async fn look(&self) -> UnitView {
        view(timeout(TIMEOUT, self.settled_look()).await)
    }

    async fn look_at(&self, unit: &str) -> UnitView {
        let looked = async {
            let Bus { connection, .. } = self.bus().await?;
            state(&connection, unit).await
        };
        view(timeout(TIMEOUT, looked).await)
    }

    async fn follow(&self, observe: &mut (dyn FnMut(Observation) -> Instant + Send)) -> String {
        let why = self.follow_until_broken(observe).await;
        // a bus that was restarted may leave us a connection that looks open
        self.forget_connection().await;
        why
    }
}

impl SystemdUnit {
    async fn follow_until_broken(&self, observe: &mut (dyn FnMut(Observation) -> Instant + Send)) -> String {
        let mut signals = match timeout(TIMEOUT, self.subscribe()).await {
            Ok(Ok(signals)) => signals,
            Ok(Err(error)) => return explain(&error),
            Err(_) => return no_answer(),
        };
        let mut looked_at: Option<Instant> = None;
        loop {
            let until = match looked_at {
                Some(at) if at.elapsed() < LOOK_INTERVAL => observe(Observation::Quiet),
                _ => {
                    // One look answers all signals so far. They are taken off the queue first: a full one would keep
                    // the connection from delivering the answer.
                    while let Some(Some(Ok(_))) = signals.next().now_or_never() {}
                    looked_at = Some(Instant::now());
                    match self.bounded_look().await {
                        Ok(state) => observe(Observation::State(state)),
                        Err(why) => return why,
                    }
                }
            };
            // Cancel-safe: `next` of a stream loses no message when it is dropped.
            match timeout_at(until, signals.next()).await {
                Ok(Some(Ok(_))) => looked_at = None,
                Ok(Some(Err(error))) => return explain(&error),
                Ok(None) => return "the connection to the system bus was closed".to_owned(),
                Err(_) => {}
            }
        }
    }
}

/// How old the state may be that came with this look, the first one being 1.
fn still_fresh(look: u32) -> Duration {
    FRESH * 2_u32.saturating_pow((look - 1) / LOOKS)
}

fn from_systemd() -> match_rule::Builder<'static> {
    MatchRule::builder().msg_type(message::Type::Signal).sender(SYSTEMD)
}

async fn connect() -> zbus::Result<Connection> {
    connection::Builder::system().method_timeout(TIMEOUT).build().await
}

fn view(looked: Result<zbus::Result<UnitState>, Elapsed>) -> UnitView {
    match looked {
        Ok(Ok(state)) => UnitView::Known(state),
        Ok(Err(error)) => UnitView::Unknown(explain(&error)),
        Err(_) => UnitView::Unknown(no_answer()),
    }
}

fn no_answer() -> String {
    format!("no answer from systemd over the system bus within {}", humantime::format_duration(TIMEOUT))
}

fn explain(error: &zbus::Error) -> String {
    match error {
        zbus::Error::InputOutput(cause) if cause.kind() == std::io::ErrorKind::TimedOut => no_answer(),
        zbus::Error::InputOutput(cause) => format!("the system bus can't be reached: {cause}"),
        other => format!("the system bus: {other}"),
    }
}
