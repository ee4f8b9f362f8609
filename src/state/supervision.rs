//! What the supervisor of the engine must not forget: its restarts, and what the engine said last.

use super::{StateError, in_time, replace, sync};
use crate::model::moment::utc;
use crate::model::{Attempt, EngineInfo, Moment};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// What is kept over restarts of the agent and of the host. Moments count from the boot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Memory {
    pub attempts: Vec<Attempt>,
    /// What the engine said last of itself.
    pub engine: Option<EngineInfo>,
}

/// This boot, and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Here {
    pub boot: String,
    /// CLOCK_BOOTTIME.
    pub uptime: Duration,
    pub date: SystemTime,
}

#[async_trait::async_trait]
pub trait SupervisionRecord: Send + Sync {
    /// It is on disk when this returns.
    async fn keep(&self, memory: &Memory, here: &Here) -> Result<(), StateError>;
}

/// `supervision.json` in the state directory.
pub struct SupervisionFile {
    path: PathBuf,
    /// A write that timed out may still be under way when the next one begins.
    writing: Arc<Mutex<()>>,
}

#[derive(Serialize, Deserialize)]
struct Document {
    restarts: Vec<Restart>,
    engine: Option<Engine>,
}

#[derive(Serialize, Deserialize)]
struct Restart {
    boot: String,
    uptime_seconds: f64,
    at: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    dry: bool,
}

#[derive(Serialize, Deserialize)]
struct Engine {
    id: String,
    version: String,
    containers_running: u32,
    live_restore: Option<bool>,
    scopes: Option<bool>,
}

impl SupervisionFile {
    pub fn new(state_directory: &Path) -> Self {
        Self { path: state_directory.join("supervision.json"), writing: Arc::default() }
    }

    /// A file that can't be read or understood is reported; the latter is set aside, too.
    pub fn load(&self, here: &Here) -> Result<Memory, StateError> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Memory::default()),
            Err(error) => return Err(StateError::new(&self.path, error)),
        };
        parse(&text, here).map_err(|why| StateError::set_aside(&self.path, &why))
    }
}

#[async_trait::async_trait]
impl SupervisionRecord for SupervisionFile {
    async fn keep(&self, memory: &Memory, here: &Here) -> Result<(), StateError> {
        let text = serde_json::to_string(&Document::of(memory, here));
        let text = text.map_err(|error| StateError::new(&self.path, error.into()))?;
        let (path, lock) = (self.path.clone(), Arc::clone(&self.writing));
        let writing = move || {
            let _turn = lock.lock().unwrap_or_else(PoisonError::into_inner);
            replace(&path, &text, 0o600).and_then(|file| sync(&file, &path))
        };
        in_time(&self.path, writing).await
    }
}

impl Document {
    fn of(memory: &Memory, here: &Here) -> Self {
        let restart = |attempt: &Attempt| {
            let uptime = attempt.at.since_origin();
            let at = here.date.checked_sub(here.uptime.saturating_sub(uptime)).unwrap_or(here.date);
            let (boot, at) = (here.boot.clone(), utc(at).to_string());
            Restart { boot, uptime_seconds: uptime.as_secs_f64(), at, dry: attempt.dry }
        };
        let engine = memory.engine.clone().map(|info| Engine {
            id: info.id,
            version: info.version,
            containers_running: info.containers_running,
            live_restore: info.live_restore,
            scopes: info.scopes,
        });
        Self { restarts: memory.attempts.iter().map(restart).collect(), engine }
    }
}

fn parse(text: &[u8], here: &Here) -> Result<Memory, String> {
    let document: Document = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let attempts = document.restarts.into_iter().map(|restart| restart.attempt(here)).collect::<Result<_, _>>()?;
    let engine = document.engine.map(|engine| EngineInfo {
        id: engine.id,
        version: engine.version,
        containers_running: engine.containers_running,
        live_restore: engine.live_restore,
        scopes: engine.scopes,
    });
    Ok(Memory { attempts, engine })
}

impl Restart {
    /// One of an earlier boot lies as far back as the date says, but not before this boot began: how long the host was
    /// off, no clock tells that is not set by somebody.
    fn attempt(self, here: &Here) -> Result<Attempt, String> {
        let uptime = Duration::try_from_secs_f64(self.uptime_seconds).map_err(|error| error.to_string())?;
        let at = humantime::parse_rfc3339(&self.at).map_err(|error| format!("{:?}: {error}", self.at))?;
        let uptime = match self.boot == here.boot {
            true => uptime.min(here.uptime),
            false => here.uptime.saturating_sub(here.date.duration_since(at).unwrap_or_default()),
        };
        Ok(Attempt { at: Moment::after_origin(uptime), dry: self.dry })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(boot: &str, uptime: u64, date: u64) -> Here {
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs(date);
        Here { boot: boot.into(), uptime: Duration::from_secs(uptime), date }
    }

    fn attempt(uptime: u64) -> Attempt {
        Attempt { at: Moment::after_origin(Duration::from_secs(uptime)), dry: false }
    }

    fn memory() -> Memory {
        let engine = EngineInfo { id: "AB".into(), live_restore: Some(true), ..EngineInfo::default() };
        Memory { attempts: vec![attempt(100), Attempt { dry: true, ..attempt(200) }], engine: Some(engine) }
    }

    #[tokio::test]
    async fn nothing_is_forgotten_over_a_restart_and_a_reboot() {
        let folder = tempfile::tempdir().unwrap();
        let file = || SupervisionFile::new(folder.path());
        let then = here("b1", 300, 10_000);
        assert_eq!(file().load(&then).unwrap(), Memory::default());
        file().keep(&memory(), &then).await.unwrap();
        // whatever the clock was set to meanwhile
        for date in [0, 10_000, 99_999] {
            assert_eq!(file().load(&here("b1", 400, date)).unwrap(), memory(), "{date}");
        }
        let uptimes = |here: &Here| -> Vec<u64> {
            let memory = file().load(here).unwrap();
            memory.attempts.iter().map(|attempt| attempt.at.since_origin().as_secs()).collect()
        };
        // they were before this boot began
        assert_eq!(uptimes(&here("b2", 50, 10_300)), [0, 0]);
        // another container on the same kernel, or a clock that is right: 500 s and 400 s ago
        assert_eq!(uptimes(&here("b2", 900, 10_300)), [400, 500]);
        // a clock that went back makes nothing older
        assert_eq!(uptimes(&here("b2", 50, 5)), [50, 50]);
    }

    #[test]
    fn a_file_that_is_not_understood_is_set_aside_and_said() {
        for junk in ["", "{", r#"{"restarts":[{"boot":"b","uptime_seconds":-1,"at":"2026-01-01T00:00:00Z"}]}"#] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("supervision.json");
            fs::write(&path, junk).unwrap();
            let error = SupervisionFile::new(folder.path()).load(&here("b", 1, 1)).unwrap_err();
            assert!(error.to_string().contains("set aside as"), "{junk}: {error}");
            assert!(!path.exists());
        }
    }
}
