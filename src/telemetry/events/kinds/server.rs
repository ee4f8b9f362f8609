//! The discovery server, inside the agent or on its own, and sockets that we serve.

use crate::telemetry::events::kind::{Declared, Kind, Text};

pub const HOSTING_FAILED: Declared = Kind::warning("hosting-failed", "d0432ff3057346eba01dce8dbca26655").means(Text {
    subject: "The agent's own discovery server does not work",
    happened: "It could not be started, or ended: @SWARM_AGENT_REASON@",
    matters: "This host, and each that uses it as its server, can't register or list until it works.",
    remedy: "If the address is in use, `ss -ltnp` shows by whom; else look at the disk below /var/lib/swarm-agent. \
                 The agent tries on by itself.",
});

pub const HOSTING_RECOVERED: Declared =
    Kind::info("hosting-recovered", "7ba85c2d0f2d4b45bf949f6a79a015e5").means(Text {
        subject: "The agent's own discovery server works again",
        happened: "It serves after failed attempts.",
        matters: "Hosts that use it register again by themselves.",
        remedy: "Nothing to do; `swarm-agent list` shows who is back.",
    });

pub const SERVER_LISTENING: Declared = Kind::info("server-listening", "92e2d6212d5a492d8b4bfcf313308451").means(Text {
    subject: "The discovery server listens",
    happened: "It takes requests at @SWARM_AGENT_ADDRESS@.",
    matters: "Agents register there and clients read the list there; whoever reaches it, is let in and \
                  knows a cluster's token can change its list.",
    remedy: "Nothing to do. `swarm-agent create http://…` makes a new cluster there.",
});

pub const SERVER_STOPPING: Declared =
    Kind::info("server-stopping", "605617e32b8d4a23b1ba4227fc66f18a").always().means(Text {
        subject: "The discovery server stops",
        happened: "It was told to end: by systemctl, an upgrade of the package, or a shutdown.",
        matters: "Nobody can register or list until it runs again. It forgets nothing, and gives nodes time to beat after \
                  its start.",
        remedy: "If nobody stopped it, look at who did: `journalctl -b -u swarm-discovery`. `systemctl start \
                 swarm-discovery` starts it.",
    });

pub const SERVER_EXPOSED: Declared =
    Kind::info("server-exposed", "8b940ebaebe8455794b0a1fd46cd6d58").always().means(Text {
        subject: "Others can reach the discovery server, and little keeps them out",
        happened: "It listens on @SWARM_AGENT_ADDRESS@, and @SWARM_AGENT_REASON@.",
        matters: "On a network where everybody is trusted that is all right; elsewhere a stranger can change what is listed.",
        remedy: "Set server.tls-cert and server.tls-key, and server.tokens-file (`swarm-agent token new`) or \
                 server.tls-client-ca. See swarm-agent(8).",
    });

pub const CERTIFICATE_READ: Declared = Kind::info("certificate-read", "e5f53e0e4e094df6928cdcf41c17b33c").means(Text {
    subject: "The discovery server uses other TLS files",
    happened: "What stands in @SWARM_AGENT_PLACE@, or in a file that goes with it, is another now.",
    matters: "New connections see it; those that are open go on.",
    remedy: "Nothing to do, unless nobody renewed them: then look at who wrote there.",
});

pub const CERTIFICATE_KEPT: Declared =
    Kind::warning("certificate-kept", "558f03de210b4b29b0281abe35d04e94").means(Text {
        subject: "The discovery server can't use its new TLS files",
        happened: "@SWARM_AGENT_REASON@",
        matters: "It goes on with those from before, but it could not start with these, and the old certificate expires.",
        remedy: "Mend what the line above names; the server sees it by itself. `swarm-agent check-config --for server \
                 --connect` tries the files.",
    });

pub const STORE_OPENED: Declared = Kind::info("store-opened", "2b86707037474a578597884e6ecb5b52").means(Text {
    subject: "The discovery server has read its store",
    happened: "It knows the clusters and nodes that it knew before.",
    matters: "A restart loses no entry; nodes that beat in time stay in the list.",
    remedy: "Nothing to do. If there are fewer than there should be, look for damaged files that were set aside beside \
                 the store.",
});

pub const STORE_FAILING: Declared = Kind::warning("store-failing", "43ce02e4800b4662bd6ccd448863e8fa").means(Text {
    subject: "The discovery server can't write its store",
    happened: "The disk did not take a change: @SWARM_AGENT_REASON@",
    matters: "Known nodes stay listed and can beat, but no new one gets in and none leaves before its ttl ends.",
    remedy: "Look at the disk: `df`, `journalctl -k`, for /var/lib/swarm-discovery or /var/lib/swarm-agent/discovery. \
                 The server tries on by itself.",
});

pub const STORE_RECOVERED: Declared = Kind::info("store-recovered", "b7c376a6257142d38d15c598b3ebe5cd").means(Text {
    subject: "The discovery server can write its store again",
    happened: "The disk took a change after failed ones.",
    matters: "Nodes can come and go again.",
    remedy: "Nothing to do, unless it comes and goes: `journalctl -k` may name a sick disk.",
});

pub const ACCEPT_FAILING: Declared = Kind::warning("accept-failing", "8a9e63dad3804a66ac3ca3a032b0105b").means(Text {
    subject: "Connections can't be accepted",
    happened: "At @SWARM_AGENT_PLACE@ the kernel gave an error: @SWARM_AGENT_REASON@",
    matters: "Clients wait or are refused until it passes.",
    remedy: "Too many open files is the usual cause: `systemctl show -p LimitNOFILE swarm-agent swarm-discovery`; \
                 `ss -tnp` shows who holds connections.",
});

pub const CLIENT_CROWDED: Declared = Kind::warning("client-crowded", "14634fb8d8f64c18bbb39a0cf3bff7a0").means(Text {
    subject: "A user of this host has too many connections to the agent",
    happened: "One user keeps as many connections to @SWARM_AGENT_PLACE@ open as one user may have.",
    matters: "Further ones of that user are closed at once. Root, the agent itself and other users are still served.",
    remedy: "`ss -xp` shows which programs hold them: `swarm-agent status --watch` is one, a loop of requests another.",
});

pub const REQUESTS_CUT_OFF: Declared =
    Kind::warning("requests-cut-off", "7fa5b502cd8b499b912f6359805d2694").means(Text {
        subject: "Requests were cut off by a stop",
        happened: "@SWARM_AGENT_COUNT@ connections to @SWARM_AGENT_PLACE@ were still busy when the time for a stop was over.",
        matters: "Their clients got no answer. Agents try again by themselves.",
        remedy: "Nothing to do, unless it is seen at each stop: then a client is slow, or the server's disk is.",
    });
