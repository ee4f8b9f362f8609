//! The tasks together, and what stands in for the rest of the world.

pub mod fakes;
mod journal;
