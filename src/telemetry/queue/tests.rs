use super::*;
use std::sync::Mutex;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;

/// Writes what arrives as `name=value` lines; the first entry waits until it may go on.
struct Sink {
    lines: Arc<Mutex<Vec<String>>>,
    gate: Mutex<Option<mpsc::Receiver<()>>>,
}

impl<S: Subscriber> Layer<S> for Sink {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if let Some(gate) = self.gate.lock().unwrap().take() {
            let _ = gate.recv();
        }
        let mut line = String::new();
        event.record(&mut |field: &Field, value: &dyn fmt::Debug| line.push_str(&format!("{field}={value:?} ")));
        self.lines.lock().unwrap().push(line);
    }
}

type Lines = Arc<Mutex<Vec<String>>>;

fn sink() -> (Lines, mpsc::Sender<()>, Dispatch) {
    let lines = Lines::default();
    let (open, gate) = mpsc::channel();
    let sink = Sink { lines: Arc::clone(&lines), gate: Mutex::new(Some(gate)) };
    (lines, open, Dispatch::new(Registry::default().with(sink)))
}

#[test]
fn an_entry_arrives_as_it_was_logged() {
    let (lines, open, dispatch) = sink();
    open.send(()).unwrap();
    let (queue, flush) = start(dispatch, Restraint::default()).unwrap();
    tracing::subscriber::with_default(Registry::default().with(queue), || {
        tracing::info!(message_id = "aa", failures = 3_u64, ok = false, skipped = None::<u64>, "no {}", "answer");
    });
    flush.flush(Duration::from_secs(10));
    assert_eq!(*lines.lock().unwrap(), [r#"message="no answer" message_id="aa" failures=3 ok=false "#]);
}

#[test]
fn a_writer_that_hangs_blocks_nobody_and_what_is_lost_is_counted() {
    let (lines, open, dispatch) = sink();
    let (queue, flush) = start(dispatch, Restraint::default()).unwrap();
    tracing::subscriber::with_default(Registry::default().with(queue), || {
        for turn in 0..3 * CAPACITY {
            tracing::info!(turn, "beat");
        }
    });
    open.send(()).unwrap();
    // the queue is full, so the flush finds no place until the writer has caught up
    let (done, wait) = mpsc::channel();
    flush.0.send(Item::Flush(done)).unwrap();
    wait.recv_timeout(Duration::from_secs(10)).unwrap();
    let lines = lines.lock().unwrap();
    let lost = lines.iter().find(|line| line.contains("log entries were dropped")).expect("the loss is said");
    assert!(lines.len() <= CAPACITY + 4 && lost.contains("20"), "{lost}");
}

/// What arrives of what `log` says.
fn arrives(log: impl FnOnce()) -> Vec<String> {
    let (lines, open, dispatch) = sink();
    open.send(()).unwrap();
    let (queue, flush) = start(dispatch, Restraint::default()).unwrap();
    tracing::subscriber::with_default(Registry::default().with(queue), log);
    flush.flush(Duration::from_secs(10));
    lines.lock().unwrap().clone()
}

#[test]
fn what_a_library_warns_of_is_an_event_too() {
    let lines =
        arrives(|| tracing::warn!(target: "zbus::connection", cause = "reset", tries = 2_u64, "the bus is gone"));
    let said = r#"message=zbus::connection: the bus is gone cause=reset tries=2 message_id="92b0a4118faa497e8d4400d34a68fbc6""#;
    assert!(lines.len() == 1 && lines[0].starts_with(said), "{lines:?}");
    assert!(lines[0].contains(r#"swarm_agent_module="zbus::connection""#), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn what_flaps_is_held_back_and_the_next_of_its_kind_says_so() {
    use tokio::time::advance;
    let (lines, open, dispatch) = sink();
    open.send(()).unwrap();
    let restraint = Restraint::default();
    let (queue, flush) = start(dispatch, restraint.clone()).unwrap();
    let _default = tracing::subscriber::set_default(Registry::default().with(queue));
    let lost = || events::emit(&events::Event::ManagerLost { unit: "docker.service", reason: "gone" });
    (0..20).for_each(|_| lost());
    tracing::warn!(target: "zbus", "again");
    events::emit(&events::Event::Reloaded { changed: "", at_restart: "" });
    advance(Duration::from_secs(60)).await;
    restraint.tell("registered");
    restraint.tell("registered");
    advance(Duration::from_secs(540)).await;
    lost();
    restraint.set(LevelFilter::DEBUG);
    (0..20).for_each(|_| lost());
    flush.flush(Duration::from_secs(10));

    let lines = lines.lock().unwrap();
    let message = |line: &String| line.split(" message_id=").next().unwrap().replace("message=", "").replace('"', "");
    let said: Vec<String> = lines.iter().map(message).collect();
    let lost = "the state of docker.service can't be told: gone; trying on";
    let mut expected = vec![lost.to_owned(); 6];
    expected.extend(["zbus: again".to_owned(), "configuration reloaded: nothing changed".to_owned()]);
    expected.push("14 entries were held back in the last 1m (manager-lost 14); now: registered".to_owned());
    expected.push(format!("{lost} (14 like this were held back before it)"));
    expected.extend(vec![lost.to_owned(); 20]);
    assert_eq!(said, expected);
}
