//! The diagram is what the machine does: all of its phases and the acts between them, found by trying every input in each
//! state that can be reached.

use super::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/supervision.md");
const FENCE: (&str, &str) = ("```mermaid\n", "```\n");

fn phase(state: &Supervision) -> &'static str {
    match state.phase {
        Phase::Watching => "watching",
        Phase::Waiting { .. } => "waiting",
        Phase::Assessing => "assessing",
        Phase::Restarting(_) => "restarting",
        Phase::GivenUp { .. } => "given up",
    }
}

fn input_name(input: Input) -> &'static str {
    match input {
        Input::Condition(condition) if condition.culprit().is_some() => "a fault",
        Input::Condition(_) => "no fault",
        Input::Risk(risk) if risk.is_there() => "containers at risk",
        Input::Risk(_) => "no risk",
        Input::Ended => "ended",
        Input::Reset => "reset",
        Input::Settings(_) => "settings",
        Input::Tick => "time",
    }
}

fn act_name(act: Act) -> String {
    match act {
        Act::Assess => "assess".to_owned(),
        Act::Restart(_) => "restart".to_owned(),
        Act::Would(_) => "would restart".to_owned(),
        Act::Refuse(_, refusal) => format!("refuse: {}", refusal.name()),
        Act::GiveUp { .. } => "give up".to_owned(),
    }
}

/// Each edge with the inputs that lead along it.
fn edges() -> BTreeMap<(&'static str, &'static str, String), BTreeSet<&'static str>> {
    let enforce = SupervisionSettings { budget: 2, window: Duration::from_secs(180), ..SETTINGS };
    let dry = SupervisionSettings { mode: SupervisionMode::DryRun, ..enforce };
    let off = SupervisionSettings { mode: SupervisionMode::Off, ..enforce };
    let conditions =
        [Condition::Failed, Condition::Hung, Condition::RuntimeGone, Condition::Working, Condition::Stopped];
    let mut inputs: Vec<Input> = conditions.map(Input::Condition).to_vec();
    inputs.extend([NO_RISK, Risk { containers: None, live_restore: None }].map(Input::Risk));
    inputs.extend([Input::Ended, Input::Reset, Input::Tick]);
    inputs.extend([enforce, dry, off].map(Input::Settings));
    // long enough for each guard to end, and for none
    let steps = [0, 60, 180];
    let mut edges = BTreeMap::<_, BTreeSet<_>>::new();
    let mut open = vec![Supervision::new(enforce, Vec::new(), at(0))];
    let mut seen = BTreeSet::new();
    while let Some(state) = open.pop() {
        for (input, step) in inputs.iter().flat_map(|input| steps.map(|step| (*input, step))) {
            let now = state.now + Duration::from_secs(step);
            let (after, act) = state.clone().step(input, now);
            let by_itself = state.clone().step(Input::Tick, now) == (after.clone(), act);
            let name = if by_itself { input_name(Input::Tick) } else { input_name(input) };
            let act = act.map(act_name).unwrap_or_default();
            if phase(&state) != phase(&after) || !act.is_empty() {
                edges.entry((phase(&state), phase(&after), act)).or_default().insert(name);
            }
            if seen.insert(key(&after)) {
                open.push(after);
            }
        }
    }
    edges
}

/// The same but for when it is.
fn key(state: &Supervision) -> String {
    let age = |moment: Moment| state.now.since(moment).as_secs();
    let ahead = |moment: Moment| moment.since(state.now).as_secs();
    let window = state.settings.window.as_secs();
    let ages = state.history.iter().map(|attempt| (age(attempt.at), attempt.dry));
    let history: Vec<_> = ages.filter(|(age, _)| *age < window).collect();
    let refused = state.refused.map(|(repair, refusal)| (repair, refusal.name()));
    let up = state.up_since.map(|since| age(since).min(60));
    let wait = state.wake_at().map(ahead);
    format!("{:?}{:?}{up:?}{}{wait:?}{refused:?}{history:?}", state.settings.mode, state.condition, phase(state))
}

/// `BLESS=1 cargo test --lib diagram` writes it anew.
#[test]
fn the_diagram_is_what_the_machine_does() {
    let mut text = "stateDiagram-v2\n    [*] --> watching\n".to_owned();
    for ((from, to, act), inputs) in edges() {
        let inputs: Vec<_> = inputs.into_iter().collect();
        let act = if act.is_empty() { act } else { format!(" / {act}") };
        writeln!(text, "    {} --> {} : {}{act}", from.replace(' ', "_"), to.replace(' ', "_"), inputs.join(", "))
            .unwrap();
    }
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page.split_once(FENCE.0).expect("a diagram in the page");
    let (shown, after) = rest.split_once(FENCE.1).expect("its end");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(PAGE, [before, FENCE.0, &text, FENCE.1, after].concat()).unwrap();
    } else {
        assert_eq!(shown, text, "BLESS=1 cargo test --lib diagram");
    }
}
