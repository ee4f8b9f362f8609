//! Which source has the last word.

use super::{ELSEWHERE, MAIN, Root, TestResult, environment, set};
use crate::config::settings::LogLevel;
use crate::config::{Credentials, Origin, load, load_agent, load_server, named_cluster, read_cluster, read_proxy};
use crate::model::{AdvertiseCheck, ClientFiles, Discovery, ProxySetting, Sourced, TlsFiles, TlsNames};
use std::path::{Path, PathBuf};
use std::time::Duration;

const LIB: &str = "usr/lib/swarm-agent/config.d";
const RUN: &str = "run/swarm-agent.d";
const ETC: &str = "etc/swarm-agent/config.d";

fn grace(text: &str) -> String {
    format!("[engine]\ngrace = \"{text}\"\n")
}

/// The grace time that holds and where it stands.
fn told(root: &Root) -> Result<String, Box<dyn std::error::Error>> {
    let loaded = load_agent(&root.sources())?;
    let origin = loaded.merged.origin("engine.grace").ok_or("no origin")?;
    Ok(format!("{:?} {}", loaded.settings.engine.grace, root.strip(origin)))
}

#[test]
fn every_key_has_its_default() -> TestResult {
    let root = Root::new(&[])?;
    let settings = load_agent(&root.sources())?.settings;
    assert_eq!(settings.log_level, LogLevel::Info);
    assert_eq!(settings.state_directory, Path::new("/var/lib/swarm-agent"));
    assert_eq!(settings.discovery.url, Discovery::Embedded);
    assert_eq!(settings.discovery.embedded_listen.to_string(), "127.0.0.1:8971");
    assert_eq!(settings.discovery.advertise.to_string(), "auto:2375");
    assert_eq!(settings.discovery.advertise_check, AdvertiseCheck::Warn);
    assert_eq!(settings.discovery.heartbeat, Duration::from_secs(60));
    assert_eq!(settings.discovery.ttl, Duration::from_secs(180));
    assert_eq!(settings.discovery.delay, Duration::ZERO);
    assert_eq!(settings.discovery.way.timeouts.connect, Duration::from_secs(3));
    assert_eq!(settings.discovery.way.timeouts.total, Duration::from_secs(10));
    assert_eq!(settings.engine.socket, Path::new("/run/docker.sock"));
    assert_eq!(settings.engine.unit, "docker.service");
    assert_eq!(settings.engine.grace, Duration::from_secs(10));
    assert_eq!(settings.engine.probe_interval, Duration::from_secs(30));
    assert_eq!(settings.engine.probe_timeout, Duration::from_secs(5));
    assert_eq!((settings.engine.healthy_after, settings.engine.unhealthy_after), (2, 3));
    assert_eq!(settings.engine.tls, None);
    Ok(())
}

#[test]
fn any_file_of_tls_turns_it_on_and_the_client_certificate_comes_with_its_key() -> TestResult {
    let root = Root::new(&[(MAIN, &format!("{ELSEWHERE}[engine]\ntls-ca = \"/a/ca.pem\"\n"))])?;
    assert_eq!(
        load_agent(&root.sources())?.settings.engine.tls,
        Some(TlsFiles { ca: Some("/a/ca.pem".into()), client: None, names: TlsNames::ENGINE })
    );
    let pair = "[engine]\ntls-cert = \"/a/cert.pem\"\ntls-key = \"/a/key.pem\"\n";
    let client = Some(ClientFiles { certificate: "/a/cert.pem".into(), key: "/a/key.pem".into() });
    root.write(MAIN, format!("{ELSEWHERE}{pair}").as_bytes())?;
    assert_eq!(
        load_agent(&root.sources())?.settings.engine.tls,
        Some(TlsFiles { ca: None, client, names: TlsNames::ENGINE })
    );
    Ok(())
}

#[test]
fn a_server_needs_no_configuration() -> TestResult {
    let settings = load_server(&Root::new(&[])?.sources())?.settings;
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8970");
    assert_eq!(settings.state_directory, Path::new("/var/lib/swarm-discovery"));
    Ok(())
}

#[test]
fn drop_ins_beat_the_main_file_and_apply_by_name_whatever_their_folder() -> TestResult {
    let root = Root::new(&[(MAIN, &format!("{ELSEWHERE}{}", grace("1s")))])?;
    assert_eq!(told(&root)?, format!("1s /{MAIN}:5:9"));
    root.write(&format!("{LIB}/20-b.toml"), grace("2s").as_bytes())?;
    assert_eq!(told(&root)?, format!("2s /{LIB}/20-b.toml:2:9"));
    root.write(&format!("{ETC}/10-a.toml"), grace("3s").as_bytes())?;
    assert_eq!(told(&root)?, format!("2s /{LIB}/20-b.toml:2:9"));
    root.write(&format!("{RUN}/20-b.toml"), grace("4s").as_bytes())?;
    assert_eq!(told(&root)?, format!("4s /{RUN}/20-b.toml:2:9"));
    root.write(&format!("{ETC}/20-b.toml"), grace("5s").as_bytes())?;
    assert_eq!(told(&root)?, format!("5s /{ETC}/20-b.toml:2:9"));
    let files: Vec<String> = load(&root.sources())?.files().iter().map(|f| root.strip(f.display())).collect();
    assert_eq!(files, [format!("/{MAIN}"), format!("/{ETC}/10-a.toml"), format!("/{ETC}/20-b.toml")]);
    Ok(())
}

#[test]
fn a_link_to_dev_null_or_an_empty_file_masks() -> TestResult {
    let root = Root::new(&[(MAIN, ELSEWHERE)])?;
    root.write(&format!("{LIB}/a.toml"), b"broken = ")?;
    root.link(&format!("{ETC}/a.toml"), "/dev/null")?;
    root.write(&format!("{LIB}/b.toml"), b"broken = ")?;
    root.write(&format!("{RUN}/b.toml"), b"")?;
    assert_eq!(told(&root)?, "10s default");
    Ok(())
}

#[test]
fn hidden_files_and_leftovers_are_not_read() -> TestResult {
    let root = Root::new(&[(MAIN, ELSEWHERE)])?;
    for name in [".a.toml", "a.toml~", "a.toml.rpmsave", "README"] {
        root.write(&format!("{ETC}/{name}"), b"broken = ")?;
    }
    assert_eq!(told(&root)?, "10s default");
    Ok(())
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_read_and_counted_past() -> TestResult {
    let text = format!("\u{feff}{ELSEWHERE}{}", grace("7s")).replace('\n', "\r\n");
    let root = Root::new(&[(MAIN, &text), (&format!("{ETC}/a.toml"), "\u{feff}"), (&format!("{ETC}/b.toml"), "\n\n")])?;
    assert_eq!(told(&root)?, format!("7s /{MAIN}:5:9"));
    root.write(MAIN, "\u{feff}tll = 1".as_bytes())?;
    assert!(root.errors(&root.sources()).first().is_some_and(|e| e.contains(":1:1: tll: unknown key")));
    Ok(())
}

#[test]
fn flags_beat_the_environment_and_the_environment_beats_files() -> TestResult {
    let root = Root::new(&[(MAIN, &format!("{ELSEWHERE}ttl = \"90s\"\n"))])?;
    let sources = root.sources().with_environment(environment(&[
        ("SWARM_AGENT_DISCOVERY_TTL", "91s"),
        ("SWARM_AGENT_CONFIG", "/elsewhere"),
        ("PATH", "/bin"),
    ]));
    let loaded = load_agent(&sources)?;
    assert_eq!(loaded.settings.discovery.ttl, Duration::from_secs(91));
    assert_eq!(
        loaded.merged.origin("discovery.ttl"),
        Some(&Origin::Environment("SWARM_AGENT_DISCOVERY_TTL".to_owned()))
    );
    let flags = [set("--set", "discovery.ttl", "92s"), set("--ttl", "discovery.ttl", "93s")];
    let loaded = load_agent(&sources.with_flags(flags))?;
    assert_eq!(loaded.settings.discovery.ttl, Duration::from_secs(93));
    assert_eq!(loaded.merged.origin("discovery.ttl").map(ToString::to_string).as_deref(), Some("flag --ttl"));
    Ok(())
}

#[test]
fn classic_names_are_a_fallback() -> TestResult {
    let root = Root::new(&[(MAIN, ELSEWHERE)])?;
    let classic = [("SWARM_DISCOVERY", "http://old/v1/clusters/a"), ("SWARM_ADVERTISE", "10.0.0.6:2375")];
    let settings = load_agent(&root.sources().with_environment(environment(&classic)))?.settings;
    assert_eq!(
        (settings.discovery.url.to_string(), settings.discovery.advertise.to_string()),
        ("http://old".into(), "10.0.0.6:2375".into())
    );
    // one that is not used need not be right: it is there for the classic program
    let both = [("SWARM_DISCOVERY", "etcd://old"), ("SWARM_AGENT_DISCOVERY_URL", "http://new/v1/clusters/a")];
    let settings = load_agent(&root.sources().with_environment(environment(&both)))?.settings;
    assert_eq!(settings.discovery.url.to_string(), "http://new");
    Ok(())
}

#[test]
fn the_state_directory_of_systemd_is_the_default() -> TestResult {
    let root = Root::new(&[(MAIN, ELSEWHERE)])?;
    let sources = root.sources().with_environment(environment(&[("STATE_DIRECTORY", "/var/lib/x:/var/lib/y")]));
    let loaded = load_agent(&sources)?;
    assert_eq!(loaded.settings.state_directory, Path::new("/var/lib/x"));
    assert_eq!(load_server(&sources)?.settings.state_directory, Path::new("/var/lib/x"));
    let sources = sources.with_flags([set("--set", "agent.state-directory", "/srv/a")]);
    assert_eq!(load_agent(&sources)?.settings.state_directory, Path::new("/srv/a"));
    Ok(())
}

#[test]
fn a_command_can_ask_for_one_key() -> TestResult {
    let merged = load(&Root::new(&[])?.sources())?;
    assert_eq!(merged.get::<PathBuf>("engine.socket").as_deref(), Some(Path::new("/run/docker.sock")));
    assert_eq!(merged.get("discovery.url"), Some(Discovery::Embedded));
    assert_eq!(merged.get::<PathBuf>("discovery.url"), None);
    Ok(())
}

#[test]
fn what_is_wrong_does_not_hide_what_is_right() -> TestResult {
    let root = Root::new(&[(MAIN, &format!("{ELSEWHERE}ttl = 90\nheartbeat = \"5s\"\n"))])?;
    let (merged, settings) = super::super::inspect_agent(&root.sources());
    assert_eq!(settings.err().map(|errors| errors.len()), Some(1));
    let shown = |path: &str| merged.entries().find(|(key, _)| key.path == path).and_then(|(_, value)| value);
    assert_eq!(shown("discovery.heartbeat").map(|(text, _)| text), Some("5s"));
    assert_eq!(shown("discovery.url").map(|(text, _)| text), Some("http://disco:8970/v1/clusters/***"));
    Ok(())
}

#[test]
fn nothing_is_registered_in_a_list_that_can_only_be_read() -> TestResult {
    for (url, scheme) in [("a:1,b:1", "nodes"), ("nodes://a:1", "nodes"), ("file:///etc/nodes", "file")] {
        let root = Root::new(&[(MAIN, &format!("[discovery]\nurl = \"{url}\"\nadvertise = \"10.0.0.5:2375\"\n"))])?;
        let errors = root.errors(&root.sources());
        let expected = format!("/{MAIN}:2:7: discovery.url: {scheme}:// is a list that can only be read");
        assert!(matches!(&errors[..], [error] if error.starts_with(&expected)), "{errors:?}");
        assert!(matches!(load(&root.sources())?.get("discovery.url"), Some(Discovery::At(_))));
    }
    Ok(())
}

#[test]
fn what_lets_us_in_comes_from_tables_in_a_table_and_from_the_environment() -> TestResult {
    let root = Root::new(&[(
        MAIN,
        "[discovery]\nurl = \"https://disco/v1/clusters/x\"\ntls.ca = \"/a/ca.pem\"\n\
         [discovery.auth]\ntoken-file = \"credential:token\"\n",
    )])?;
    let way = load_agent(&root.sources())?.settings.discovery.way;
    let names = TlsNames::DISCOVERY;
    assert_eq!(way.tls, Some(TlsFiles { ca: Some("/a/ca.pem".into()), client: None, names }));
    assert_eq!(way.auth.token, Some("credential:token".into()), "nobody said where it is");
    let variables =
        [("CREDENTIALS_DIRECTORY", "/run/credentials/x"), ("SWARM_AGENT_DISCOVERY_TLS_CA", "credential:ca")];
    let sources = root.sources().with_environment(environment(&variables));
    let loaded = load_agent(&sources)?;
    let way = loaded.settings.discovery.way;
    assert_eq!(way.tls.and_then(|tls| tls.ca), Some("/run/credentials/x/ca".into()));
    assert_eq!(way.auth.token, Some("/run/credentials/x/token".into()));
    let shown = loaded.merged.entries().find(|(key, _)| key.path == "discovery.tls.ca").and_then(|(_, value)| value);
    assert_eq!(shown.map(|(text, _)| text), Some("credential:ca"));
    Ok(())
}

#[test]
fn a_proxy_is_ours_or_else_that_of_the_environment() -> TestResult {
    let shown = |variables: &[(&str, &str)], proxy: &str| -> Result<String, Box<dyn std::error::Error>> {
        let root = Root::new(&[(MAIN, &format!("{ELSEWHERE}[proxy]\n{proxy}\n"))])?;
        let loaded = load_agent(&root.sources().with_environment(environment(variables)))?;
        let proxy = &loaded.settings.discovery.way.proxy;
        let one = |set: &Option<Sourced<ProxySetting>>| {
            set.as_ref().map_or("-".to_owned(), |set| root.strip(format!("{} {}", set.value, set.source)))
        };
        let except = proxy.no_proxy.as_ref().map_or("-".to_owned(), |list| list.value.to_string());
        Ok(format!("{} | {} | {except}", one(&proxy.http), one(&proxy.https)))
    };
    let all = ("all_proxy", "http://a:1");
    let of_all = "http://a:1 proxy.https, environment all_proxy";
    for (variables, proxy, expected) in [
        (&[][..], "", "- | - | -".to_owned()),
        // a CGI program gets HTTP_PROXY from whoever sends it a header named Proxy
        (&[("HTTP_PROXY", "http://evil:1")], "", "- | - | -".to_owned()),
        (&[("http_proxy", "h:2"), all], "", format!("http://h:2 proxy.http, environment http_proxy | {of_all} | -")),
        (&[("http_proxy", ""), all], "", format!("http://a:1 proxy.http, environment all_proxy | {of_all} | -")),
        (
            &[("HTTPS_PROXY", "http://b:1"), ("https_proxy", "http://s:3"), ("NO_PROXY", "x"), ("no_proxy", "y z")],
            "",
            "- | http://s:3 proxy.https, environment https_proxy | y,z".to_owned(),
        ),
        (&[all], "http = \"off\"", format!("off proxy.http, /{MAIN}:5:8 | {of_all} | -")),
        (
            &[all, ("no_proxy", "x")],
            "http = \"http://p:4\"\nno-proxy = \"\"",
            format!("http://p:4 proxy.http, /{MAIN}:5:8 | {of_all} | "),
        ),
        // what is not used need not be right
        (&[("http_proxy", "socks5://x"), ("https_proxy", "?")], "http = \"off\"\nhttps = \"off\"", {
            format!("off proxy.http, /{MAIN}:5:8 | off proxy.https, /{MAIN}:6:9 | -")
        }),
        (&[("SWARM_AGENT_PROXY_HTTP", "http://e:5")], "http = \"http://p:4\"", {
            "http://e:5 proxy.http, environment SWARM_AGENT_PROXY_HTTP | - | -".to_owned()
        }),
    ] {
        assert_eq!(shown(variables, proxy)?, expected, "{variables:?} {proxy}");
    }
    Ok(())
}

#[test]
fn a_command_takes_the_credentials_from_where_the_url_is() -> TestResult {
    let root = Root::new(&[(
        MAIN,
        "[discovery]\nurl = \"https://disco/v1/clusters/x\"\nttl = 5\n\
         [discovery.tls]\nca = \"/a/ca.pem\"\n[discovery.auth]\ntoken-file = \"/a/token\"\n",
    )])?;
    let flag = set("--token-file", "discovery.auth.token-file", "/b/token");
    let cluster = read_cluster(&root.sources().with_flags([flag.clone()]))?;
    let auth = &cluster.credentials.auth;
    assert_eq!((auth.token.clone(), auth.names.token), (Some("/b/token".into()), "--token-file"));
    assert_eq!(cluster.credentials.tls.and_then(|tls| tls.ca), Some("/a/ca.pem".into()));
    let named = named_cluster("https://other/v1/clusters/y".parse()?, vec![])?;
    assert_eq!(named.credentials, Credentials::default());
    let ca = set("--tls-ca", "discovery.tls.ca", "/b/ca.pem");
    let errors = named_cluster("http://other/v1/clusters/y".parse()?, vec![flag, ca]).err().ok_or("no TLS")?;
    assert_eq!(
        errors.to_string(),
        "discovery.tls.ca = /b/ca.pem (flag --tls-ca) is of no use with DISCOVERY_URL = http://other/v1/clusters/*** \
         (argument), which is not spoken to over TLS; begin DISCOVERY_URL with https://, or take discovery.tls.ca out"
    );
    Ok(())
}

#[test]
fn a_password_may_stand_in_the_environments_proxy_and_is_shown_nowhere() -> TestResult {
    let root = Root::new(&[(MAIN, ELSEWHERE)])?;
    let variables = [("https_proxy", "http://me:pa55word@proxy:3128")];
    let loaded = load_agent(&root.sources().with_environment(environment(&variables)))?;
    let masked = loaded.merged.entries().find(|(key, _)| key.path == "proxy.https").and_then(|(_, value)| value);
    assert_eq!(masked.map(|(text, _)| text), Some("http://me:***@proxy:3128"));
    assert!(!format!("{loaded:?}").contains("pa55word"));
    // ours is a readable file or a command line
    let flags = [set("--set", "proxy.http", "http://me:pa55word@proxy:3128")];
    for sources in [
        root.sources().with_flags(flags),
        root.sources().with_environment(environment(&[("SWARM_AGENT_PROXY_HTTP", "http://me:pa55word@proxy:3128")])),
    ] {
        let errors = root.errors(&sources);
        assert!(errors.len() == 1 && errors[0].contains("proxy.credentials-file"), "{errors:?}");
        assert!(!errors[0].contains("pa55word"), "{errors:?}");
    }
    Ok(())
}

#[test]
fn a_proxy_of_the_environment_that_cant_be_used_is_named() -> TestResult {
    let root = Root::new(&[(MAIN, ELSEWHERE)])?;
    let variables = environment(&[("all_proxy", "socks5://me:pa55word@x:1"), ("NO_PROXY", "a 10.*")]);
    let errors = root.errors(&root.sources().with_environment(variables));
    assert_eq!(
        errors,
        [
            r#"environment all_proxy: proxy.http: not a proxy: scheme `socks5` is not that of a proxy that can be used: only http is; write it like "http://proxy.example:3128", or "off" for none"#,
            r#"environment all_proxy: proxy.https: not a proxy: scheme `socks5` is not that of a proxy that can be used: only http is; write it like "http://proxy.example:3128", or "off" for none"#,
            r#"environment NO_PROXY: proxy.no-proxy: not a list of hosts: `10.*` has a `*` where none can stand: only `*` alone and `*.example.com` are possible; write it like ".example.com,10.0.0.0/8""#,
        ]
    );
    // a command that names its cluster is concerned by the proxies only
    let root = Root::new(&[(MAIN, "[discovery]\nttl = 7\n[proxy]\nhttp = \"http://p:1\"\n")])?;
    assert_eq!(read_proxy(&root.sources())?.http.map(|set| set.value.to_string()).as_deref(), Some("http://p:1"));
    let root = Root::new(&[(MAIN, "[proxy]\nhttp = \"http://me:pa55word@p:1\"\n")])?;
    assert_eq!(read_proxy(&root.sources()).map_err(|errors| errors.len()), Err(1));
    Ok(())
}

#[test]
fn https_to_an_ipv6_address_goes_straight_or_not_at_all() -> TestResult {
    let text = "[discovery]\nurl = \"https://[fd00::1]/v1/clusters/s3cret\"\n[proxy]\nhttps = \"http://p:1\"\n";
    let root = Root::new(&[(MAIN, text)])?;
    assert_eq!(
        root.errors(&root.sources()),
        [format!(
            "/{MAIN}:2:7: discovery.url: https://[fd00::1]:443 can't be reached through the proxy (proxy.https, \
             /{MAIN}:4:9): https to an IPv6 address does not work through one; write a host name, or put the address into \
             proxy.no-proxy"
        )]
    );
    root.write(MAIN, format!("{text}no-proxy = \"fd00::/8\"\n").as_bytes())?;
    assert!(root.errors(&root.sources()).is_empty());
    Ok(())
}
