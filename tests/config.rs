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

const PROXIED: &str = "[proxy]\nhttp = \"http://proxy:3128\"\nno-proxy = \".example,10.0.0.0/8\"\n";

#[test]
fn the_way_to_a_url_is_explained_with_what_set_it() -> TestResult {
    let root = Root::new(PROXIED)?;
    let (file, shared) = (root.file(), [("all_proxy", "http://me:pa55word@other:1"), ("HTTP_PROXY", "http://evil:1")]);
    let through = format!("http://disco:8970 goes through the proxy http://proxy:3128 (proxy.http, {file}:2:8)\n");
    let of_all = "https://disco:443 goes through the proxy http://other:1 (proxy.https, environment all_proxy)\n";
    let except = |entry: &str| format!("goes direct: proxy.no-proxy has `{entry}` ({file}:3:12)\n");
    for (url, said_of_it) in [
        ("http://disco:8970/v1/clusters/s3cret", through.clone()),
        ("http://disco:8970", through),
        ("token://disco/v1/s3cret", of_all.to_owned()),
        ("etcd://a.example,10.1.2.3:4001/x", {
            format!("http://a.example:2379 {}http://10.1.2.3:4001 {}", except(".example"), except("10.0.0.0/8"))
        }),
        ("http://127.0.0.1:8971", "http://127.0.0.1:8971 goes direct: it is on this host\n".to_owned()),
        ("unix:///run/docker.sock", {
            "unix:///run/docker.sock goes direct: a unix socket has no use for a proxy\n".to_owned()
        }),
    ] {
        let output = root.check(&["--explain-url", url], &shared)?;
        assert_eq!(said(&output), (Some(0), said_of_it, String::new()), "{url}");
    }
    let output = root.check(&["--explain-url", "https://disco", "--json"], &shared)?;
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(
        report,
        serde_json::json!([{
            "to": "https://disco:443", "proxy": "http://other:1", "rule": "set", "key": "proxy.https",
            "origin": "environment all_proxy", "text": of_all.trim(),
        }])
    );
    let output = root.check(&["--explain-url", "zk://z", "--json"], &shared)?;
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    assert!(report[0]["proxy"].is_null() && report[0]["key"].is_null() && report[0]["rule"] == "not_http", "{report}");
    let (code, _, error) = said(&root.check(&["--explain-url", "ftp://a/s3cret"], &[])?);
    assert!(code == Some(64) && !error.contains("s3cret"), "{error}");
    let (code, _, error) = said(&Root::new("[proxy]\nhttp = \"\"\n")?.check(&["--explain-url", "http://a"], &[])?);
    assert!(code == Some(78) && error.contains("config.toml:2:8: proxy.http: not a proxy: it is empty"), "{error}");
    Ok(())
}

#[test]
fn a_proxy_that_was_set_for_nothing_is_noticed() -> TestResult {
    let root = Root::new(&format!("[discovery]\nurl = \"zk://z\"\n{PROXIED}"))?;
    let file = root.file();
    let notice = format!(
        "proxy.http, {file}:4:8: has no effect on discovery.url = zk://z:2181: ZooKeeper is not spoken to over HTTP and can't be \
         reached through a proxy"
    );
    let listed = format!("configuration is valid: 1 file\n{file}\nnotice: {notice}\n");
    assert_eq!(said(&root.check(&[], &[])?), (Some(0), listed, String::new()));
    let report: serde_json::Value = serde_json::from_slice(&root.check(&["--json"], &[])?.stdout)?;
    assert_eq!(report["notices"], serde_json::json!([notice]));
    // what is set for every program of the host is no mistake
    let root = Root::new("[discovery]\nurl = \"zk://z\"\n")?;
    let listed = format!("configuration is valid: 1 file\n{}\n", root.file());
    assert_eq!(said(&root.check(&[], &[("http_proxy", "http://a:1")])?), (Some(0), listed, String::new()));
    Ok(())
}

#[test]
fn a_ttl_that_outlives_no_lost_heartbeat_is_noticed() -> TestResult {
    let root = Root::new("[discovery]\nttl = \"15s\"\nheartbeat = \"10s\"\n")?;
    let (code, text, _) = said(&root.check(&[], &[])?);
    assert!(
        code == Some(0) && text.contains("notice: discovery.ttl = 15s is less than two heartbeats (10s)"),
        "{text}"
    );
    let root = Root::new("[discovery]\nttl = \"20s\"\nheartbeat = \"10s\"\n")?;
    assert!(!said(&root.check(&[], &[])?).1.contains("notice"));
    Ok(())
}

#[test]
fn a_proxy_is_shown_with_its_variable_and_without_its_password() -> TestResult {
    let root = Root::new("")?;
    let mut show = Command::new(env!("CARGO_BIN_EXE_swarm-agent"));
    show.env_clear().env("https_proxy", "http://me:pa55word@proxy:3128").env("NO_PROXY", "a b");
    let output = show.arg("show-config").arg("--origin").arg("--config-root").arg(root.0.path()).output()?;
    let (code, text, error) = said(&output);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("https = \"http://me:***@proxy:3128\" # environment https_proxy"), "{text}");
    assert!(words.contains("no-proxy = \"a b\" # environment NO_PROXY"), "{text}");
    assert!(!text.contains("\nhttp =") && !text.contains("credentials-file"), "{text}");
    Ok(())
}
