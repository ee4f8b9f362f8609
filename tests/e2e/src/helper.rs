//! What the `machines` program does on behalf of the library, in processes that outlive a killed test.

mod cleanup;
mod janitor;
mod launch;
mod supervise;

pub use cleanup::{collect_garbage, remove_cluster, remove_machine};
pub use janitor::janitor;
pub use launch::{enter_netns, launch};
pub use supervise::{Event, supervise};
