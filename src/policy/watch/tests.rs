use super::*;
use proptest::prelude::*;

fn node(text: &str) -> NodeAddress {
    text.parse().expect("a node address")
}

fn listing(entries: &[&str]) -> Listing {
    Listing::of_addresses(entries.iter().map(|entry| (*entry).to_owned()))
}

fn list(entries: &[&str]) -> Input {
    Input::Listed { listing: listing(entries), waited: None }
}

fn failure(error: &str) -> Failed {
    Failed { error: error.to_owned(), retry_after: None, silent: Duration::ZERO, local: false }
}

fn failed(error: &str) -> Input {
    Input::Failed(failure(error))
}

fn at(seconds: u64) -> Moment {
    Moment::after_origin(Duration::from_secs(seconds))
}

fn watch() -> Watch {
    Watch::new(Duration::from_secs(2))
}

/// The events of each input in turn, ten seconds apart.
fn events(inputs: Vec<Input>) -> Vec<Vec<Event>> {
    let step = |(watch, now): &mut (Watch, u64), input| {
        let (next, events) = watch.clone().step(input, at(*now));
        (*watch, *now) = (next, *now + 10);
        Some(events)
    };
    inputs.into_iter().scan((watch(), 0), step).collect()
}

fn recovered(entries: &[&str], since: u64, lasted: u64) -> Event {
    let outage = Outage { since: at(since), lasted: Duration::from_secs(lasted) };
    Event::Recovered { nodes: listing(entries).nodes, outage }
}

#[test]
fn says_the_whole_list_then_the_differences() {
    let said = events(vec![list(&["a:1", "b:1"]), list(&["b:1", "a:1"]), list(&["c:1", "b:1"]), list(&[])]);
    assert_eq!(said[0], [Event::List(vec![node("a:1"), node("b:1")])]);
    assert_eq!(said[1], []);
    assert_eq!(said[2], [Event::Leave(node("a:1")), Event::Join(node("c:1"))]);
    assert_eq!(said[3], [Event::Leave(node("b:1")), Event::Leave(node("c:1"))]);
}

#[test]
fn an_outage_is_said_once_and_takes_no_node_away() {
    let refused = || failed("refused");
    let said = events(vec![list(&["a:1"]), refused(), failed("slow"), refused(), list(&["a:1", "b:1"]), refused()]);
    assert_eq!(said[1], [Event::Error("refused".into()), Event::Stale { since: at(10) }]);
    assert_eq!(said[2], [Event::Error("slow".into())]);
    assert_eq!(said[3], []);
    assert_eq!(said[4], [recovered(&["a:1", "b:1"], 10, 30), Event::Join(node("b:1"))]);
    assert_eq!(said[5], [Event::Error("refused".into()), Event::Stale { since: at(50) }], "a new outage");
}

#[test]
fn an_outage_begins_when_nothing_more_was_heard() {
    let hung = Input::Failed(Failed { silent: Duration::from_secs(7), ..failure("no answer") });
    let said = events(vec![list(&["a:1"]), hung, list(&["a:1"])]);
    assert_eq!(said[1], [Event::Error("no answer".into()), Event::Stale { since: at(3) }]);
    assert_eq!(said[2], [recovered(&["a:1"], 3, 17)]);
}

#[test]
fn a_watch_that_begins_in_an_outage_ends_it_with_the_list() {
    let said = events(vec![failed("refused"), list(&["a:1"])]);
    assert_eq!(said[0], [Event::Error("refused".into())], "there is no list that could be stale");
    assert_eq!(said[1], [Event::List(vec![node("a:1")])]);
}

#[test]
fn a_bad_entry_is_said_when_it_is_new() {
    let said = events(vec![list(&["junk", "a:1"]), list(&["junk"]), list(&[]), list(&["junk"])]);
    assert!(matches!(&said[0][..], [Event::List(_), Event::Skipped(skipped)] if skipped.entry == "junk"));
    assert_eq!(said[1], [Event::Leave(node("a:1"))]);
    assert!(matches!(&said[3][..], [Event::Skipped(_)]));
}

#[test]
fn waits_longer_and_longer_while_it_fails() {
    let seconds = |watch: &Watch, jitter| watch.pause(jitter).as_secs_f64();
    let mut watch = watch();
    assert!((seconds(&watch, 0.0) - 1.8).abs() < 1e-6 && (seconds(&watch, 1.0) - 2.2).abs() < 1e-6);
    let mut pauses = Vec::new();
    for _ in 0..7 {
        watch = watch.step(failed("x"), at(0)).0;
        pauses.push(watch.pause(1.0).as_secs());
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
    let asked = |seconds| Input::Failed(Failed { retry_after: Some(Duration::from_secs(seconds)), ..failure("x") });
    assert_eq!(watch.clone().step(asked(60), at(0)).0.pause(0.0).as_secs(), 60);
    assert_eq!(watch.clone().step(asked(86_400), at(0)).0.pause(0.0), RETRY_AFTER_CAP);
    assert!(watch.step(list(&[]), at(0)).0.pause(1.0) < Duration::from_secs(3));
}

#[test]
fn a_file_of_this_host_is_looked_for_each_second() {
    let gone = || Input::Failed(Failed { local: true, ..failure("it is not there") });
    let watch = (0..20).fold(watch(), |watch, _| watch.step(gone(), at(0)).0);
    assert_eq!(watch.pause(0.0), Duration::from_secs(1));
    let elsewhere = watch.step(failed("no answer"), at(0)).0;
    assert_eq!(elsewhere.pause(1.0), BACKOFF_CAP);
}

#[test]
fn a_call_that_waits_for_changes_is_made_again_at_once_unless_it_does_not_wait() {
    let waited = |entries: &[&str], millis| Input::Listed {
        listing: listing(entries),
        waited: Some(Duration::from_millis(millis)),
    };
    let first = watch().step(waited(&["a:1"], 0), at(0)).0;
    assert_eq!(first.pause(0.5), FLOOR, "the first list is news");
    let patient = first.clone().step(waited(&["a:1"], 55_000), at(55)).0;
    assert_eq!(patient.pause(0.5), FLOOR);
    let changed = patient.clone().step(waited(&["b:1"], 3), at(56)).0;
    assert_eq!(changed.pause(0.5), FLOOR);
    let early = patient.step(waited(&["a:1"], 3), at(56)).0;
    assert_eq!(early.pause(0.5), Duration::from_secs(2), "it says nothing new and did not wait");
    assert_eq!(changed.step(failed("x"), at(57)).0.pause(1.0), Duration::from_secs(1));
    let quick = Watch::new(Duration::from_millis(100)).step(waited(&["a:1"], 0), at(0)).0;
    assert_eq!(quick.pause(0.5), Duration::from_millis(100), "the interval is the most");
}

/// What somebody knows who takes in the events.
#[derive(Default)]
struct Consumer {
    nodes: BTreeSet<NodeAddress>,
    stale: bool,
}

impl Consumer {
    /// `whole`: begins anew at each whole list, else keeps to joins and leaves.
    fn take(&mut self, event: &Event, whole: bool) {
        match event {
            Event::List(nodes) => self.nodes = nodes.iter().cloned().collect(),
            Event::Join(node) => assert!(self.nodes.insert(node.clone()) || whole, "{node} was there"),
            Event::Leave(node) => assert!(self.nodes.remove(node) || whole, "{node} was not there"),
            Event::Stale { .. } => assert!(!std::mem::replace(&mut self.stale, true), "said twice"),
            Event::Recovered { nodes, .. } => {
                assert!(std::mem::replace(&mut self.stale, false), "nothing was stale");
                if whole {
                    self.nodes = nodes.iter().cloned().collect();
                }
            }
            Event::Skipped(_) | Event::Error(_) => {}
        }
    }
}

fn any_input() -> impl Strategy<Value = Input> {
    let entry = prop_oneof![4 => (0..6u8).prop_map(|n| format!("n{n}:1")), 1 => Just("junk".to_owned())];
    let waited = proptest::option::of((0..60_000u64).prop_map(Duration::from_millis));
    let listed = (proptest::collection::vec(entry, 0..6), waited)
        .prop_map(|(entries, waited)| Input::Listed { listing: Listing::of_addresses(entries), waited });
    let failed = ("[ab]", 0..100u64, any::<bool>()).prop_map(|(error, silent, local)| {
        Input::Failed(Failed { silent: Duration::from_secs(silent), local, ..failure(&error) })
    });
    prop_oneof![2 => listed, 1 => failed]
}

proptest! {
    /// Whatever happens on the way, and whether or not the whole lists are heeded.
    #[test]
    fn a_consumer_ends_with_the_last_list(inputs in proptest::collection::vec(any_input(), 0..40)) {
        let last = inputs.iter().rev().find_map(|input| match input {
            Input::Listed { listing, .. } => Some(listing.nodes.iter().cloned().collect::<BTreeSet<_>>()),
            Input::Failed(_) => None,
        });
        let fails = matches!(inputs.last(), Some(Input::Failed(_)));
        let (mut watch, mut by_lists, mut by_steps) = (watch(), Consumer::default(), Consumer::default());
        for (now, input) in (0..).zip(inputs) {
            let (next, events) = watch.step(input, at(now));
            events.iter().for_each(|event| by_lists.take(event, true));
            events.iter().for_each(|event| by_steps.take(event, false));
            let pause = next.pause(0.5);
            prop_assert!(pause >= Duration::from_millis(100) && pause <= BACKOFF_CAP, "{pause:?}");
            watch = next;
        }
        prop_assert_eq!(watch.nodes(), last.as_ref());
        prop_assert_eq!(by_steps.stale, fails && last.is_some());
        prop_assert_eq!(by_lists.nodes, last.clone().unwrap_or_default());
        prop_assert_eq!(by_steps.nodes, last.unwrap_or_default());
    }
}
