//! The metrics that the agent exposes: are they what Prometheus likes to read, and does the README list them?

use crate::promql::{Matcher, Selector};
use crate::promtool::promtool;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use swarm_agent::telemetry::metrics::{Metrics, Operation, Sample};

/// Labels that Prometheus gives to every series of a target.
const TARGET_LABELS: [&str; 2] = ["job", "instance"];

/// A scrape in which everything has a value.
pub fn text() -> String {
    let metrics = Metrics::new();
    metrics.request(Operation::Register, Duration::from_millis(2), None);
    metrics.request(Operation::Register, Duration::from_secs(3), Some("timeout"));
    metrics.request(Operation::Deregister, Duration::from_millis(2), Some("status"));
    metrics.probe(Duration::from_millis(1), None);
    metrics.reload(true);
    metrics.render(&sample()).expect("every family has a name and a series")
}

fn sample() -> Sample {
    Sample {
        version: env!("CARGO_PKG_VERSION"),
        started_at: 1_764_000_000.25,
        registered: true,
        lease_left: Some(Duration::from_secs(150)),
        ttl: Duration::from_secs(180),
        heartbeat: Duration::from_secs(60),
        last_renewal_at: Some(1_764_000_030.0),
        lease_at_risk: false,
        engine_state: "healthy",
        engine_condition: "working",
        repair_refused: None,
        repairs_in_window: (0, 3),
        containers_running: Some(3),
        advertised: Some("proved"),
        dbus_connected: true,
        watchdog_margin: Duration::from_secs(20),
        watchdog_timeout: Some(Duration::from_secs(30)),
        config_valid: true,
        config_loaded_at: 1_764_000_001.0,
        drained: false,
        drain_ends_at: Some(1_764_003_600.0),
        hosting_failed: false,
        log_dropped: 0,
        log_held: 0,
    }
}

/// The values that a label of a metric has.
type Labels = BTreeMap<String, BTreeSet<String>>;

/// Every name that can be asked for (`…_bucket` too), with its labels.
pub struct Catalogue(BTreeMap<String, Labels>);

impl Catalogue {
    pub fn of_the_agent() -> Self {
        let mut catalogue = BTreeMap::<String, Labels>::new();
        for line in text().lines().filter(|line| !line.starts_with('#')) {
            let (series, _) = line.rsplit_once(' ').expect("a series and its value");
            for selector in Selector::all(series) {
                let labels = catalogue.entry(selector.metric).or_default();
                for Matcher { label, value, .. } in selector.matchers {
                    labels.entry(label).or_default().insert(value);
                }
            }
        }
        Self(catalogue)
    }

    /// Also what Prometheus itself and its node_exporter have, as far as a rule needs it.
    pub fn with_neighbours() -> Self {
        let mut catalogue = Self::of_the_agent();
        catalogue.0.insert("up".to_owned(), Labels::new());
        let file = Labels::from([("file".to_owned(), BTreeSet::new())]);
        catalogue.0.insert("node_textfile_mtime_seconds".to_owned(), file);
        catalogue
    }

    pub fn has(&self, metric: &str, label: &str) -> bool {
        self.0.get(metric).is_some_and(|labels| labels.contains_key(label))
    }

    /// What is wrong with an expression: names and labels that don't exist, and values that a label never has.
    pub fn complaints(&self, expression: &str) -> Vec<String> {
        let selectors = Selector::all(expression);
        let mut wrong: Vec<_> = selectors.iter().flat_map(|selector| self.unknown(selector)).collect();
        let labels = |selector: &Selector| self.0.get(&selector.metric).into_iter().flat_map(BTreeMap::keys).cloned();
        let known: BTreeSet<_> = selectors.iter().flat_map(labels).collect();
        let groupings = crate::promql::groupings(expression);
        let unknown = |label: &String| !TARGET_LABELS.contains(&label.as_str()) && !known.contains(label);
        wrong.extend(groupings.into_iter().filter(unknown).map(|label| format!("no metric has the label {label}")));
        if selectors.is_empty() {
            wrong.push("it asks for no metric".to_owned());
        }
        wrong
    }

    fn unknown(&self, Selector { metric, matchers }: &Selector) -> Vec<String> {
        let Some(labels) = self.0.get(metric) else { return vec![format!("there is no metric {metric}")] };
        let own = matchers.iter().filter(|matcher| !TARGET_LABELS.contains(&matcher.label.as_str()));
        let complain = |matcher: &Matcher| match labels.get(&matcher.label) {
            None => Some(format!("{metric} has no label {}", matcher.label)),
            // a neighbour's label, whose values are not ours to know
            Some(values) if values.is_empty() => None,
            Some(values) => {
                let strange = matcher.alternatives().find(|value| !values.contains(*value))?;
                Some(format!("{} of {metric} is never {strange}", matcher.label))
            }
        };
        own.filter_map(complain).collect()
    }
}

/// The rows of the README's table: what the exposition says of itself.
fn rows(exposition: &str) -> Vec<String> {
    let catalogue = Catalogue::of_the_agent().0;
    let mut kinds = BTreeMap::new();
    for line in exposition.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            kinds.insert(name, kind);
        }
    }
    let helps = exposition.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' '));
    let row = |(name, help): (&str, &str)| {
        let labels = catalogue.get(name).into_iter().flat_map(BTreeMap::keys);
        let labels: String = labels.map(|label| format!("`{label}` ")).collect();
        format!("| `{name}` | {} | {labels}| {help} |", kinds[name])
    };
    helps.map(row).collect()
}

#[test]
fn promtool_has_nothing_to_say_about_the_metrics() {
    assert_eq!(promtool(["check", "metrics"], &text()), "");
}

#[test]
fn the_readme_lists_every_metric_as_it_describes_itself() {
    let readme = crate::read("README.md");
    let rows = rows(&text());
    assert!(rows.len() > 20, "{rows:#?}");
    let listed: Vec<_> = readme.lines().filter(|line| line.starts_with("| `swarm_agent_")).collect();
    assert!(listed == rows, "the README's table has to be\n{}", rows.join("\n"));
}

#[test]
fn a_wrong_name_label_or_value_is_found() {
    let catalogue = Catalogue::with_neighbours();
    for good in [
        r#"last_over_time(swarm_agent_engine_state{state=~"failed|faulty", job="x"}[5m]) == 1"#,
        "histogram_quantile(0.9, sum by (job, le) (rate(swarm_agent_probe_duration_seconds_bucket[15m])))",
        r#"up{job="swarm-agent"} == 0"#,
    ] {
        assert_eq!(catalogue.complaints(good), [""; 0], "{good}");
    }
    for (bad, complaint) in [
        ("swarm_agent_heartbeat_duration_seconds > 1", "there is no metric swarm_agent_heartbeat_duration_seconds"),
        (r#"swarm_agent_engine_state{finding="x"}"#, "swarm_agent_engine_state has no label finding"),
        (r#"swarm_agent_engine_state{state=~"failed|dead"}"#, "state of swarm_agent_engine_state is never dead"),
        (r#"swarm_agent_probe_failures_total{kind!="x"}"#, "kind of swarm_agent_probe_failures_total is never x"),
        ("sum by (state) (swarm_agent_registered)", "no metric has the label state"),
        ("swarm_agent_registered and on (host) up", "no metric has the label host"),
        ("1 > 0", "it asks for no metric"),
    ] {
        assert_eq!(catalogue.complaints(bad), [complaint], "{bad}");
    }
}
