//! Carries out the operator's word that the node is drained, or not any more, and ends a drain whose time is over.

use super::beat::Beat;
use super::clock::Clock;
use crate::model::moment::utc;
use crate::model::{Drain, DrainWish, Limiter, Moment};
use crate::state::{DrainRecord, StateError};
use crate::telemetry::{Event, emit};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

/// Between two attempts to write down what could not be written.
const RETRY: Duration = Duration::from_secs(60);
/// That it can't be written is said this often at most.
const TROUBLE_INTERVAL: Duration = Duration::from_secs(3600);

/// What an operator wants, and the way back for what came of it.
pub struct DrainOrder {
    /// None: the drain is to end.
    pub wish: Option<DrainWish>,
    /// The user's name.
    pub by: String,
    pub answer: oneshot::Sender<Done>,
}

/// What holds now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    pub drain: Option<Drain>,
    /// Why it would not survive a restart.
    pub not_kept: Option<String>,
}

pub struct Drainer {
    pub record: Arc<dyn DrainRecord>,
    pub drain: watch::Sender<Option<Drain>>,
    pub orders: mpsc::Receiver<DrainOrder>,
    /// What holds is not what the record says.
    pub unsaved: bool,
    pub beat: Beat,
    pub clock: Clock,
}

/// When a drain ends.
#[derive(Clone, Copy)]
enum Ends {
    Never,
    /// One that this process saw begin: no clock that is set moves it.
    At(Moment),
    /// One of a former process: all that is known of it is the date.
    ByDate,
}

/// The loop's own state.
struct Watch {
    ends: Ends,
    /// What holds is to be written down then.
    save_at: Option<Moment>,
    trouble: Limiter,
}

impl Drainer {
    pub async fn run(mut self, stop: CancellationToken) {
        let dated = self.drain.borrow().as_ref().is_some_and(|drain| drain.until.is_some());
        let mut watch = Watch {
            ends: if dated { Ends::ByDate } else { Ends::Never },
            save_at: self.unsaved.then(|| self.clock.now()),
            trouble: Limiter::new(TROUBLE_INTERVAL),
        };
        loop {
            self.beat.tick();
            let now = self.clock.now();
            if self.is_over(watch.ends, now) {
                self.end(&mut watch).await;
            } else if watch.save_at.is_some_and(|at| at <= now) {
                let _ = self.save(&mut watch).await;
            }
            let end = if let Ends::At(end) = watch.ends { Some(end) } else { None };
            let wake = [end, watch.save_at].into_iter().flatten().fold(self.clock.next_turn(), Ord::min);
            // Cancel-safe: an order is taken out of the channel only when it is returned, and a sleep holds no state.
            let order = tokio::select! {
                () = stop.cancelled() => return,
                order = self.orders.recv() => order,
                () = sleep_until(self.clock.instant(wake)) => continue,
            };
            // writing may take as long as a loop may stand still
            self.beat.tick();
            match order {
                Some(order) => self.carry_out(order, &mut watch).await,
                // nobody is left to give any
                None => return,
            }
        }
    }

    fn is_over(&self, ends: Ends, now: Moment) -> bool {
        match ends {
            Ends::Never => false,
            Ends::At(end) => end <= now,
            Ends::ByDate => {
                let until = self.drain.borrow().as_ref().and_then(|drain| drain.until);
                until.is_some_and(|until| until <= self.clock.date())
            }
        }
    }

    async fn end(&mut self, watch: &mut Watch) {
        self.drain.send_replace(None);
        watch.ends = Ends::Never;
        emit(&Event::Undrained { by: None });
        let _ = self.save(watch).await;
    }

    async fn carry_out(&mut self, DrainOrder { wish, by, answer }: DrainOrder, watch: &mut Watch) {
        let former = self.drain.borrow().clone();
        let drain = wish.map(|wish| {
            let lasts = wish.lasts;
            watch.ends = lasts.map_or(Ends::Never, |lasts| Ends::At(self.clock.now() + lasts));
            wish.at(self.clock.date(), by.clone())
        });
        match (&former, &drain) {
            (_, Some(drain)) => say(drain),
            (Some(_), None) => emit(&Event::Undrained { by: Some(&by) }),
            (None, None) => {}
        }
        if drain.is_none() {
            watch.ends = Ends::Never;
        }
        // at once: a disk that hangs is no reason to stay in
        self.drain.send_replace(drain.clone());
        let not_kept = self.save(watch).await.err().map(|error| error.to_string());
        // whoever asked may have gone
        let _ = answer.send(Done { drain, not_kept });
    }

    async fn save(&self, watch: &mut Watch) -> Result<(), StateError> {
        let drain = self.drain.borrow().clone();
        let kept = self.record.keep(drain.as_ref()).await;
        match &kept {
            Ok(()) => watch.save_at = None,
            Err(error) => {
                let now = self.clock.now();
                watch.save_at = Some(now + RETRY);
                if watch.trouble.allow(now) {
                    let held = if drain.is_some() { "the drain would end" } else { "the node would be drained again" };
                    let cause = format!("{} ({held} with a restart of the agent; trying on)", error.cause);
                    emit(&Event::StateTrouble { path: &error.path.display().to_string(), error: &cause });
                }
            }
        }
        kept
    }
}

/// For the journal.
pub fn say(drain: &Drain) {
    let until = drain.until.map(|until| utc(until).to_string());
    let reason = drain.reason.as_deref().unwrap_or_default();
    emit(&Event::Drained { by: &drain.by, reason, until: until.as_deref() });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::beat::Beats;
    use std::path::PathBuf;
    use std::sync::Mutex;
    use tokio::time::sleep;

    /// A disk that is full, or not.
    #[derive(Default)]
    struct Disk {
        full: Mutex<bool>,
        kept: Mutex<Option<Option<Drain>>>,
    }

    #[async_trait::async_trait]
    impl DrainRecord for Disk {
        async fn keep(&self, drain: Option<&Drain>) -> Result<(), StateError> {
            if *self.full.lock().unwrap() {
                let cause = std::io::ErrorKind::StorageFull.into();
                return Err(StateError { path: PathBuf::from("/s/drain.json"), cause });
            }
            *self.kept.lock().unwrap() = Some(drain.cloned());
            Ok(())
        }
    }

    struct Running {
        disk: Arc<Disk>,
        drain: watch::Receiver<Option<Drain>>,
        orders: mpsc::Sender<DrainOrder>,
    }

    fn start(before: Option<Drain>) -> Running {
        let (disk, clock) = (Arc::new(Disk::default()), Clock::of_leases());
        let (send, orders) = mpsc::channel(1);
        let (drain, seen) = watch::channel(before);
        let beat = Beats::new(clock).add("drainer");
        let drainer = Drainer { record: disk.clone(), drain, orders, unsaved: false, beat, clock };
        tokio::spawn(drainer.run(CancellationToken::new()));
        Running { disk, drain: seen, orders: send }
    }

    impl Running {
        async fn order(&self, wish: Option<DrainWish>) -> Done {
            let (answer, answered) = oneshot::channel();
            self.orders.send(DrainOrder { wish, by: "ann".into(), answer }).await.unwrap();
            answered.await.unwrap()
        }

        fn kept(&self) -> Option<Option<Drain>> {
            self.disk.kept.lock().unwrap().clone()
        }
    }

    fn wish(hours: Option<u64>) -> Option<DrainWish> {
        DrainWish::new(Some("kernel"), hours.map(|hours| Duration::from_secs(hours * 3600))).ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_lasts_as_long_as_it_was_asked_for() {
        let running = start(None);
        let done = running.order(wish(Some(2))).await;
        assert_eq!((done.not_kept, running.kept()), (None, Some(done.drain.clone())));
        sleep(Duration::from_secs(7199)).await;
        assert!(running.drain.borrow().is_some());
        sleep(Duration::from_secs(2)).await;
        assert_eq!((running.drain.borrow().clone(), running.kept()), (None, Some(None)));
        assert!(running.order(wish(None)).await.drain.is_some());
        sleep(Duration::from_secs(1_000_000)).await;
        assert!(running.drain.borrow().is_some(), "until somebody ends it");
        assert_eq!(running.order(None).await, Done { drain: None, not_kept: None });
        assert_eq!((running.drain.borrow().clone(), running.kept()), (None, Some(None)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_disk_keeps_nobody_in_and_is_written_to_later() {
        let running = start(None);
        *running.disk.full.lock().unwrap() = true;
        let done = running.order(wish(None)).await;
        assert!(done.drain.is_some() && done.not_kept.is_some_and(|why| why.starts_with("/s/drain.json: ")));
        assert!(running.drain.borrow().is_some());
        *running.disk.full.lock().unwrap() = false;
        sleep(RETRY + Duration::from_secs(1)).await;
        assert_eq!(running.kept(), Some(done.drain));
    }

    #[tokio::test(start_paused = true)]
    async fn one_of_a_former_process_ends_by_its_date() {
        let now = std::time::SystemTime::now();
        let of = |until| Drain { since: now, until: Some(until), reason: None, by: "ann".into() };
        let ended = start(Some(of(now)));
        let going_on = start(Some(of(now + Duration::from_secs(3600))));
        sleep(Duration::from_secs(60)).await;
        assert_eq!((ended.drain.borrow().clone(), ended.kept()), (None, Some(None)));
        // the paused clock has gone on, the date has not
        assert!(going_on.drain.borrow().is_some());
    }
}
