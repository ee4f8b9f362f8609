//! Plain types that every layer may use. Nothing here does I/O or reads a clock.

pub mod access;
pub mod address;
pub mod advertise;
pub mod backoff;
pub mod cpu_list;
pub mod discovery_url;
pub mod engine;
pub mod engine_details;
pub mod host_pattern;
pub mod limiter;
pub mod listing;
pub mod masked;
pub mod moment;
pub mod network;
pub mod reach;
pub mod registration;
pub mod token;
pub mod unit;
pub mod unit_report;

pub use access::Access;
pub use address::NodeAddress;
pub use advertise::{AddressState, Advertise, Candidate};
pub use backoff::Backoff;
pub use discovery_url::{DiscoveryUrl, NodesUrl, ServerUrl, TokenUrl};
pub use engine::{EngineHealth, EngineInfo, ProbeFault};
pub use engine_details::{Container, EngineDetails};
pub use limiter::Limiter;
pub use listing::{Listing, Unreadable};
pub use moment::Moment;
pub use network::{Interface, InterfaceAddress, NetworkView};
pub use reach::{AdvertiseCheck, Answer, Finding, Reach, ReachFault};
pub use registration::{HeldEntry, RegistrationStatus, Standing};
pub use token::Token;
pub use unit::{ActiveState, Job, JobKind, LoadState, UnitState, UnitView};
pub use unit_report::{JobResult, UnitLimits, UnitReport};
