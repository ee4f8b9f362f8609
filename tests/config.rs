//! `swarm-agent check-config`, the real binary.

use std::fs;
use std::process::{Command, Output};

type TestResult = Result<(), Box<dyn std::error::Error>>;

const VALID: &str = "[discovery]\nurl = \"http://disco:8970/v1/clusters/s3cret\"\nadvertise = \"10.0.0.5:2375\"\n";

struct Root(tempfile::TempDir);

impl Root {
    fn new(text: &str) -> Result<Self, std::io::Error> {
        let root = Self(tempfile::tempdir()?);
        fs::create_dir_all(root.0.path().join("etc/swarm-agent/config.d"))?;
        fs::write(root.file(), text)?;
        Ok(root)
    }

    fn file(&self) -> String {
        format!("{}/etc/swarm-agent/config.toml", self.0.path().display())
    }

    fn check(&self, args: &[&str], environment: &[(&str, &str)]) -> Result<Output, std::io::Error> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_swarm-agent"));
        command.env_clear().envs(environment.iter().copied());
        command.arg("check-config").arg("--config-root").arg(self.0.path()).args(args).output()
    }
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_valid_configuration_is_listed() -> TestResult {
    let root = Root::new(VALID)?;
    let listed = format!("configuration is valid: 1 file\n{}\n", root.file());
    assert_eq!(said(&root.check(&[], &[])?), (Some(0), listed, String::new()));
    let report: serde_json::Value = serde_json::from_slice(&root.check(&["--json"], &[])?.stdout)?;
    assert_eq!(report, serde_json::json!({ "valid": true, "files": [root.file()], "errors": [] }));
    Ok(())
}

#[test]
fn an_invalid_one_exits_78_with_all_errors() -> TestResult {
    let root = Root::new(&format!("{VALID}ttl = 90\ntiemout = \"5s\"\n"))?;
    let file = root.file();
    let errors = format!(
        "{file}:4:7: discovery.ttl: 90 has no unit; write \"90s\"\n\
         {file}:5:1: discovery.tiemout: unknown key; did you mean discovery.timeout?\n"
    );
    assert_eq!(said(&root.check(&[], &[])?), (Some(78), String::new(), errors));
    let output = root.check(&["--json"], &[])?;
    assert_eq!(output.status.code(), Some(78));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(
        report["errors"][0],
        serde_json::json!({
            "file": file, "line": 4, "column": 7, "origin": format!("{file}:4:7"),
            "key": "discovery.ttl", "message": "90 has no unit", "remedy": "write \"90s\"",
            "text": format!("{file}:4:7: discovery.ttl: 90 has no unit; write \"90s\""),
        })
    );
    Ok(())
}

#[test]
fn flags_and_environment_are_checked_too() -> TestResult {
    let root = Root::new(VALID)?;
    let (code, _, error) =
        said(&root.check(&["--ttl", "90", "--set", "engine.grace=soon"], &[("SWARM_AGENT_TTL", "1s")])?);
    assert_eq!(code, Some(78));
    assert_eq!(
        error,
        "environment SWARM_AGENT_TTL: unknown environment variable; did you mean SWARM_AGENT_DISCOVERY_TTL?\n\
         flag --set: engine.grace: \"soon\" is not a duration; write it like \"180s\" or \"3m\"\n\
         flag --ttl: discovery.ttl: 90 has no unit; write \"90s\"\n"
    );
    let (code, _, error) = said(&root.check(&["--set", "nonsense"], &[])?);
    assert_eq!(code, Some(64), "{error}");
    Ok(())
}

#[test]
fn neither_a_server_nor_an_agent_needs_a_configuration() -> TestResult {
    let root = Root::new("")?;
    let nothing = "configuration is valid: 0 files\n".to_owned();
    assert_eq!(said(&root.check(&["--for", "server"], &[])?), (Some(0), nothing.clone(), String::new()));
    assert_eq!(said(&root.check(&[], &[])?), (Some(0), nothing, String::new()));
    let file = [("SWARM_AGENT_CONFIG", "/nowhere/at-all.toml")];
    let (_, _, error) = said(&root.check(&["--for", "server"], &file)?);
    assert_eq!(error, "/nowhere/at-all.toml: can't be read: No such file or directory (os error 2)\n");
    Ok(())
}
