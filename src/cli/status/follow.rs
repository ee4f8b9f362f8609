//! The status as it changes.

use super::{gist, text, word};
use crate::cli::exit::{self, Failure};
use crate::cli::local::{LocalArgs, Reports};
use crate::cli::table::colours;
use crate::cli::{deserted, print, remark};
use crate::model::report::Report;
use std::io::IsTerminal;
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// Between two attempts to reach an agent that is not there: it starts within a second.
const RETRY: Duration = Duration::from_millis(250);
const LOOK: Duration = Duration::from_secs(1);
/// A screen shows ages.
const EACH_SECOND: Duration = Duration::from_secs(1);
/// Elsewhere a change is all that is news.
const EACH_HOUR: Duration = Duration::from_secs(3600);
/// The screen is cleared, and what was on it before stays in the history.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// How it is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Screen,
    Lines,
    Json,
}

/// For ever; an agent that goes away is waited for.
pub async fn watch(agent: &LocalArgs, json: bool) -> Result<(), Failure> {
    let form = match (json, std::io::stdout().is_terminal()) {
        (true, _) => Form::Json,
        (false, true) => Form::Screen,
        (false, false) => Form::Lines,
    };
    let pace = if form == Form::Screen { EACH_SECOND } else { EACH_HOUR };
    let (mut last, mut absent) = (None, false);
    loop {
        let failure = match agent.follow(pace).await {
            Ok(reports) => {
                absent = false;
                match show_all(reports, form, &mut last).await? {
                    Some(failure) => failure,
                    None => return Ok(()),
                }
            }
            Err(failure) => failure,
        };
        // an agent that is there and refuses will go on refusing
        if failure.code != exit::UNAVAILABLE {
            return Err(failure);
        }
        if !std::mem::replace(&mut absent, true) {
            remark(&format!("{}; waiting for it", failure.text.unwrap_or_default()));
            last = None;
        }
        sleep(RETRY).await;
    }
}

/// Gives why there are no more, or nothing if nobody reads any more.
async fn show_all(mut reports: Reports, form: Form, last: &mut Option<Report>) -> Result<Option<Failure>, Failure> {
    loop {
        // now and then a look whether anybody still reads; `next` loses nothing by it
        if let Ok(report) = timeout(LOOK, reports.next()).await {
            match report {
                Ok(report) => {
                    show(&report, last.as_ref(), form)?;
                    *last = Some(report);
                }
                Err(failure) => return Ok(Some(failure)),
            }
        }
        if deserted() {
            return Ok(None);
        }
    }
}

fn show(report: &Report, last: Option<&Report>, form: Form) -> Result<(), Failure> {
    match form {
        Form::Json => print(&format!("{}\n", serde_json::to_string(report).map_err(Failure::other)?)),
        Form::Screen => print(&format!("{CLEAR}{}", text::render(report).render(colours()))),
        Form::Lines if last.is_some_and(|last| gist(last) == gist(report)) => Ok(()),
        Form::Lines => {
            let time = humantime::format_rfc3339_seconds(SystemTime::now());
            print(&format!("{time} {}: {}\n", word(report.state), report.summary))
        }
    }
}

/// Waits for a report of a node that is registered, over restarts of the agent; the last report when time is up.
pub async fn registered(agent: &LocalArgs, limit: Duration) -> Result<Report, Failure> {
    let deadline = Instant::now() + limit;
    let silent = format!("no answer from the agent within {}", humantime::format_duration(limit));
    let mut last: Result<Report, Failure> = Err(Failure { code: exit::UNAVAILABLE, text: Some(silent) });
    let waiting = async {
        loop {
            let ended = match agent.follow(EACH_HOUR).await {
                Ok(reports) => until_registered(reports, &mut last).await,
                Err(failure) => Some(failure),
            };
            let Some(failure) = ended else { return };
            // an agent that ended or is not there yet is waited for; one that refuses will go on refusing
            let final_word = failure.code != exit::UNAVAILABLE;
            last = Err(failure);
            if final_word {
                return;
            }
            sleep(RETRY).await;
        }
    };
    // when time is up, the last word stands
    let _ = timeout_at(deadline, waiting).await;
    if let Ok(report) = &last
        && !report.registration.registered
    {
        remark(&format!("not registered within {}", humantime::format_duration(limit)));
    }
    last
}

/// None once the node is registered, else why there are no more reports.
async fn until_registered(mut reports: Reports, last: &mut Result<Report, Failure>) -> Option<Failure> {
    loop {
        match reports.next().await {
            Ok(report) => {
                let registered = report.registration.registered;
                *last = Ok(report);
                if registered {
                    return None;
                }
            }
            Err(failure) => return Some(failure),
        }
    }
}
