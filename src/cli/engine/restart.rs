//! `swarm-agent engine restart`: an operator's own restart of the engine, with what a careful one would check.

use super::restart_text::{self as text, Screen};
use super::risk::Scene;
use super::target::{Target, TargetArgs};
use crate::cli::exit::{self, Failure};
use crate::cli::{print, remark};
use crate::engine::Inspector;
use crate::model::{Container, UnitReport};
use crate::policy::operator_restart::{Consent, Decision, decide};
use crate::service::engine_restart::{Order, Recovery, RestartFault, restart};
use crate::systemd::manager::Manager;
use serde_json::{Value, json};
use std::io::IsTerminal;
use std::time::Duration;

/// Restart this host's Docker Engine, after a look at what that would break, and prove that it works
#[derive(clap::Args)]
#[command(
    long_about = "Restart this host's Docker Engine, after a look at what that would break, and prove that it works.

Refused if the unit is absent or masked, if something else is under way, and if the engine is stopped (start it \
instead). Containers that would die, because live-restore is off or unknown, are listed, and you are asked. Then \
systemd's start limit is cleared, the unit restarted, its job waited for, and the engine asked for /_ping and /info.

With --lossless no container dies: swarm-agent-lossless.service turns live-restore on by a reload of the engine, sees that the \
engine says so, restarts it, proves that each container is the same process as before, and turns live-restore off again. \
daemon.json is not written for that. Refused in swarm mode, with a --live-restore flag on dockerd's command line, and if \
the engine hangs. Traffic to published ports may be interrupted while the engine is down.

Root may do this, and whom polkit allows org.freedesktop.systemd1.manage-units.

Exit status: 0 restarted and works; 1 refused, failed, or not proved to work; 69 the bus can't be reached."
)]
pub struct Restart {
    /// Restart although containers die
    #[arg(long)]
    yes: bool,
    /// Lose no container: with live-restore on for the time of the restart
    #[arg(long, conflicts_with_all = ["yes", "force", "timeout", "unit", "socket"])]
    lossless: bool,
    /// Restart although a job is under way or the unit is changing its state
    #[arg(long)]
    force: bool,
    /// Wait this long for the engine to be back [default: 5m, more if the unit may take longer]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
    /// Print the outcome as JSON; asks nothing
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: TargetArgs,
}

/// How long one question to the engine may take.
const ASK: Duration = Duration::from_secs(5);
const DEFAULT_LIMIT: Duration = Duration::from_secs(300);
/// Beside what the unit may take to stop and to start: our own probes.
const SLACK: Duration = Duration::from_secs(60);
const LONGEST_LIMIT: Duration = Duration::from_secs(3600);

impl Restart {
    pub fn run(self) -> Result<(), Failure> {
        if self.lossless {
            return super::lossless::start(self.json);
        }
        let target = self.target.resolve()?;
        if let Some(note) = &target.note {
            remark(&format!("note: {note}"));
        }
        let outcome = crate::cli::runtime()?.block_on(self.act(&target));
        if self.json {
            let report = match &outcome {
                Ok((scene, recovery)) => text::json(scene, recovery),
                Err((reason, failure)) => {
                    json!({ "ok": false, "attempted": reason.0, "reason": reason.1, "error": failure.text, "containers": reason.2 })
                }
            };
            print(&format!("{report:#}\n"))?;
        } else if let Ok((scene, recovery)) = &outcome {
            print(&text::done(scene, recovery))?;
        }
        outcome.map(drop).map_err(|(_, failure)| failure)
    }

    async fn act(&self, target: &Target) -> Result<(Scene, Recovery), (Reason, Failure)> {
        let inspector = Inspector::new(target.socket.clone(), ASK);
        let bus = |error| unable(&RestartFault::Manager(error), &[]);
        let manager = Manager::connect().await.map_err(bus)?;
        let mut scene = Scene::look(&manager, &inspector, &target.unit).await.map_err(bus)?;
        let mut consent = Consent {
            containers: self.yes,
            force: self.force,
            can_ask: !self.json && std::io::stdin().is_terminal() && std::io::stderr().is_terminal(),
        };
        if decide(&scene.situation(), consent) == Decision::Ask {
            if !text::said_yes(&scene) {
                let nothing = Failure { code: exit::FAILURE, text: Some("not restarted, as you wish".to_owned()) };
                return Err((Reason::not_restarted("declined", &scene.containers), nothing));
            }
            // people take their time, and the engine may have gone on meanwhile
            consent = Consent { containers: true, can_ask: false, ..consent };
            scene = Scene::look(&manager, &inspector, &target.unit).await.map_err(bus)?;
        }
        if let Decision::Refuse(refusal) = decide(&scene.situation(), consent) {
            let why = text::refusal(refusal, &scene);
            let failure = Failure { code: exit::FAILURE, text: Some(why) };
            return Err((Reason::not_restarted(text::refusal_word(refusal), &scene.containers), failure));
        }
        self.drive(manager, &inspector, scene).await
    }

    async fn drive(
        &self,
        manager: Manager,
        inspector: &Inspector,
        scene: Scene,
    ) -> Result<(Scene, Recovery), (Reason, Failure)> {
        let (engine, before) = (scene.unit.name.clone(), scene.unit.clone());
        let order = Order { engine, limit: self.limit(&before), before };
        let mut screen = Screen::new(!self.json);
        screen.say(&text::beginning(&scene, order.limit));
        let outcome = restart(manager, inspector, &order, &mut |progress| screen.show(&progress)).await;
        screen.clear();
        match outcome {
            Ok(recovery) => Ok((scene, recovery)),
            Err(fault) => Err(unable(&fault, &scene.containers)),
        }
    }

    /// Longer than the unit itself may take, unless the operator knows better.
    fn limit(&self, unit: &UnitReport) -> Duration {
        let own = unit.limits.stop.unwrap_or_default() + unit.limits.start.unwrap_or_default() + SLACK;
        self.timeout.unwrap_or_else(|| own.clamp(DEFAULT_LIMIT, LONGEST_LIMIT))
    }
}

/// For scripts: whether systemd was asked to restart it, a word, and the containers.
struct Reason(bool, &'static str, Value);

impl Reason {
    fn not_restarted(word: &'static str, containers: &[Container]) -> Self {
        Self(false, word, text::containers_json(containers))
    }
}

fn unable(fault: &RestartFault, containers: &[Container]) -> (Reason, Failure) {
    let tried =
        !matches!(fault, RestartFault::Manager(_) | RestartFault::Overtaken(..) | RestartFault::NotRestarted(_));
    (Reason(tried, text::fault_word(fault), text::containers_json(containers)), text::failure(fault))
}
