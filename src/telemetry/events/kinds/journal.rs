//! The journal itself.

use crate::telemetry::events::kind::{Declared, Kind, Text};

pub const HELD_BACK: Declared = Kind::warning("held-back", "fd7e9c46ba594e3188e2a5e01271d035").always().means(Text {
    subject: "Something flaps, and some of it was not logged",
    happened: "@SWARM_AGENT_COUNT@ entries were held back, so that they don't bury the rest: @SWARM_AGENT_KINDS@",
    matters: "Entries before this one may show a state that has passed. The state when this was written: \
              @SWARM_AGENT_STATUS@",
    remedy: "Find out why it comes and goes: `journalctl -u docker`, `swarm-agent check-config --connect`. With \
             agent.log-level = \"debug\" (and `systemctl reload swarm-agent`) nothing is held back.",
});

pub const LOG_DROPPED: Declared =
    Kind::warning("log-dropped", "29ce3f816d68493f9ebb0f0d22194742").always().means(Text {
        subject: "Entries were lost on their way to the journal",
        happened: "journald did not take @SWARM_AGENT_COUNT@ entries fast enough, and the agent does not wait for it.",
        matters: "This log has a gap here. Nothing else was affected.",
        remedy: "Look at journald and its disk: `systemctl status systemd-journald`, `journalctl --disk-usage`, `df`.",
    });

pub const LOG_LEVEL_KEPT: Declared = Kind::warning("log-level-kept", "d627843fe5a94f13b1b0a2cb0d293b1f").means(Text {
    subject: "The log level could not be changed",
    happened: "A reload changed agent.log-level, and the log did not take it: @SWARM_AGENT_REASON@",
    matters: "The log goes on at its old level. Nothing else was affected.",
    remedy: "`systemctl restart swarm-agent` puts the new level in force; the entry stays meanwhile.",
});

pub const LIBRARY_WARNING: Declared =
    Kind::warning("library-warning", "92b0a4118faa497e8d4400d34a68fbc6").means(Text {
        subject: "A library of the agent warns",
        happened: "@SWARM_AGENT_MODULE@, which is part of the program, said what stands in the line above.",
        matters: "It is often harmless. If it matters, the agent says by an entry of its own what came of it.",
        remedy: "Look at the entries around it; `systemctl status swarm-agent` shows the present state. If it comes again \
                 and again, report it.",
    });
