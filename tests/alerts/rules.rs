//! The alert rules, and promtool's tests of them.

use crate::exposition::Catalogue;
use crate::promql::Selector;
use crate::promtool::promtool;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

const RULES: &str = "packaging/prometheus/swarm-agent.rules.yml";
const TESTS: &str = "packaging/prometheus/swarm-agent.rules.test.yml";

#[derive(Deserialize)]
struct Rules {
    groups: Vec<RuleGroup>,
}

#[derive(Deserialize)]
struct RuleGroup {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    alert: String,
    expr: String,
    #[serde(rename = "for")]
    pending: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Tests {
    tests: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    name: String,
    input_series: Vec<Series>,
    promql_expr_test: Vec<Question>,
}

#[derive(Deserialize)]
struct Series {
    series: String,
}

#[derive(Deserialize)]
struct Question {
    exp_samples: Vec<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    labels: String,
}

fn alerts() -> Vec<Rule> {
    let rules: Rules = serde_saphyr::from_str(&crate::read(RULES)).expect(RULES);
    let rules: Vec<_> = rules.groups.into_iter().flat_map(|group| group.rules).collect();
    assert!(rules.len() > 15, "there are only {} alerts", rules.len());
    rules
}

fn tests() -> Vec<Group> {
    let tests: Tests = serde_saphyr::from_str(&crate::read(TESTS)).expect(TESTS);
    tests.tests
}

fn one(text: &str) -> Selector {
    let mut found = Selector::all(text);
    assert_eq!(found.len(), 1, "{text} is not one series");
    found.remove(0)
}

fn metrics(rule: &Rule) -> BTreeSet<String> {
    Selector::all(&rule.expr).into_iter().map(|selector| selector.metric).collect()
}

impl Group {
    /// What each target has in this test, by job and instance.
    fn targets(&self) -> BTreeMap<(String, String), BTreeSet<String>> {
        let mut targets = BTreeMap::<_, BTreeSet<_>>::new();
        for series in &self.input_series {
            let series = one(&series.series);
            let label = |name| series.label(name).unwrap_or_else(|| panic!("{series:?} has no {name}")).to_owned();
            targets.entry((label("job"), label("instance"))).or_default().insert(series.metric);
        }
        targets
    }

    /// Whom the alert is expected for: job, and instance unless it is about all of them.
    fn fired(&self, alert: &str) -> Vec<(String, Option<String>)> {
        let expected = self.promql_expr_test.iter().flat_map(|question| &question.exp_samples);
        let found = expected.map(|expected| one(&format!("ALERTS{}", expected.labels)));
        let own = found.filter(|found| found.label("alertname") == Some(alert));
        own.map(|found| (found.label("job").expect("a job").to_owned(), found.label("instance").map(str::to_owned)))
            .collect()
    }
}

#[test]
fn promtool_accepts_the_rules() {
    let text = promtool(
        ["check", "rules", "--lint=all", "--lint-fatal"].map(Into::into).into_iter().chain([crate::source(RULES)]),
        "",
    );
    assert!(text.contains("SUCCESS"), "{text}");
}

#[test]
fn promtool_passes_the_rules_tests() {
    promtool(["test", "rules"].map(Into::into).into_iter().chain([crate::source(TESTS)]), "");
}

#[test]
fn every_alert_tells_an_operator_what_how_bad_and_what_to_do() {
    let mut names = BTreeSet::new();
    for rule in alerts() {
        let name = &rule.alert;
        assert!(name.starts_with("SwarmAgent") && names.insert(name.clone()), "{name} is no name of its own");
        assert!(["critical", "warning"].contains(&rule.labels["severity"].as_str()), "{name}");
        assert!(rule.pending != "0m" && rule.pending != "0s", "{name} fires at once");
        let (summary, description) = (&rule.annotations["summary"], &rule.annotations["description"]);
        assert!((20..=110).contains(&summary.len()), "{name}: {summary}");
        assert!((150..=600).contains(&description.len()) && description.ends_with('.'), "{name}: {description}");
        // what is summed over the job has no instance to name
        let of_all = rule.expr.contains("by (job");
        assert!(of_all != summary.contains("{{ $labels.instance }}: "), "{name}: {summary}");
    }
}

#[test]
fn rules_and_their_tests_ask_only_for_what_there_is() {
    let catalogue = Catalogue::with_neighbours();
    for rule in alerts() {
        assert_eq!(catalogue.complaints(&rule.expr), [""; 0], "{}", rule.alert);
    }
    for group in tests() {
        for series in &group.input_series {
            assert_eq!(catalogue.complaints(&series.series), [""; 0], "{}", group.name);
        }
    }
}

#[test]
fn every_alert_is_tested_with_a_target_that_fires_it_and_one_that_must_not() {
    let tests = tests();
    for rule in alerts() {
        let alert = &rule.alert;
        let own: Vec<_> = tests.iter().filter(|group| group.name == *alert).collect();
        let [group] = own[..] else { panic!("{alert} has {} groups of tests", own.len()) };
        let (targets, fired, needed) = (group.targets(), group.fired(alert), metrics(&rule));
        let fires = |(job, instance): &(String, String)| {
            fired.iter().any(|(on_job, on)| on_job == job && on.as_ref().is_none_or(|on| on == instance))
        };
        // what lacks a metric of the rule could not fire it anyway
        let able: Vec<_> =
            targets.iter().filter(|(_, has)| has.is_superset(&needed)).map(|(target, _)| target).collect();
        assert!(targets.keys().any(fires), "no test of {alert} fires it");
        assert!(able.iter().any(|target| !fires(target)), "no test of {alert} has a target that must not fire it");
    }
}

/// An alert about the entry or the engine is not for nodes that somebody has taken out.
#[test]
fn alerts_about_entry_and_engine_have_a_test_with_a_drained_node() {
    let about = ["swarm_agent_registered", "swarm_agent_engine_state", "swarm_agent_advertised_address"];
    for rule in alerts().iter().filter(|rule| metrics(rule).contains("swarm_agent_drained")) {
        if !metrics(rule).iter().any(|metric| about.contains(&metric.as_str())) {
            continue;
        }
        let group = tests().into_iter().find(|group| group.name == rule.alert).expect("each alert has its tests");
        let drained = |(job, instance): &(String, String)| job == "drained" || instance == "drained";
        assert!(group.targets().keys().any(drained), "{} has no test with a drained node", rule.alert);
        let fired = group.fired(&rule.alert);
        assert!(!fired.iter().any(|(job, on)| drained(&(job.clone(), on.clone().unwrap_or_default()))));
    }
}
