//! Exit codes, after sysexits.h: 0 done, 64 usage, 69 a service is unavailable, 78 configuration, 1 the rest.

use std::process::ExitCode;

pub const FAILURE: u8 = 1;
pub const USAGE: u8 = 64;
pub const UNAVAILABLE: u8 = 69;
pub const CONFIG: u8 = 78;

/// Prints clap's message; help and version are no errors.
pub fn usage(error: &clap::Error) -> ExitCode {
    // a closed stdout or stderr leaves nobody to tell
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
}
