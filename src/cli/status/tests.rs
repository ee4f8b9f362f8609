use super::text::render;
use crate::model::report::{Overall, Report};

/// The one that docs/status.md shows.
fn documented() -> Report {
    let page = include_str!("../../../docs/status.md");
    let example = page.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap_or_default();
    serde_json::from_str(example).unwrap()
}

#[test]
fn the_status_is_one_screen_with_what_matters_first() {
    let text = render(&documented()).render(false);
    let expected = "\
swarm-agent on node-7
  state       degraded
  problems    the last heartbeat failed: no connection to http://disco:8970: connection refused
  address     10.0.0.5:2375 (advertise = \"auto:2375\")
  reach       proved: this host's engine answers there
  drained     by root until 2026-11-26 04:30:00 UTC: new kernel, 30m ago
  server      http://disco:8970
  registered  10.0.0.5:2375 since 2026-11-26 02:00:01 UTC, 59m 59s ago
  lease       renewed 1m ago, 2m of 3m left, next beat in 2s
  last error  no connection to http://disco:8970: connection refused (2026-11-26 02:59:58 UTC, 2s ago)
  engine      28.5.1 healthy, 3 containers
  unit        docker.service active (running)
  D-Bus       connected
  repair      1 of 3 restarts used
              last, hung: the engine works again after 4.2 s (2026-11-26 02:30:00 UTC, 30m ago; swarm-agent why)
  watchdog    every task turns; systemd's limit is 30s
  embedded    cluster of one, on this host only
  config      read 2026-11-26 02:00:00 UTC, 1h ago
  agent       0.1.0, PID 207, started 2026-11-26 02:00:00 UTC, 1h ago
";
    assert_eq!(text, expected);
}

#[test]
fn what_is_wrong_stands_out_on_a_terminal() {
    let mut report = documented();
    report.state = Overall::NotRegistered;
    report.registration.state = "absent".to_owned();
    report.registration.registered = false;
    report.registration.lease = None;
    report.systemd.connected = false;
    report.systemd.why = Some("no bus".to_owned());
    report.systemd.unit_state = None;
    report.engine.state = "unknown".to_owned();
    report.engine.text = "unknown: no bus".to_owned();
    report.configuration.errors = vec!["a.toml:2:7: discovery.ttl: must be greater\x1b[2J".to_owned()];
    let text = render(&report).render(true);
    for line in [
        "  state       \x1b[31mnot registered\x1b[0m\n",
        "  registered  \x1b[31mno\x1b[0m\n",
        "  engine      \x1b[33munknown\x1b[0m\n",
        "  D-Bus       \x1b[33msystemd can't be asked: no bus\x1b[0m\n",
        "              \x1b[31mnot reloaded: a.toml:2:7: discovery.ttl: must be greater?[2J\x1b[0m\n",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
    assert!(!text.contains("  lease"), "{text}");
}
