//! What the supervisor of the engine sees, decides and does.

use crate::telemetry::events::kind::{Declared, Kind, Text};

pub const ENGINE_DIAGNOSED: Declared =
    Kind::warning("engine-diagnosed", "7b2d1a25c9ce446aa3593bf88f072c75").means(Text {
        subject: "What is the matter with the Docker Engine",
        happened: "@UNIT@: @SWARM_AGENT_REASON@ (condition @SWARM_AGENT_CONDITION@).",
        matters: "An engine that has failed or hangs is restarted by the agent, unless a guard says no; everything else is \
                  left alone and said here.",
        remedy: "`swarm-agent why` tells what was seen, what the agent decides, and what to do.",
    });

pub const REPAIR_BEGUN: Declared = Kind::warning("repair-begun", "64c4160b55114417ad9a7efe72968d2d").always().means(Text {
    subject: "The agent restarts the Docker Engine",
    happened: "@UNIT@ is being restarted: @SWARM_AGENT_REASON@ (condition @SWARM_AGENT_CONDITION@).",
    matters: "No container that was known to run dies by it, unless supervision.when-containers-at-risk is \"restart\". What \
              there was to be seen before is in /var/lib/swarm-agent/incidents/@SWARM_AGENT_INCIDENT@.",
    remedy: "Nothing to do; how it comes out is said next. supervision.mode = \"off\" leaves such restarts to you.",
});

pub const REPAIR_DONE: Declared = Kind::info("repair-done", "f850b6c76c2d44a2a46548e746b368b0").always().means(Text {
    subject: "The Docker Engine was restarted",
    happened: "@UNIT@: @SWARM_AGENT_REASON@.",
    matters: "The host comes back into the list as soon as its engine is proved to work.",
    remedy: "`swarm-agent why` tells the whole story; `journalctl -u docker` may say what it was.",
});

pub const REPAIR_CALLED_OFF: Declared = Kind::info("repair-called-off", "193e4a1d78fa4f3cbd0c0754add0f173").always().means(Text {
    subject: "A restart of the Docker Engine was called off",
    happened: "@UNIT@ was to be restarted by the agent: @SWARM_AGENT_REASON@.",
    matters: "The engine came back, or somebody else did something about it, at the last moment. Nothing was done; it counts as a \
              restart all the same.",
    remedy: "Nothing to do; `swarm-agent why` tells what was seen.",
});

pub const REPAIR_FAILED: Declared = Kind::error("repair-failed", "cd015c9d26d7456cae6f8450b7d4eff9").always().means(Text {
    subject: "A restart of the Docker Engine did not help",
    happened: "@UNIT@ was to be restarted by the agent: @SWARM_AGENT_REASON@.",
    matters: "The agent tries again later, each time after twice as long, and not more often than supervision.restarts.",
    remedy: "`swarm-agent why`, then `journalctl -u docker -b`.",
});

pub const REPAIR_REFUSED: Declared = Kind::warning("repair-refused", "160b563b286b4049a84afea5ab91a09e").always().means(Text {
    subject: "The Docker Engine needs a restart and gets none",
    happened: "@UNIT@ (condition @SWARM_AGENT_CONDITION@) is not restarted: @SWARM_AGENT_REASON@.",
    matters: "The host stays out of the list. Containers that run go on running.",
    remedy: "`swarm-agent why` says what can be done. `swarm-agent engine restart` restarts it after a look at what would \
             die.",
});

pub const REPAIR_WOULD: Declared = Kind::info("repair-would", "5588718c53f14cc38385f3f0dce44a93").always().means(Text {
    subject: "The Docker Engine would be restarted now",
    happened: "@UNIT@: @SWARM_AGENT_REASON@ (condition @SWARM_AGENT_CONDITION@). Nothing was done: supervision.mode is \
               \"dry-run\".",
    matters: "Such restarts are counted as if they had been done.",
    remedy: "If that is what you want of the agent: supervision.mode = \"enforce\".",
});

pub const REPAIR_GIVEN_UP: Declared = Kind::critical("repair-given-up", "57417a50872444f6bef50b95af37309b").always().means(Text {
    subject: "The agent gives up on the Docker Engine for now",
    happened: "@UNIT@ is left alone until @SWARM_AGENT_UNTIL@: @SWARM_AGENT_REASON@.",
    matters: "The host stays out of the list. More restarts would not help, and could make things worse.",
    remedy: "Find out why it does not stay up (`swarm-agent why`, `journalctl -u docker -b`) and mend that; then `swarm-agent \
             engine reset` gives the agent its restarts back at once.",
});

pub const BUDGET_RESET: Declared =
    Kind::info("budget-reset", "e68939670aa24ad2a02beb6ecdff33f0").always().means(Text {
        subject: "An operator gave the agent its restarts back",
        happened: "@SWARM_AGENT_COUNT@ restarts of @UNIT@ are forgotten.",
        matters: "The agent may restart the engine again at once if it needs that.",
        remedy: "Nothing to do; `swarm-agent status` shows how many restarts are used.",
    });
