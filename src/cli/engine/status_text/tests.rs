use super::*;
use crate::cli::engine::status_json;
use crate::model::{Job, JobKind, LoadState, UnitLimits, UnitState};
use std::time::Duration;

fn unit(active: ActiveState, word: &str, sub: &str) -> UnitReport {
    UnitReport {
        name: "docker.service".into(),
        description: "Docker Application Container Engine".into(),
        state: UnitState { load: LoadState::Loaded, active, sub: sub.into(), job: None },
        load_word: "loaded".into(),
        active_word: word.into(),
        since: Some(Duration::from_secs(1_800_000_000)),
        file_state: "enabled".into(),
        result: "success".into(),
        status_text: String::new(),
        main_pid: Some(210),
        restarts: 0,
        drop_ins: vec!["/etc/a.conf".into(), "/etc/b.conf".into()],
        needs_daemon_reload: true,
        limits: UnitLimits {
            start_burst: 3,
            start_interval: Some(Duration::from_secs(60)),
            stop: Some(Duration::from_secs(90)),
            ..UnitLimits::default()
        },
        environment: vec!["HTTP_PROXY=http://user:pass@proxy:3128".into(), "API_TOKEN=pass".into()],
        cpu_affinity: vec![0b1101],
        invocation: Vec::new(),
        triggered_by: vec!["docker.socket".into()],
        run: Default::default(),
    }
}

fn found(unit: UnitReport) -> Findings {
    Findings { unit, socket: None, engine: None, plumbing: None, note: None }
}

#[test]
fn a_healthy_engine_is_told_in_aligned_rows_without_its_secrets() {
    let mut found = found(unit(ActiveState::Active, "active", "running"));
    let details =
        EngineDetails { id: "AB".into(), version: "26.1".into(), live_restore: Some(true), ..Default::default() };
    found.engine = Some(Ok(details));
    let text = render(&found).render(false);
    for line in [
        "docker.service - Docker Application Container Engine",
        "  state         active (running) since 2027-01-15 08:00:00 UTC",
        "  drop-ins      /etc/a.conf",
        "                /etc/b.conf",
        "  unit file     changed on disk: systemctl daemon-reload",
        "  start limit   3 starts in 1m",
        "  environment   HTTP_PROXY=http://user:***@proxy:3128",
        "                API_TOKEN=***",
        "  CPU affinity  0,2-3",
        "  answers       yes, to /_ping and /info",
        "  live-restore  on: containers outlive a restart of the engine",
    ] {
        assert!(text.lines().any(|got| got.starts_with(line)), "{line:?} is not in\n{text}");
    }
    let json = status_json::render(&found).to_string();
    assert!(!text.contains("pass") && !json.contains("pass"), "{text}{json}");
}

#[test]
fn a_stopped_engine_is_not_asked_and_it_says_why() {
    let mut unit = unit(ActiveState::Inactive, "inactive", "dead");
    unit.state.job = Some(Job { id: 7, kind: JobKind::Stop });
    let found = found(unit);
    let text = render(&found).render(false);
    assert!(text.contains("not asked: it is being stopped") && text.contains("stop (number 7)"), "{text}");
    assert_eq!(status_json::render(&found)["engine"]["asked"], false);
}
