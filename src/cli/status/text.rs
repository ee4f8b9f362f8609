//! The status for people: one screen.

use super::word;
use crate::cli::drain::by;
use crate::cli::table::{Table, Tone};
use crate::cli::words;
use crate::model::report::{Overall, RegistrationReport, Report, Stamp, SupervisionReport};

pub fn render(report: &Report) -> Table {
    let mut table = Table::default();
    let tone = match report.state {
        Overall::Healthy => Tone::Good,
        Overall::Degraded => Tone::Doubt,
        Overall::NotRegistered => Tone::Bad,
    };
    table.title(format!("swarm-agent on {}", report.node.hostname));
    table.toned("state", word(report.state), tone);
    table.list("problems", report.problems.iter().cloned(), tone);
    node(&mut table, report);
    registration(&mut table, &report.registration);
    engine(&mut table, report);
    supervision(&mut table, &report.supervision);
    agent(&mut table, report);
    table
}

fn node(table: &mut Table, report: &Report) {
    let node = &report.node;
    let configured = format!("(advertise = {:?})", node.advertise);
    match (&node.address, &node.why) {
        (Some(address), _) if *address == node.advertise => table.row("address", address.clone()),
        (Some(address), _) => table.row("address", format!("{address} {configured}")),
        (None, why) => {
            table.toned("address", format!("none {configured}: {}", why.as_deref().unwrap_or_default()), Tone::Bad);
        }
    }
    match (node.reach.as_deref(), &node.reach_text) {
        (Some("proved"), _) => table.toned("reach", "proved: this host's engine answers there", Tone::Good),
        (Some("unproven"), Some(text)) => table.row("reach", text.clone()),
        (Some(_), Some(text)) => table.toned("reach", text.clone(), Tone::Doubt),
        _ => {}
    }
    match &report.drain {
        Some(drain) => table.toned("drained", format!("{}, {}", by(drain), ago(&drain.since)), Tone::Doubt),
        None => table.row("drained", "no"),
    }
}

fn registration(table: &mut Table, registration: &RegistrationReport) {
    table.row("server", registration.server.clone());
    let tone = if registration.registered { Tone::Good } else { Tone::Bad };
    let address = registration.address.as_deref().unwrap_or_default();
    let registered = match (registration.state.as_str(), &registration.since) {
        ("present" | "unconfirmed", Some(since)) => format!("{address} since {}", moment(since)),
        ("resumed", _) => format!("{address} by a former process; not renewed yet"),
        ("joining", _) => format!("not yet: {address} is on its way in"),
        ("leaving", _) => format!("not any more: {address} is on its way out"),
        _ => "no".to_owned(),
    };
    table.toned("registered", registered, tone);
    if let Some(replaces) = &registration.replaces {
        table.toned("", format!("{replaces} is still in, until the new address is"), Tone::Doubt);
    }
    if let Some(lease) = &registration.lease {
        let (left, ttl) = (words::seconds(lease.left_seconds), words::seconds(registration.ttl_seconds));
        let next = registration.next_in_seconds.map(|next| format!(", next beat in {}", words::seconds(next)));
        let text = format!("renewed {}, {left} of {ttl} left{}", ago(&lease.renewed), next.unwrap_or_default());
        table.toned("lease", text, if lease.at_risk { Tone::Bad } else { Tone::Plain });
    }
    let recent = |when: &Stamp| when.seconds_ago < registration.ttl_seconds;
    match &registration.last_error {
        Some(error) => {
            let tone = if recent(&error.when) { Tone::Doubt } else { Tone::Plain };
            table.toned("last error", format!("{} ({})", error.text, moment(&error.when)), tone);
        }
        None => table.row("last error", "none"),
    }
}

fn engine(table: &mut Table, report: &Report) {
    let (engine, systemd) = (&report.engine, &report.systemd);
    let tone = match engine.state.as_str() {
        "healthy" => Tone::Good,
        "failed" | "faulty" => Tone::Bad,
        _ => Tone::Doubt,
    };
    // why is said with the bus
    let blind = systemd.why.as_ref().is_some_and(|why| engine.text == format!("unknown: {why}"));
    table.toned("engine", if blind { engine.state.clone() } else { engine.text.clone() }, tone);
    let job = systemd.unit_job.as_ref().map(|job| format!(", {job} job under way")).unwrap_or_default();
    match &systemd.unit_state {
        Some(state) => table.row("unit", format!("{} {state}{job}", engine.unit)),
        None => table.toned("unit", format!("{}, whose state can't be told", engine.unit), Tone::Doubt),
    }
    match &systemd.why {
        None => table.row("D-Bus", "connected"),
        Some(why) => table.toned("D-Bus", format!("systemd can't be asked: {why}"), Tone::Doubt),
    }
}

fn supervision(table: &mut Table, supervision: &SupervisionReport) {
    let SupervisionReport { mode, restarts_in_window: used, restarts_budget: budget, .. } = supervision;
    let text = match mode.as_str() {
        "off" => "off: the agent restarts no engine".to_owned(),
        "dry-run" => format!("dry-run: {used} of {budget} restarts would have been made"),
        _ => format!("{used} of {budget} restarts used"),
    };
    table.row("repair", text);
    match &supervision.refused {
        Some(refused) => table.toned("", format!("not restarted: {}", refused.text), Tone::Bad),
        None if supervision.restarting => table.toned("", "a restart is under way", Tone::Doubt),
        None => {}
    }
    if let Some(last) = &supervision.last_restart {
        let tone = if last.recovered { Tone::Plain } else { Tone::Bad };
        let what = last.condition.replace('_', " ");
        table.toned("", format!("last, {what}: {} ({}; swarm-agent why)", last.outcome, moment(&last.when)), tone);
    }
}

fn agent(table: &mut Table, report: &Report) {
    let watchdog = &report.systemd.watchdog;
    let limit = match watchdog.timeout_seconds {
        Some(limit) => format!("every task turns; systemd's limit is {}", words::seconds(limit)),
        None => "every task turns; systemd has set no limit".to_owned(),
    };
    match watchdog.stuck.is_empty() {
        true => table.row("watchdog", limit),
        false => table.toned("watchdog", format!("stuck: {}", watchdog.stuck.join(", ")), Tone::Bad),
    }
    if let Some(embedded) = &report.embedded_server {
        let tone = if embedded.serving { Tone::Plain } else { Tone::Doubt };
        table.toned("embedded", embedded.text.clone(), tone);
    }
    let configuration = &report.configuration;
    table.row("config", format!("read {}", moment(&configuration.loaded)));
    table.list("", configuration.errors.iter().map(|error| format!("not reloaded: {error}")), Tone::Bad);
    let waiting = |key: &String| format!("{key} changes with: systemctl restart swarm-agent");
    table.list("", configuration.at_restart.iter().map(waiting), Tone::Doubt);
    let agent = &report.agent;
    table.row("agent", format!("{}, PID {}, started {}", agent.version, agent.pid, moment(&agent.started)));
}

fn ago(stamp: &Stamp) -> String {
    format!("{} ago", words::seconds(stamp.seconds_ago))
}

fn moment(stamp: &Stamp) -> String {
    format!("{}, {}", words::date(&stamp.at), ago(stamp))
}
