//! What an operator can do about an engine that the agent does not put right.

use crate::model::{Condition, Refusal};

/// `refused` is why the agent does nothing; `failed`: a restart of it did not help.
pub fn advice(condition: Condition, refused: Option<Refusal>, failed: bool) -> &'static str {
    match (refused, condition) {
        _ if condition == Condition::Working => "Nothing to do. `journalctl -u docker` may say what it was.",
        (Some(Refusal::Off), _) => {
            "Restart it yourself: swarm-agent engine restart. Or let the agent do it: supervision.mode = \"enforce\"."
        }
        (Some(Refusal::ContainersAtRisk(_)), _) => {
            "The containers still run. Restart when they may die: swarm-agent engine restart, which lists them. To keep them \
             another time, turn live-restore on while the engine works (docs/supervision.md)."
        }
        (Some(Refusal::Budget { .. }), _) => {
            "Find out why it does not stay up (journalctl -u docker -b), mend that, and give the agent its restarts back: \
             swarm-agent engine reset."
        }
        (Some(Refusal::Young { .. } | Refusal::Cooldown { .. }), _) => "Wait: the agent tries again by itself.",
        (Some(Refusal::RuntimeIsNotOurs), _) | (None, Condition::RuntimeHung | Condition::RuntimeGone) => {
            "Look at containerd first: systemctl status containerd; journalctl -u containerd. A restart of it keeps the \
             containers running: systemctl restart containerd."
        }
        (None, Condition::RuntimeStopped) => {
            "Start containerd, if nobody wants it stopped: systemctl start containerd."
        }
        (None, Condition::SocketFault) => {
            "Look at the socket: systemctl status docker.socket; then systemctl restart docker."
        }
        (None, Condition::Starved) => "Find out what takes the machine's time: cat /proc/pressure/*; top.",
        (None, Condition::CannotTell) => "swarm-agent check-config --connect says what the agent is missing.",
        (None, Condition::Absent | Condition::Masked | Condition::Stopped) => "Nothing, if that is meant to be so.",
        (None, Condition::Failed) if failed => "Find out why it does not start: journalctl -u docker -b.",
        _ if failed => "Look at `swarm-agent engine status` and `journalctl -u docker -u containerd -b`.",
        _ => "`swarm-agent engine status` shows how it is now.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Risk;

    #[test]
    fn each_refusal_comes_with_a_way_out() {
        let risk = Risk { containers: Some(1), live_restore: None };
        for (refusal, part) in [
            (Refusal::Off, "supervision.mode"),
            (Refusal::RuntimeIsNotOurs, "systemctl restart containerd"),
            (Refusal::Young { until: Default::default() }, "tries again"),
            (Refusal::Cooldown { until: Default::default() }, "tries again"),
            (Refusal::Budget { until: Default::default() }, "engine reset"),
            (Refusal::ContainersAtRisk(risk), "engine restart"),
        ] {
            let text = advice(Condition::Hung, Some(refusal), false);
            assert!(text.contains(part), "{refusal:?}: {text}");
            assert!(advice(Condition::Working, Some(refusal), true).starts_with("Nothing"));
        }
        assert!(advice(Condition::Failed, None, true).contains("journalctl -u docker"));
    }
}
