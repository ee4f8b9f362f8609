//! The Grafana dashboard.

use crate::exposition::Catalogue;
use crate::promtool::promtool;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Write;

const DASHBOARD: &str = "packaging/grafana/swarm-agent.json";

fn dashboard() -> Value {
    serde_json::from_str(&crate::read(DASHBOARD)).expect(DASHBOARD)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// All of them, rows and what is inside a folded row too.
fn panels(dashboard: &Value) -> Vec<&Value> {
    list(&dashboard["panels"]).iter().flat_map(|panel| std::iter::once(panel).chain(list(&panel["panels"]))).collect()
}

fn is_row(panel: &Value) -> bool {
    panel["type"] == "row"
}

fn text<'v>(value: &'v Value, what: &str) -> &'v str {
    value.as_str().filter(|text| !text.trim().is_empty()).unwrap_or_else(|| panic!("{what} has no text: {value}"))
}

/// Each expression with the title of its panel, and with something in place of Grafana's variables.
fn expressions(dashboard: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for panel in panels(dashboard) {
        for target in list(&panel["targets"]) {
            found.push((panel["title"].to_string(), text(&target["expr"], "a target").to_owned()));
        }
    }
    for variable in list(&dashboard["templating"]["list"]).iter().filter(|variable| variable["type"] == "query") {
        let query = text(&variable["query"]["query"], "a variable");
        let inside =
            query.strip_prefix("label_values(").and_then(|rest| rest.rsplit_once(',')).expect("label_values(…)");
        found.push((variable["name"].to_string(), inside.0.to_owned()));
    }
    let fill = |expression: &str| {
        let filled = expression.replace("$job", ".*").replace("$instance", ".*").replace("$__rate_interval", "5m");
        assert!(!filled.contains('$'), "{expression} has a variable that nobody fills in");
        filled
    };
    found.into_iter().map(|(title, expression)| (title, fill(&expression))).collect()
}

#[test]
fn every_panel_says_what_it_shows_and_in_which_unit() {
    let dashboard = dashboard();
    let shown: Vec<_> = panels(&dashboard).into_iter().filter(|panel| !is_row(panel)).collect();
    assert!(shown.len() > 10);
    for panel in shown {
        let title = text(&panel["title"], "a panel");
        assert!(text(&panel["description"], title).ends_with('.'), "{title}");
        text(&panel["fieldConfig"]["defaults"]["unit"], title);
        assert_eq!(panel["datasource"], json!({"type": "prometheus", "uid": "${datasource}"}), "{title}");
        let targets = list(&panel["targets"]);
        assert!(!targets.is_empty(), "{title} shows nothing");
        let names: BTreeSet<_> = targets.iter().map(|target| text(&target["refId"], title)).collect();
        assert_eq!(names.len(), targets.len(), "{title}: two targets have one name");
    }
}

#[test]
fn panels_have_ids_of_their_own_and_do_not_overlap() {
    let dashboard = dashboard();
    let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels(&dashboard) {
        let title = text(&panel["title"], "a panel");
        assert!(ids.insert(panel["id"].as_u64().expect("an id")), "{title}: its id is another's too");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().expect("a place"));
        assert!(w > 0 && h > 0 && x + w <= 24, "{title} is outside the grid");
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(cell), "{title} overlaps another panel at {cell:?}");
        }
    }
}

#[test]
fn panels_ask_only_for_what_there_is() {
    let catalogue = Catalogue::with_neighbours();
    for (title, expression) in expressions(&dashboard()) {
        // any value of a target's label is possible
        assert_eq!(catalogue.complaints(&expression), [""; 0], "{title}: {expression}");
    }
}

#[test]
fn every_panel_follows_the_choice_of_job_and_instance() {
    let dashboard = dashboard();
    let variables: Vec<_> = list(&dashboard["templating"]["list"]).iter().map(|v| v["name"].as_str()).collect();
    assert_eq!(variables, [Some("datasource"), Some("job"), Some("instance")]);
    for panel in panels(&dashboard) {
        for target in list(&panel["targets"]) {
            let expression = text(&target["expr"], "a target");
            for selector in crate::promql::Selector::all(expression) {
                let chosen = [selector.label("job"), selector.label("instance")];
                assert_eq!(chosen, [Some("$job"), Some("$instance")], "{}: {expression}", panel["title"]);
            }
        }
    }
}

/// A legend with a label that the result does not have shows nothing in its place.
#[test]
fn legends_name_labels_that_are_left() {
    for panel in panels(&dashboard()) {
        for target in list(&panel["targets"]) {
            let (expression, legend) = (text(&target["expr"], "a target"), text(&target["legendFormat"], "a legend"));
            let labels = legend.split("{{").skip(1).map(|rest| rest.split_once("}}").expect("a label ends").0);
            let kept = crate::promql::groupings(expression);
            for label in labels {
                let by = !expression.contains(" by (") || kept.iter().any(|kept| kept == label);
                let of_all = ["sum(", "count("].iter().any(|all| expression.starts_with(all));
                assert!(by && !of_all, "{}: {legend}, but {expression}", panel["title"]);
                assert!(label == "instance" || has_label(expression, label), "{}: {legend}", panel["title"]);
            }
        }
    }
}

fn has_label(expression: &str, label: &str) -> bool {
    let catalogue = Catalogue::of_the_agent();
    crate::promql::Selector::all(expression).iter().all(|selector| catalogue.has(&selector.metric, label))
}

/// promtool reads expressions in rules only.
#[test]
fn promtool_understands_every_expression() {
    let rule = |(at, (_, expr)): (usize, (String, String))| json!({"record": format!("dashboard:{at}"), "expr": expr});
    let rules: Vec<_> = expressions(&dashboard()).into_iter().enumerate().map(rule).collect();
    let mut file = tempfile::Builder::new().suffix(".yml").tempfile().expect("a temporary file");
    // JSON is YAML
    write!(file, "{}", json!({"groups": [{"name": "dashboard", "rules": rules}]})).expect("it can be written");
    promtool(["check", "rules", "--lint=none"].map(Into::into).into_iter().chain([file.path().to_owned()]), "");
}
