//! Pure decisions: `step(state, input, now)` gives the next state and what to do. No I/O, no await,
//! no clock, so that every case can be tested as a table.

pub mod advertise;
pub mod advice;
pub mod chatter;
pub mod checkup;
pub mod condition;
pub mod dropin;
pub mod freshness;
pub mod gate;
pub mod identity;
pub mod lease;
pub mod lossless;
pub mod operator_restart;
pub mod operator_status;
pub mod overall;
pub mod permission;
pub mod pressure;
pub mod proof;
pub mod proxy;
pub mod registration;
pub mod restart;
pub mod risk;
pub mod summary;
pub mod watch;
pub mod wish;
