use super::*;
use crate::discovery::{Claim, Listing, Release};
use crate::model::Hold;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use tokio::time::sleep;

/// One answer: how long it takes, and what it is.
type Answer = (u64, Result<Sight, BackendError>);

/// A backend that answers in turn, and the positions it was asked with.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<Answer>>,
    asked: Arc<Mutex<Vec<Option<String>>>>,
}

#[async_trait::async_trait]
impl Backend for Script {
    async fn register(&self, _: &Claim<'_>) -> Result<Option<Hold>, BackendError> {
        panic!("a watcher never writes")
    }
    async fn deregister(&self, _: &Release<'_>) -> Result<(), BackendError> {
        panic!("a watcher never writes")
    }
    async fn watch(&self, scope: Scope, seen: Option<&Seen>) -> Result<Sight, BackendError> {
        assert_eq!(scope, Scope::Active, "a drained node has left");
        assert!(seen.is_none_or(|seen| seen.patience == PATIENCE));
        self.asked.lock().expect("no test panics with it").push(seen.map(|seen| seen.position.0.clone()));
        let (seconds, answer) = self.answers.lock().expect("no test panics with it").pop_front().expect("an answer");
        sleep(Duration::from_secs(seconds)).await;
        answer
    }
    async fn mark_drained(&self, _: &NodeAddress, _: Option<&str>, _: Duration) -> Result<(), BackendError> {
        panic!("a watcher never writes")
    }
}

fn list(entry: &str, position: Option<&str>) -> Result<Sight, BackendError> {
    let listing = Listing::of_addresses([entry.to_owned()]);
    Ok(Sight { listing, position: position.map(|position| Position(position.to_owned())) })
}

fn watcher(answers: impl IntoIterator<Item = Answer>) -> (Watcher, Arc<Mutex<Vec<Option<String>>>>) {
    let script = Script { answers: Mutex::new(answers.into_iter().collect()), asked: Arc::default() };
    let asked = Arc::clone(&script.asked);
    (Watcher::new(Box::new(script), Watch::new(Duration::from_secs(10))), asked)
}

#[tokio::test(start_paused = true)]
async fn reads_at_once_then_at_its_pace() {
    let failure = Err(BackendError::Client("x".into()));
    let (mut watcher, asked) = watcher([(0, list("a:1", None)), (0, failure), (0, list("b:1", None))]);
    let start = Instant::now();
    assert!(watcher.nodes().is_none());
    assert!(matches!(&watcher.next().await[..], [Event::List(_)]));
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert!(matches!(&watcher.next().await[..], [Event::Error(_), Event::Stale { .. }]));
    assert!((9..=11).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    assert!(watcher.nodes().is_some_and(|nodes| nodes.iter().map(ToString::to_string).eq(["a:1"])));
    assert!(matches!(&watcher.next().await[..], [Event::Recovered { .. }, Event::Leave(_), Event::Join(_)]));
    assert!(watcher.nodes().is_some_and(|nodes| nodes.iter().map(ToString::to_string).eq(["b:1"])));
    assert_eq!(*asked.lock().expect("no test panics with it"), [None, None, None]);
}

#[tokio::test(start_paused = true)]
async fn waits_where_it_can_and_begins_anew_after_an_error() {
    let timed_out = BackendError::Timeout { server: "s".into(), timeout: Duration::from_secs(65) };
    let (mut watcher, asked) = watcher([
        (0, list("a:1", Some("1"))),
        (30, list("b:1", Some("2"))),
        (55, list("b:1", Some("2"))),
        (65, Err(timed_out)),
        (0, list("c:1", Some("7"))),
        (0, list("c:1", None)),
        (0, list("c:1", None)),
    ]);
    let start = Instant::now();
    assert!(matches!(&watcher.next().await[..], [Event::List(_)]));
    assert!(matches!(&watcher.next().await[..], [Event::Leave(_), Event::Join(_)]));
    assert_eq!(start.elapsed().as_secs(), 30, "no interval lies between calls that wait");
    assert_eq!(watcher.next().await, []);
    let silence = watcher.clock.now();
    assert!(matches!(&watcher.next().await[..],
        [Event::Error(_), Event::Stale { since }] if since.since(silence) < Duration::from_secs(1)));
    assert!(start.elapsed().as_secs() < 152, "{:?}", start.elapsed());
    let events = watcher.next().await;
    assert!(
        matches!(&events[..], [Event::Recovered { outage, .. }, Event::Leave(_), Event::Join(_)]
        if (65..=67).contains(&outage.lasted.as_secs())),
        "{events:?}"
    );
    // a service that has lost the ability is read at the interval
    watcher.next().await;
    let before = Instant::now();
    watcher.next().await;
    assert!((9..=11).contains(&before.elapsed().as_secs()), "{:?}", before.elapsed());
    let positions = [None, Some("1"), Some("2"), Some("2"), None, Some("7"), None];
    let positions = positions.map(|position| position.map(str::to_owned));
    assert_eq!(*asked.lock().expect("no test panics with it"), positions);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_dropped_is_made_anew() {
    let (mut watcher, asked) =
        watcher([(0, list("a:1", Some("1"))), (30, list("b:1", Some("2"))), (0, list("b:1", None))]);
    watcher.next().await;
    assert!(tokio::time::timeout(Duration::from_secs(5), watcher.next()).await.is_err());
    assert_eq!(watcher.next().await.len(), 2);
    assert_eq!(asked.lock().expect("no test panics with it").last(), Some(&Some("1".to_owned())));
}
