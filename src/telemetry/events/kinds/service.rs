//! The agent itself.

use crate::telemetry::events::kind::{Declared, Kind, Text};

pub const STARTED: Declared = Kind::info("started", "51ecac1345d5406cba6d69d14e64dc3f").always().means(Text {
    subject: "The agent has started",
    happened: "swarm-agent @SWARM_AGENT_VERSION@ runs and watches this host's Docker Engine.",
    matters: "It registers @SWARM_AGENT_ADDRESS@ at @SWARM_AGENT_SERVER@ while the engine works and the node is not \
              drained.",
    remedy: "Nothing to do. `systemctl status swarm-agent` shows the present state, `swarm-agent show-config --origin` \
             where each setting comes from.",
});

pub const STOPPING: Declared = Kind::info("stopping", "924717748dd64fc0a5bb6da698a73e3b").always().means(Text {
    subject: "The agent stops",
    happened: "The agent was told to end: by systemctl, an upgrade of the package, or a shutdown.",
    matters: "After a stop this host is not in the list until the agent runs again. A restart keeps the entry for the \
              next process.",
    remedy: "If nobody stopped it, look at who did: `journalctl -b -u swarm-agent`, and `systemctl status swarm-agent`.",
});

pub const FAILED: Declared = Kind::error("failed", "ca625452734543a9a28bc3116a09304d").always().means(Text {
    subject: "The service could not go on",
    happened: "The process ends: @SWARM_AGENT_REASON@",
    matters: "systemd starts it again in a moment. If it ends again and again, this host's entry expires, or the \
              discovery server is away.",
    remedy: "Mend what the line above names; `swarm-agent check-config --connect` tries what the agent needs. Then \
             `systemctl restart swarm-agent` (or swarm-discovery).",
});

pub const DRAINED: Declared = Kind::info("drained", "6bf575553c0344e3aa773036007b3aca").always().means(Text {
    subject: "This host was drained",
    happened: "@SWARM_AGENT_BY@ took this host out of the list by `swarm-agent drain`.",
    matters: "No client finds this host's engine until it is undrained, also after a reboot. The engine and its \
              containers go on as before.",
    remedy: "`swarm-agent status` shows why and for how long; `swarm-agent undrain` puts the host back.",
});

pub const UNDRAINED: Declared = Kind::info("undrained", "882054f6a16e43a5b48d313421b7c637").always().means(Text {
    subject: "This host is no longer drained",
    happened: "`swarm-agent undrain` ended the drain, or its time was over.",
    matters: "This host is in the list again as soon as its engine is seen to work.",
    remedy: "Nothing to do; `swarm-agent status` shows whether it is registered.",
});

pub const RELOADED: Declared = Kind::info("reloaded", "268611bd15654738a0a1b57e8d7a93ae").always().means(Text {
    subject: "The configuration was read anew",
    happened: "A reload was asked for, and the files were valid.",
    matters: "What changed is in force; a key that needs a restart is named in the line above.",
    remedy: "Nothing to do. `swarm-agent show-config --origin` shows what the files say now.",
});

pub const RELOAD_REJECTED: Declared =
    Kind::error("reload-rejected", "960ca8d39d05450fa009fa1d88dfbb12").always().means(Text {
        subject: "The configuration was not reloaded",
        happened: "A reload was asked for, and the configuration can't be used.",
        matters: "The agent goes on with its old settings, but it would not start with the new ones: a restart or a \
                  reboot would leave this host without an agent.",
        remedy: "`swarm-agent check-config` lists every error with its place. Mend them, then `systemctl reload \
                 swarm-agent`.",
    });

pub const CONFIG_INVALID: Declared =
    Kind::error("config-invalid", "19fe88b4af50459c9e94e3208a6d059c").always().means(Text {
        subject: "There is an error in the configuration",
        happened: "The line above names the file, the line and the key that can't be used.",
        matters: "At a start the service ends with code 78 and is not tried again; at a reload the old settings stay.",
        remedy: "Mend it and see what `swarm-agent check-config` (`--for server`) says, then `systemctl restart \
                 swarm-agent` or swarm-discovery (or `reload`, if it runs).",
    });

pub const STATE_TROUBLE: Declared = Kind::warning("state-trouble", "bbd4841693c542c3b034a5263af84323").means(Text {
    subject: "The state directory is in trouble",
    happened: "@SWARM_AGENT_PLACE@: @SWARM_AGENT_REASON@",
    matters: "The agent goes on, but its next process may not know what this one left: an entry, which then stays \
              until its ttl ends, or a drain. A file that was set aside was damaged.",
    remedy: "Look at the disk: `df /var/lib/swarm-agent`, `journalctl -k`; the directory must belong to user \
                 swarm-agent. `swarm-agent check-config --connect` tries it.",
});

pub const API_FAILED: Declared = Kind::warning("api-failed", "14a7be51c90e4017b385494c9fa1286d").means(Text {
    subject: "The agent's local socket can't be used",
    happened: "@SWARM_AGENT_PLACE@: @SWARM_AGENT_REASON@",
    matters: "Registration goes on, but commands that ask the running agent don't work: `swarm-agent status`, `drain`, \
              `undrain`, `metrics` and `reload`, and with it `systemctl reload swarm-agent`.",
    remedy: "Another agent may run: `pgrep -a swarm-agent`. Otherwise `systemctl restart swarm-agent` makes the folder \
             anew; the agent also tries on by itself.",
});

pub const METRICS_FAILED: Declared = Kind::warning("metrics-failed", "46a602dbdc174ccbaec4b6a94d84c708").means(Text {
    subject: "The metrics can't be served",
    happened: "Nothing can listen at @SWARM_AGENT_PLACE@: @SWARM_AGENT_REASON@",
    matters: "Registration goes on, but whoever collects the metrics sees this host as down.",
    remedy: "`ss -ltnp` shows who has the port; set another address in status.metrics-listen and `systemctl reload \
                 swarm-agent`. The agent also tries on by itself.",
});

pub const LOOP_STALE: Declared = Kind::error("loop-stale", "73052f551eb8487e9fa195c6a1112866").means(Text {
    subject: "A part of the agent hangs",
    happened: "Task @SWARM_AGENT_TASK@ does not turn any more: a defect of the agent, or a host that is starved.",
    matters: "systemd's watchdog kills the agent unless it turns again soon, and starts it anew; the entry stays meanwhile.",
    remedy: "If it happens again, look at the load (`uptime`, `cat /proc/pressure/*`), and report it with the core dump: \
             `coredumpctl info swarm-agent`.",
});

pub const LOOP_FRESH: Declared = Kind::info("loop-fresh", "244f5dd0c69f4906812b28c3a8f8ffe4").means(Text {
    subject: "A part of the agent that hung turns again",
    happened: "Task @SWARM_AGENT_TASK@ goes on.",
    matters: "The agent works; it was held up for a while.",
    remedy: "If it happens again, look at the load of this host: `uptime`, `cat /proc/pressure/*`.",
});

pub const TASK_CUT_OFF: Declared =
    Kind::warning("task-cut-off", "d5d954c226e24302ae346d377b6c60d1").always().means(Text {
        subject: "A part of the agent was cut off",
        happened: "Task @SWARM_AGENT_TASK@ was to stop, at a reload or the agent's own stop, and did not in time.",
        matters: "What it was doing is left undone. An entry that was to leave may stay until its ttl ends.",
        remedy: "A server, bus or disk that hangs is the usual cause: `swarm-agent check-config --connect` tries each.",
    });
