//! What happens when the clocks of a host jump: they are set, or stand still in a suspend. The machines of the target
//! `node` share the host's clocks, so the host here is a virtual machine.

#[path = "../node/fleet.rs"]
#[expect(dead_code, reason = "shared with the target `node`")]
mod fleet;
#[path = "../node/lister.rs"]
mod lister;
#[path = "../node/relay.rs"]
#[expect(dead_code, reason = "shared with the target `node`")]
mod relay;

mod clock_set;
mod scene;
mod suspend;
