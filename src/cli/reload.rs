//! `swarm-agent reload`: the running agent reads its configuration anew.

use super::exit::{self, Failure};
use super::local::LocalArgs;
use crate::model::{Complaint, ReloadOutcome};
use hyper::Method;
use std::io::Write;

/// Let the running agent read its configuration anew, and say what came of it
#[derive(clap::Args)]
#[command(long_about = "Let the running agent read its configuration anew, and say what came of it.

`systemctl reload swarm-agent` runs this. Only what a change concerns is started anew: the entry in the discovery \
service stays, and where the cluster or the address is another one, the new entry is in before the old one goes. With \
errors in the configuration the old settings stay; the errors are printed, and stand in the agent's status and journal.

Exit status: 0 the configuration is in force, 69 no agent runs, 78 the configuration is wrong.")]
pub struct Reload {
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    agent: LocalArgs,
}

impl Reload {
    pub fn run(self) -> Result<(), Failure> {
        let answer = super::runtime()?.block_on(self.agent.ask(Method::POST, "/reload", String::new()))?;
        let outcome: ReloadOutcome = serde_json::from_slice(&answer.body)
            .map_err(|error| Failure::other(format!("the agent's answer is not understood: {error}")))?;
        if self.json {
            super::print(&format!("{:#}\n", serde_json::json!(outcome)))?;
        }
        match outcome {
            ReloadOutcome::Reloaded { .. } if self.json => Ok(()),
            ReloadOutcome::Reloaded { changed, at_restart } => super::print(&said(&changed, &at_restart)),
            ReloadOutcome::Rejected { errors } => {
                if !self.json {
                    explain(&errors);
                }
                Err(Failure::said(exit::CONFIG))
            }
        }
    }
}

fn said(changed: &[String], at_restart: &[String]) -> String {
    let mut text = match changed {
        [] => "reloaded: nothing changed\n".to_owned(),
        keys => format!("reloaded: {} changed\n", keys.join(", ")),
    };
    if !at_restart.is_empty() {
        text += &format!("{} will change with: systemctl restart swarm-agent\n", at_restart.join(", "));
    }
    text
}

fn explain(errors: &[Complaint]) {
    // bare lines, so that an editor can jump to their file:line:column; a closed stderr leaves nobody to tell
    for error in errors {
        let _ = writeln!(std::io::stderr(), "{}", error.text);
    }
    super::remark("the configuration was not reloaded: the old settings stay");
}
