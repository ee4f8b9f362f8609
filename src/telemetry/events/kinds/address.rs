//! The address that is advertised.

use crate::telemetry::events::kind::{Declared, Kind, Text};

pub const ADDRESS_FOUND: Declared = Kind::info("address-found", "33eb9a22e1604b268f74115097112175").means(Text {
    subject: "The address to advertise is known",
    happened: "discovery.advertise comes to @SWARM_AGENT_ADDRESS@ on this host.",
    matters: "Other hosts are told to reach the engine there. If it is another address than before, the old entry leaves \
              once the new one is in.",
    remedy: "If it is the wrong one, write out the right one, an interface or a network in discovery.advertise, then \
             `systemctl reload swarm-agent`.",
});

pub const ADDRESS_MISSING: Declared =
    Kind::warning("address-missing", "54d18486c9734ca1a4747071c5ef5fb4").means(Text {
        subject: "There is no address to advertise",
        happened: "discovery.advertise comes to nothing on this host: @SWARM_AGENT_REASON@",
        matters: "This host is not in the list, or leaves it, although its engine may work.",
        remedy: "`ip -brief address` shows what there is. An address that comes back is taken at once; where two would \
                 fit, write one out in discovery.advertise, then `systemctl reload swarm-agent`.",
    });

pub const ADVERTISED_UNREACHABLE: Declared = Kind::warning(
    "advertised-unreachable",
    "d26e4f09155b45b6ac5f7a1ae56e6a9a",
)
.means(Text {
    subject: "The advertised address does not lead to this host's engine",
    happened: "The agent asked @SWARM_AGENT_ADDRESS@ as another host would: @SWARM_AGENT_REASON@",
    matters: "Clients find this host in the list and can't use it; with discovery.advertise-check = \"require\" it is \
                  not in the list.",
    remedy: "`ss -ltnp` shows whether dockerd listens there; a fresh Docker listens on no port (README, \"Open the \
                 engine's port\"). `swarm-agent check-config --connect` asks again.",
});

pub const ADVERTISED_REACHABLE: Declared = Kind::info("advertised-reachable", "e4cc01ff73a34959be8fb7c20e5c83f4")
    .means(Text {
        subject: "The advertised address answers",
        happened: "@SWARM_AGENT_ADDRESS@ was asked again: @SWARM_AGENT_REASON@",
        matters: "Clients that find this host in the list can use it. What is \"not proved\" answers, but did not show \
                  whose engine it is.",
        remedy: "Nothing to do. To have it proved over TLS, set engine.tls-ca and its like (README, \"Prove an address \
                 with TLS\").",
    });
