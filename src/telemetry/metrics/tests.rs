use super::*;
use crate::model::{EngineHealth, Finding, ProbeFault};

fn sample() -> Sample {
    Sample {
        version: "1.2.3",
        started_at: 1_764_000_000.25,
        registered: true,
        lease_left: Some(Duration::from_millis(150_500)),
        ttl: Duration::from_secs(180),
        heartbeat: Duration::from_secs(60),
        last_renewal_at: Some(1_764_000_030.0),
        lease_at_risk: false,
        engine_state: "healthy",
        engine_condition: "working",
        repair_refused: None,
        repairs_in_window: (1, 3),
        containers_running: Some(3),
        advertised: Some("proved"),
        dbus_connected: true,
        watchdog_margin: Duration::from_secs(20),
        watchdog_timeout: Some(Duration::from_secs(30)),
        config_valid: true,
        config_loaded_at: 1_764_000_001.0,
        drained: false,
        drain_ends_at: None,
        hosting_failed: false,
        log_dropped: 0,
        log_held: 0,
    }
}

fn render(metrics: &Metrics, sample: &Sample) -> String {
    metrics.render(sample).expect("every family has a name and a series")
}

fn has(text: &str, line: &str) -> bool {
    text.lines().any(|found| found == line)
}

/// The series of a family, as they stand.
fn series<'t>(text: &'t str, name: &str) -> Vec<&'t str> {
    let own = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
    text.lines().filter(own).collect()
}

#[test]
fn every_count_is_zero_from_the_start() {
    let text = render(&Metrics::new(), &sample());
    for operation in ["register", "deregister"] {
        assert!(has(&text, &format!("swarm_agent_discovery_attempts_total{{operation=\"{operation}\"}} 0")));
        for kind in counts::REQUEST_FAILURES {
            let labels = format!("{{operation=\"{operation}\",kind=\"{kind}\"}}");
            assert!(has(&text, &format!("swarm_agent_discovery_failures_total{labels} 0")), "{labels}");
        }
    }
    for kind in ProbeFault::KINDS {
        assert!(has(&text, &format!("swarm_agent_probe_failures_total{{kind=\"{kind}\"}} 0")), "{kind}");
    }
    for outcome in ["success", "failure"] {
        assert!(has(&text, &format!("swarm_agent_reloads_total{{outcome=\"{outcome}\"}} 0")), "{outcome}");
    }
    for histogram in ["swarm_agent_heartbeat_duration_seconds", "swarm_agent_probe_duration_seconds"] {
        assert!(has(&text, &format!("{histogram}_count 0")) && has(&text, &format!("{histogram}_sum 0")));
        let buckets = series(&text, &format!("{histogram}_bucket"));
        assert!(
            (2..=12).contains(&buckets.len()) && buckets.iter().all(|bucket| bucket.ends_with(" 0")),
            "{buckets:?}"
        );
    }
}

#[test]
fn requests_are_counted_by_operation_and_failure_and_only_heartbeats_are_timed() {
    let metrics = Metrics::new();
    metrics.request(Operation::Register, Duration::from_millis(3), None);
    metrics.request(Operation::Register, Duration::from_millis(1500), Some("timeout"));
    metrics.request(Operation::Register, Duration::from_secs(60), Some("timeout"));
    metrics.request(Operation::Deregister, Duration::from_millis(1), Some("status"));
    let text = render(&metrics, &sample());
    for line in [
        "swarm_agent_discovery_attempts_total{operation=\"register\"} 3",
        "swarm_agent_discovery_attempts_total{operation=\"deregister\"} 1",
        "swarm_agent_discovery_failures_total{operation=\"register\",kind=\"timeout\"} 2",
        "swarm_agent_discovery_failures_total{operation=\"register\",kind=\"status\"} 0",
        "swarm_agent_discovery_failures_total{operation=\"deregister\",kind=\"status\"} 1",
        // a bound belongs to its bucket
        "swarm_agent_heartbeat_duration_seconds_bucket{le=\"0.001\"} 0",
        "swarm_agent_heartbeat_duration_seconds_bucket{le=\"0.003\"} 1",
        "swarm_agent_heartbeat_duration_seconds_bucket{le=\"1\"} 1",
        "swarm_agent_heartbeat_duration_seconds_bucket{le=\"2.5\"} 2",
        "swarm_agent_heartbeat_duration_seconds_bucket{le=\"15\"} 2",
        "swarm_agent_heartbeat_duration_seconds_bucket{le=\"+Inf\"} 3",
        "swarm_agent_heartbeat_duration_seconds_sum 61.503",
        "swarm_agent_heartbeat_duration_seconds_count 3",
    ] {
        assert!(has(&text, line), "{line} is not in\n{text}");
    }
}

#[test]
fn probes_and_reloads_are_counted_by_outcome() {
    let metrics = Metrics::new();
    metrics.probe(Duration::from_millis(2), None);
    metrics.probe(Duration::from_secs(5), Some(ProbeFault::PingTimeout(Duration::from_secs(5)).kind()));
    metrics.reload(true);
    metrics.reload(true);
    metrics.reload(false);
    let text = render(&metrics, &sample());
    for line in [
        "swarm_agent_probe_duration_seconds_bucket{le=\"2.5\"} 1",
        "swarm_agent_probe_duration_seconds_bucket{le=\"5\"} 2",
        "swarm_agent_probe_duration_seconds_count 2",
        "swarm_agent_probe_failures_total{kind=\"ping_timeout\"} 1",
        "swarm_agent_probe_failures_total{kind=\"info_timeout\"} 0",
        "swarm_agent_reloads_total{outcome=\"success\"} 2",
        "swarm_agent_reloads_total{outcome=\"failure\"} 1",
    ] {
        assert!(has(&text, line), "{line} is not in\n{text}");
    }
}

#[test]
fn a_failure_of_a_kind_that_nobody_listed_is_counted_all_the_same() {
    let metrics = Metrics::new();
    metrics.request(Operation::Register, Duration::ZERO, Some("unheard_of"));
    metrics.request(Operation::Register, Duration::ZERO, Some("unheard_of"));
    let line = "swarm_agent_discovery_failures_total{operation=\"register\",kind=\"unheard_of\"} 2";
    assert!(has(&render(&metrics, &sample()), line));
}

#[test]
fn exactly_one_state_is_the_present_one() {
    let present = |text: &str, name: &str| -> Vec<String> {
        series(text, name).into_iter().filter(|line| line.ends_with(" 1")).map(str::to_owned).collect()
    };
    for engine_state in EngineHealth::NAMES {
        let text = render(&Metrics::new(), &Sample { engine_state, ..sample() });
        assert_eq!(series(&text, "swarm_agent_engine_state").len(), EngineHealth::NAMES.len());
        let expected = format!("swarm_agent_engine_state{{state=\"{engine_state}\"}} 1");
        assert_eq!(present(&text, "swarm_agent_engine_state"), [expected]);
    }
    for advertised in Finding::NAMES.into_iter().map(Some).chain([None]) {
        let text = render(&Metrics::new(), &Sample { advertised, ..sample() });
        assert_eq!(series(&text, "swarm_agent_advertised_address").len(), Finding::NAMES.len() + 1);
        let finding = advertised.unwrap_or("unchecked");
        let expected = format!("swarm_agent_advertised_address{{finding=\"{finding}\"}} 1");
        assert_eq!(present(&text, "swarm_agent_advertised_address"), [expected]);
    }
}

#[test]
fn what_does_not_exist_has_no_series() {
    let full = Sample { drain_ends_at: Some(1_764_003_600.0), ..sample() };
    let none = Sample {
        lease_left: None,
        last_renewal_at: None,
        containers_running: None,
        watchdog_timeout: None,
        drain_ends_at: None,
        ..sample()
    };
    let (full, none) = (render(&Metrics::new(), &full), render(&Metrics::new(), &none));
    for (name, value) in [
        ("swarm_agent_lease_left_seconds", "150.5"),
        ("swarm_agent_last_heartbeat_timestamp_seconds", "1764000030"),
        ("swarm_agent_engine_containers_running", "3"),
        ("swarm_agent_watchdog_timeout_seconds", "30"),
        ("swarm_agent_drain_end_timestamp_seconds", "1764003600"),
    ] {
        assert!(has(&full, &format!("{name} {value}")), "{name}");
        assert!(!none.contains(name), "{name} has a value where there is none");
    }
}

#[test]
fn yes_and_no_are_one_and_zero() {
    let other = Sample {
        registered: false,
        lease_at_risk: true,
        dbus_connected: false,
        config_valid: false,
        drained: true,
        hosting_failed: true,
        log_dropped: 7,
        log_held: 8,
        ..sample()
    };
    let (one, other) = (render(&Metrics::new(), &sample()), render(&Metrics::new(), &other));
    for (name, before, after) in [
        ("swarm_agent_registered", 1, 0),
        ("swarm_agent_lease_at_risk", 0, 1),
        ("swarm_agent_dbus_connected", 1, 0),
        ("swarm_agent_config_last_reload_successful", 1, 0),
        ("swarm_agent_drained", 0, 1),
        ("swarm_agent_embedded_server_failed", 0, 1),
        ("swarm_agent_log_entries_dropped_total", 0, 7),
        ("swarm_agent_log_entries_held_total", 0, 8),
    ] {
        assert!(has(&one, &format!("{name} {before}")), "{name}");
        assert!(has(&other, &format!("{name} {after}")), "{name}");
    }
    assert!(has(&one, "swarm_agent_build_info{version=\"1.2.3\"} 1"));
    assert!(has(&one, "swarm_agent_start_timestamp_seconds 1764000000.25"));
}
