//! The discovery service, and our entry in it.

use crate::telemetry::events::kind::{Declared, Kind, Text};

pub const REGISTERED: Declared = Kind::info("registered", "85b5644e72d04c59bd3c5c9fb974a129").means(Text {
    subject: "This host's engine is in the list",
    happened: "@SWARM_AGENT_ADDRESS@ is registered at @SWARM_AGENT_SERVER@: the engine works.",
    matters: "Clients of the cluster find this host from now on.",
    remedy: "Nothing to do. `swarm-agent list` shows the whole list, `swarm-agent engine status` the engine.",
});

pub const DEREGISTERED: Declared = Kind::info("deregistered", "8bfeaae4420446b1aea74afe5cd15536").means(Text {
    subject: "This host's engine is out of the list",
    happened: "@SWARM_AGENT_ADDRESS@ was taken out at @SWARM_AGENT_SERVER@: @SWARM_AGENT_REASON@",
    matters: "Clients of the cluster don't find this host at that address any more.",
    remedy: "If it is a surprise, `swarm-agent engine status` tells what the engine does, and `journalctl -u docker` \
             why. The entry comes back by itself when the engine works, unless the node is drained.",
});

pub const DISCOVERY_FAILING: Declared =
    Kind::warning("discovery-failing", "47e224d664d34669a3b3b9d060d3aa65").means(Text {
        subject: "The discovery service does not take our beats",
        happened: "The last attempt at @SWARM_AGENT_SERVER@ failed: @SWARM_AGENT_REASON@",
        matters: "Nothing on this host changes and the agent tries on, but without a beat the entry expires when its \
                  ttl ends.",
        remedy: "`swarm-agent check-config --connect` tries the server from here. If it fails on every host, look at the \
                 server: `systemctl status swarm-discovery` there.",
    });

pub const DISCOVERY_RECOVERED: Declared =
    Kind::info("discovery-recovered", "9b04529235f34a61b294be51b003d4b1").means(Text {
        subject: "The discovery service works again",
        happened: "@SWARM_AGENT_SERVER@ took a request after failed attempts.",
        matters: "Beats get through again: what the list says of this host is true.",
        remedy: "Nothing to do; `swarm-agent list` shows who is back.",
    });

pub const LEASE_AT_RISK: Declared = Kind::warning("lease-at-risk", "8f3d0b0e6a5c4f0f9d1b7a52c8e4d613").means(Text {
    subject: "This host's entry will expire soon",
    happened: "No beat for @SWARM_AGENT_ADDRESS@ got through for two thirds of its ttl.",
    matters: "Without one this host drops out of the list although its engine works.",
    remedy: "Look at @SWARM_AGENT_SERVER@ now: `swarm-agent check-config --connect` tries it from here, and the \
                 discovery-failing entries above say what is wrong.",
});

pub const LEASE_EXPIRED: Declared = Kind::warning("lease-expired", "81cfa6cbca97447f86e38ab59a4099fe").means(Text {
    subject: "This host's entry has expired",
    happened: "No beat for @SWARM_AGENT_ADDRESS@ got through for a whole ttl, or this machine was suspended for as \
                   long.",
    matters: "This host is not in the list although its engine works.",
    remedy: "It comes back with the first beat that gets through. `swarm-agent check-config --connect` tries \
                 @SWARM_AGENT_SERVER@ from here.",
});

pub const LEAVE_FAILED: Declared =
    Kind::warning("leave-failed", "36756da8fcbe4301a2ae4eb6872f5e72").always().means(Text {
        subject: "This host's entry could not be taken out",
        happened: "The agent stopped, and @SWARM_AGENT_SERVER@ did not take @SWARM_AGENT_ADDRESS@ out: \
                   @SWARM_AGENT_REASON@",
        matters: "Clients may still try this host, until the entry's ttl ends.",
        remedy: "Wait for the ttl (discovery.ttl, 180 s by default), or start and stop the agent once the server \
                 answers; `swarm-agent list` shows whether it is gone.",
    });

pub const ENTRY_ABANDONED: Declared =
    Kind::warning("entry-abandoned", "5c8927c9e83b4ba99d0cbb89561f26f4").means(Text {
        subject: "An entry of a former process is left to its ttl",
        happened: "A former process noted that it had put in @SWARM_AGENT_ADDRESS@, and that entry is neither resumed nor \
                   taken out: @SWARM_AGENT_REASON@",
        matters: "It may stay in its list for up to a ttl, although nothing renews it. Until then this host is not \
                  registered under another address if the list says whose entry it is.",
        remedy: "Nothing to do: that is so after a power cut if the host has another address since, on a copy of a \
                 machine's disk, and after a downgrade of the package. Otherwise look at \
                 /var/lib/swarm-agent/entries.json.",
    });

pub const DUPLICATE: Declared = Kind::warning("duplicate", "5c64d5a8a2a94c37b3c0f5a1f42b6f0d").means(Text {
    subject: "Another node claims to be this one",
    happened: "The list has somebody who was there before @SWARM_AGENT_ADDRESS@: @SWARM_AGENT_REASON@",
    matters: "This host stays out of the list, or leaves it, although its engine works: two nodes with one address or one \
              id hide each other.",
    remedy: "One address: give one of the hosts another discovery.advertise. A cloned machine: `rm /etc/machine-id \
             /var/lib/docker/engine-id; systemd-machine-id-setup` there, and reboot. discovery.duplicates = \"allow\" \
             looks away.",
});

pub const DUPLICATE_GONE: Declared = Kind::info("duplicate-gone", "e0a3f4c1d6514d0e9a7a4a0a3b1c2d5e").means(Text {
    subject: "Nobody else claims to be this node any more",
    happened: "The list was looked at again, and @SWARM_AGENT_ADDRESS@ is alone.",
    matters: "This host comes back into the list.",
    remedy: "Nothing to do; `swarm-agent list` shows it.",
});

pub const CREDENTIALS_UNUSABLE: Declared =
    Kind::warning("credentials-unusable", "b083f398112420ac40471bc232b25dc5").means(Text {
        subject: "A new certificate or secret can't be used",
        happened: "What @SWARM_AGENT_KEY@ names was replaced by something of no use: @SWARM_AGENT_REASON@",
        matters: "What was read before stays in use, as long as the discovery service accepts it; it is gone with a restart \
                  of the agent.",
        remedy: "Put the right file there; it is read anew by itself. `swarm-agent check-config --connect` tries it.",
    });

pub const CREDENTIALS_USABLE: Declared =
    Kind::info("credentials-usable", "54d4dfb3d203f120ad8d6d8b600e2e94").means(Text {
        subject: "A certificate or secret can be used again",
        happened: "What @SWARM_AGENT_KEY@ names was mended.",
        matters: "New connections to the discovery service use it.",
        remedy: "Nothing to do; `swarm-agent check-config --connect` tries it.",
    });

pub const SECRET_EXPOSED: Declared = Kind::warning("secret-exposed", "7227f61fc7ff7356d815ac905ce11c0a").means(Text {
    subject: "A secret goes over the network in plain text",
    happened: "discovery.url leads to @SWARM_AGENT_SERVER@ without TLS, and each request has the secret of \
               @SWARM_AGENT_KEY@ in it.",
    matters: "Everybody on the way can read the secret, and use it.",
    remedy: "Let the service speak TLS, write its scheme with TLS into discovery.url (https, consuls, etcds, zks), and \
             then make a new secret.",
});
