//! Pure decisions: time is an argument, nothing here does I/O or waits.

pub mod lease;
