//! Prometheus' own tool. `make setup` brings it, without the server.

use std::ffi::OsStr;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Runs it and expects success; what it printed.
pub fn promtool<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>, input: &str) -> String {
    let path = std::env::var_os("PROMTOOL").map_or_else(|| crate::source("target/tools/promtool"), PathBuf::from);
    assert!(path.exists(), "there is no promtool at {}: run `make setup`, or set PROMTOOL", path.display());
    let mut command = Command::new(&path);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    // smaller than a pipe's buffer, so that nobody waits for the other
    child.stdin.take().expect("it is piped").write_all(input.as_bytes()).expect("promtool reads its input");
    let output = child.wait_with_output().expect("promtool ends");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{text}", output.status);
    text
}
