//! What was seen, decided and done about the engine, in order: for `swarm-agent why`.

use crate::model::moment::utc;
use crate::model::{Condition, UnitView};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::SystemTime;

/// What was seen last, before it came to anything.
const SEEN: usize = 30;
/// A story that goes on and on is cut in its middle.
const LINES: usize = 200;

/// The version of what is written.
const SCHEMA: u32 = 1;

#[derive(Default)]
pub struct Story {
    seen: VecDeque<Line>,
    incident: Option<Incident>,
}

/// `incident.json`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    pub schema: u32,
    /// The name of its folder.
    pub name: String,
    pub unit: String,
    /// What the matter was when it began.
    pub condition: String,
    pub began: String,
    /// Null while it goes on.
    pub ended: Option<String>,
    pub story: Vec<Line>,
    /// What an operator can do.
    pub advice: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// RFC 3339, UTC.
    pub at: String,
    pub kind: Kind,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Seen,
    Decided,
    Happened,
}

impl Story {
    /// Something that was observed; part of an incident if there is one, or if one begins soon.
    pub fn see(&mut self, at: SystemTime, text: &str) {
        let line = Line { at: utc(at).to_string(), kind: Kind::Seen, text: text.to_owned() };
        match &mut self.incident {
            Some(incident) => incident.add(line),
            None if self.seen.back().is_some_and(|last| last.text == text) => {}
            None => {
                self.seen.push_back(line);
                if self.seen.len() > SEEN {
                    self.seen.pop_front();
                }
            }
        }
    }

    /// Begins an incident, unless there is one.
    pub fn open(&mut self, at: SystemTime, unit: &str, condition: Condition) {
        if self.incident.is_some() {
            return;
        }
        let began = utc(at).to_string();
        let stamp: String = began.chars().filter(|letter| letter.is_ascii_alphanumeric()).collect();
        self.incident = Some(Incident {
            schema: SCHEMA,
            name: format!("{stamp}-{}", condition.name()),
            unit: unit.to_owned(),
            condition: condition.name().to_owned(),
            began,
            ended: None,
            story: self.seen.drain(..).collect(),
            advice: String::new(),
        });
    }

    pub fn decide(&mut self, at: SystemTime, text: &str) {
        self.put(at, Kind::Decided, text);
    }

    /// Something that was done, or that came of it.
    pub fn add(&mut self, at: SystemTime, text: &str) {
        self.put(at, Kind::Happened, text);
    }

    fn put(&mut self, at: SystemTime, kind: Kind, text: &str) {
        if let Some(incident) = &mut self.incident {
            incident.add(Line { at: utc(at).to_string(), kind, text: text.to_owned() });
        }
    }

    pub fn advise(&mut self, advice: &str) {
        if let Some(incident) = &mut self.incident {
            advice.clone_into(&mut incident.advice);
        }
    }

    /// The incident is over; it is not gone on with.
    pub fn close(&mut self, at: SystemTime) -> Option<Incident> {
        let mut incident = self.incident.take()?;
        incident.ended = Some(utc(at).to_string());
        Some(incident)
    }

    pub fn current(&self) -> Option<&Incident> {
        self.incident.as_ref()
    }

    /// The name of its folder.
    pub fn incident(&self) -> &str {
        self.incident.as_ref().map_or("", |incident| &incident.name)
    }
}

impl Incident {
    fn add(&mut self, line: Line) {
        if self.story.last().is_some_and(|last| last.text == line.text) {
            return;
        }
        if self.story.len() >= LINES {
            self.story.remove(LINES / 2);
        }
        self.story.push(line);
    }

    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

/// A unit's state as a story tells it.
pub fn of_unit(view: &UnitView) -> String {
    match view {
        UnitView::Unknown(why) => format!("the unit's state can't be told: {why}"),
        UnitView::Known(unit) => {
            let job = unit.job.map(|job| format!(", {} job", job.kind)).unwrap_or_default();
            format!("the unit is {} ({}){job}", unit.active, unit.sub)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn tells_what_came_before_and_ends_when_it_is_over() {
        let mut story = Story::default();
        story.add(at(0), "nobody hears of it");
        for second in 0..100 {
            story.see(at(second), &format!("probe {second}"));
        }
        story.open(at(100), "docker.service", Condition::Hung);
        story.decide(at(101), "restart");
        story.see(at(102), "the unit is inactive");
        story.see(at(103), "the unit is inactive");
        story.open(at(104), "docker.service", Condition::Failed);
        assert_eq!(story.incident(), "19700101T000140Z-hung");
        let incident = story.close(at(105)).expect("an incident");
        let texts: Vec<_> = incident.story.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(
            (texts.len(), texts[0], &texts[SEEN..]),
            (SEEN + 2, "probe 70", &["restart", "the unit is inactive"][..])
        );
        assert_eq!(incident.ended.as_deref(), Some("1970-01-01T00:01:45Z"));
        assert_eq!(serde_json::from_str::<Incident>(&incident.to_json()).expect("JSON"), incident);
        assert!(story.close(at(106)).is_none());
    }

    #[test]
    fn is_bounded_and_keeps_its_beginning_and_its_end() {
        let mut story = Story::default();
        story.open(at(0), "docker.service", Condition::Failed);
        for second in 0..1000 {
            story.see(at(second), &format!("probe {second}"));
        }
        let incident = story.close(at(1000)).expect("an incident");
        assert_eq!(incident.story.len(), LINES);
        assert_eq!(
            (incident.story[0].text.as_str(), incident.story[LINES - 1].text.as_str()),
            ("probe 0", "probe 999")
        );
    }
}
