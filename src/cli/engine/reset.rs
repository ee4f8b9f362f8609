//! `swarm-agent engine reset`: the agent gets its restarts of the engine back.

use crate::cli::exit::Failure;
use crate::cli::local::LocalArgs;
use crate::cli::print;
use hyper::Method;
use serde::Deserialize;

/// Give the agent its restarts of the engine back
#[derive(clap::Args)]
#[command(long_about = "Give the agent its restarts of the engine back, after it gave up or while it waits.

The agent restarts an engine that failed or hangs supervision.restarts times in a supervision.window at most, then it gives up \
until the window has passed. When you have mended what was wrong, this makes it forget those restarts: if the engine still \
needs one, it has it at once.

Exit status: 0 done, 69 no agent runs, 77 refused: only root and group swarm-agent may.")]
pub struct Reset {
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    agent: LocalArgs,
}

#[derive(Deserialize)]
struct Outcome {
    forgotten: usize,
}

impl Reset {
    pub fn run(self) -> Result<(), Failure> {
        let asking = self.agent.ask(Method::POST, "/engine/reset", String::new());
        let answer = crate::cli::runtime()?.block_on(asking)?;
        let outcome: Outcome = serde_json::from_slice(&answer.body)
            .map_err(|error| Failure::other(format!("the agent's answer is not understood: {error}")))?;
        if self.json {
            return print(&format!("{}\n", String::from_utf8_lossy(&answer.body).trim_end()));
        }
        print(&match outcome.forgotten {
            0 => "there was no restart to forget\n".to_owned(),
            1 => "1 restart is forgotten\n".to_owned(),
            count => format!("{count} restarts are forgotten\n"),
        })
    }
}
