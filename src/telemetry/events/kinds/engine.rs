//! The Docker Engine and its unit.

use crate::telemetry::events::kind::{Declared, Kind, Text};

pub const ENGINE_WORKING: Declared = Kind::info("engine-working", "188fe8233e874294bce850e6174431a7").means(Text {
    subject: "The Docker Engine works",
    happened: "@UNIT@ is active and its engine answers: @SWARM_AGENT_REASON@.",
    matters: "This host is registered, or stays so, unless it is drained or has no address to advertise.",
    remedy: "Nothing to do; `swarm-agent engine status` shows more.",
});

pub const ENGINE_IN_DOUBT: Declared =
    Kind::warning("engine-in-doubt", "95c5bdc920d54f948ba2f7eb3195aefb").means(Text {
        subject: "The Docker Engine did not answer as it should",
        happened: "@UNIT@ is active, but its engine is @SWARM_AGENT_REASON@.",
        matters: "The entry stays for now. After engine.unhealthy-after bad probes in a row (3 by default) it leaves.",
        remedy: "If it does not pass, `swarm-agent engine status` asks the engine, and `journalctl -u docker -u \
                 containerd` may say what holds it up.",
    });

pub const ENGINE_NOT_WORKING: Declared =
    Kind::warning("engine-not-working", "b1e1fe9d0a474db088fced3e0f5cb312").means(Text {
        subject: "The Docker Engine does not work",
        happened: "@UNIT@: engine @SWARM_AGENT_REASON@.",
        matters: "This host is out of the list, or never got into it. Containers may run on without their engine.",
        remedy: "`swarm-agent engine status` tells more, `journalctl -u docker` why. If nobody stopped it on purpose: \
                 `swarm-agent engine restart`, which names the containers that would die.",
    });

pub const MANAGER_LOST: Declared = Kind::warning("manager-lost", "ef8ce093926b498a9f191db0e4c328e5").means(Text {
    subject: "systemd can't be asked about the engine's unit",
    happened: "The state of @UNIT@ can't be told: @SWARM_AGENT_REASON@",
    matters: "An entry that is in stays while the engine answers on the connection that is open. The agent opens no new \
              one meanwhile, since that could start a stopped engine.",
    remedy: "`systemctl status dbus`, then `swarm-agent check-config --connect`. The agent tries again each second.",
});

pub const MANAGER_BACK: Declared = Kind::info("manager-back", "85911b1e240c464fb5c7d926c353a965").means(Text {
    subject: "systemd tells of the engine's unit again",
    happened: "The connection to systemd is back, and the state of @UNIT@ is known.",
    matters: "Stops and failures of the engine are seen at once again.",
    remedy: "Nothing to do, unless it comes and goes: `journalctl -u dbus` may say why.",
});
