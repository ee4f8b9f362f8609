//! What is done with a list each time it changes: a file is written, a command is run. With both, the command finds the
//! file as it is to be.

use super::publisher::{Published, Publisher};
use super::runner::Runner;
use crate::state::StateError;
use std::future::pending;
use std::io;
use std::process::ExitStatus;
use std::sync::Arc;

#[derive(Default)]
pub struct Errands {
    publisher: Option<Publisher>,
    runner: Option<Runner>,
}

/// What came of one of them.
#[derive(Debug)]
pub enum Done {
    Written {
        recovered: bool,
    },
    /// It is tried again.
    NotWritten(StateError),
    Ran(ExitStatus),
    /// The next change tries it again.
    NotRun(io::Error),
}

impl Errands {
    pub fn new(publisher: Option<Publisher>, runner: Option<Runner>) -> Self {
        Self { publisher, runner }
    }

    pub fn changed(&mut self, list: Arc<str>) {
        match (&mut self.publisher, &mut self.runner) {
            (Some(publisher), _) => publisher.changed(list),
            (None, Some(runner)) => runner.changed(list),
            (None, None) => {}
        }
    }

    /// Waits for what comes of one of them; for ever if there is nothing to do. Cancel-safe.
    pub async fn next(&mut self) -> Done {
        let Self { publisher, runner } = self;
        // Cancel-safe: both go on without being waited for.
        let published = tokio::select! {
            outcome = written(publisher.as_mut()) => outcome,
            outcome = ended(runner.as_mut()) => return outcome.map_or_else(Done::NotRun, Done::Ran),
        };
        match published {
            Ok(Published { list, recovered }) => {
                if let Some(runner) = runner {
                    runner.changed(list);
                }
                Done::Written { recovered }
            }
            Err(error) => Done::NotWritten(error),
        }
    }

    /// Ends what goes on.
    pub async fn end(&mut self) {
        if let Some(publisher) = &mut self.publisher {
            publisher.end().await;
        }
        if let Some(runner) = &mut self.runner {
            runner.end().await;
        }
    }
}

async fn written(publisher: Option<&mut Publisher>) -> Result<Published, StateError> {
    match publisher {
        Some(publisher) => publisher.done().await,
        None => pending().await,
    }
}

async fn ended(runner: Option<&mut Runner>) -> io::Result<ExitStatus> {
    match runner {
        Some(runner) => runner.ended().await,
        None => pending().await,
    }
}
