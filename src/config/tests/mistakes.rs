//! Every kind of mistake, with the exact words.

use super::{ELSEWHERE, MAIN, Root, TestResult, environment, set};
use crate::config::{load_agent, load_server};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixListener;

const DROP_IN: &str = "etc/swarm-agent/config.d/10-net.toml";

/// What follows the three lines of [`ELSEWHERE`], and what is said about it after the file's name.
const VALUES: &[(&str, &str)] = &[
    (r#"ttl = "3 minutes o""#, r#"4:7: discovery.ttl: "3 minutes o" is not a duration; write it like "180s" or "3m""#),
    ("  ttl = 180", r#"4:9: discovery.ttl: 180 has no unit; write "180s""#),
    (r#"ttl = "180""#, r#"4:7: discovery.ttl: 180 has no unit; write "180s""#),
    ("ttl = -5", r#"4:7: discovery.ttl: must be a duration in quotes, and is an integer; write it like "180s""#),
    ("ttl = 1.5", r#"4:7: discovery.ttl: must be a duration in quotes, and is a float; write it like "180s""#),
    ("ttl = true", r#"4:7: discovery.ttl: must be a duration in quotes, and is a boolean; write it like "180s""#),
    (r#"ttl = "200500ms""#, r#"4:7: discovery.ttl: 200500ms is not a whole number of seconds; write "201s""#),
    (r#"ttl = "400d""#, "4:7: discovery.ttl: 400d is out of range: 1s to 365d are possible"),
    (r#"timeout = "16s""#, "4:11: discovery.timeout: 16s is out of range: 100ms to 15s are possible"),
    (r#"heartbeat = "999ms""#, "4:13: discovery.heartbeat: 999ms is out of range: 1s to 1d are possible"),
    (
        "[engine]\nhealthy-after = \"3\"",
        "5:17: engine.healthy-after: must be a whole number, and is a string; write it like 2",
    ),
    ("[engine]\nhealthy-after = 0", "5:17: engine.healthy-after: 0 is out of range: 1 to 100 are possible"),
    ("[engine]\nhealthy-after = 0x65", "5:17: engine.healthy-after: 101 is out of range: 1 to 100 are possible"),
    (
        "[engine]\nunhealthy-after = 99999999999999999999",
        "5:19: engine.unhealthy-after: 99999999999999999999 is out of range: 1 to 100 are possible",
    ),
    (
        "[engine]\nsocket = \"tcp://1.2.3.4\"",
        r#"5:10: engine.socket: "tcp://1.2.3.4" is not a unix socket: only unix:///path and absolute paths are; write it like "unix:///run/docker.sock""#,
    ),
    (
        "[engine]\nsocket = \"run/docker.sock\"",
        r#"5:10: engine.socket: "run/docker.sock" is not an absolute path; begin it with /"#,
    ),
    (
        "[engine]\nunit = \"docker\"",
        r#"5:8: engine.unit: "docker" is not the name of a service unit; write it like "docker.service""#,
    ),
    ("[engine]\nprobe-timeout = \"11s\"", "5:17: engine.probe-timeout: 11s is out of range: 100ms to 10s are possible"),
    (
        "[agent]\nlog-level = \"warning\"",
        r#"5:13: agent.log-level: "warning" is not one of error, warn, info, debug, trace; did you mean "warn"?"#,
    ),
    (
        "[agent]\nstate-directory = \"/var\\u0000/lib\"",
        r#"5:19: agent.state-directory: "/var\0/lib" is not an absolute path; begin it with /"#,
    ),
    (
        "[server]\nlisten = \"localhost:8970\"",
        r#"5:10: server.listen: "localhost:8970" is not an IP address with a port; write it like "127.0.0.1:8970" or "[::1]:8970""#,
    ),
    (
        "[engine]\ntls-ca = \"ca.pem\"",
        r#"5:10: engine.tls-ca: "ca.pem" is not an absolute path, nor credential:NAME; begin it with / (or write the name of a credential of the unit, without /)"#,
    ),
    (
        "[discovery.auth]\ntoken-file = \"credential:a/b\"",
        r#"5:14: discovery.auth.token-file: "credential:a/b" is not an absolute path, nor credential:NAME; begin it with / (or write the name of a credential of the unit, without /)"#,
    ),
    (
        "[discovery.auth]\nuser = \"a:b\"",
        r#"5:8: discovery.auth.user: "a:b" is not the name of a user: it has no `:` and no control characters; write it like "swarm""#,
    ),
    (
        "tls = \"/a\"",
        "4:1: discovery.tls: must be a table, and is a string; write its keys below a line [discovery.tls]",
    ),
    (
        "[discovery.tls]\nca = 1",
        r#"5:6: discovery.tls.ca: must be a string in quotes, and is an integer; write it like "/etc/swarm-agent/tls/discovery-ca.pem""#,
    ),
    (
        "[proxy]\nhttp = \"https://s3cret:s3cret@proxy\"",
        r#"5:8: proxy.http: not a proxy: a proxy that is itself spoken to over TLS (https://) is not supported; write it like "http://proxy.example:3128", or "off" for none"#,
    ),
    (
        "[proxy]\nhttps = \"http://me:s3cret@proxy:3128\"",
        "5:9: proxy.https: a user and a password don't belong in a URL; put user:password on the one line of a file and name that file in proxy.credentials-file",
    ),
    (
        "[proxy]\nno-proxy = \"a, 10.0.0.0/33\"",
        r#"5:12: proxy.no-proxy: not a list of hosts: `10.0.0.0/33` is not a network (write it like 10.0.0.0/8 or fd00::/8); write it like ".example.com,10.0.0.0/8""#,
    ),
    (
        "[proxy]\nhttps_proxy = \"off\"",
        "5:1: proxy.https_proxy: unknown key; known here: http, https, no-proxy, credentials-file",
    ),
    (
        "[engine]\ntls-cert = \"/a/cert.pem\"",
        "5:12: engine.tls-cert: is of no use without engine.tls-key, which is not set; set engine.tls-key too, or take engine.tls-cert out",
    ),
    (
        "[engine]\ntls-ca = \"/a/ca.pem\"\ntls-key = \"/a/key.pem\"",
        "6:11: engine.tls-key: is of no use without engine.tls-cert, which is not set; set engine.tls-cert too, or take engine.tls-key out",
    ),
    (
        "[engine]\ntls-cert = \"/a/cert.pem\"\ntls-key = 7",
        r#"6:11: engine.tls-key: must be a string in quotes, and is an integer; write it like "/etc/swarm-agent/tls/key.pem""#,
    ),
    ("[engine.grace]", r#"4:1: engine.grace: must be a duration in quotes, and is a table; write it like "10s""#),
    (
        "[engine]\ngrace = [ \"1s\" ]",
        r#"5:9: engine.grace: must be a duration in quotes, and is an array; write it like "10s""#,
    ),
];

const NAMES: &[(&str, &str)] = &[
    (r#"tll = "90s""#, "4:1: discovery.tll: unknown key; did you mean discovery.ttl?"),
    (
        r#"connect_timeout = "3s""#,
        "4:1: discovery.connect_timeout: unknown key; did you mean discovery.connect-timeout?",
    ),
    (
        r#"colour = "red""#,
        "4:1: discovery.colour: unknown key; known here: url, embedded-listen, advertise, advertise-check, duplicates, heartbeat, ttl, delay, connect-timeout, timeout",
    ),
    ("[agent]\nttl = \"90s\"", "5:1: agent.ttl: unknown key; did you mean discovery.ttl?"),
    ("[engine]\n\"engine.grace\" = \"1s\"", "5:1: engine.\"engine.grace\": unknown key; did you mean engine.grace?"),
    (
        "\"a\\nb\" = 1",
        "4:1: discovery.a\\nb: unknown key; known here: url, embedded-listen, advertise, advertise-check, duplicates, heartbeat, ttl, delay, connect-timeout, timeout",
    ),
    ("tls-ca = \"/a\"", "4:1: discovery.tls-ca: unknown key; did you mean discovery.tls.ca?"),
    ("tls.cacert = \"/a\"", "4:5: discovery.tls.cacert: unknown key; did you mean discovery.tls.ca?"),
    ("[discovery.tsl]\nca = \"/a\"", "4:12: discovery.tsl: unknown table; did you mean [discovery.tls]?"),
    ("[discvery]\nttl = \"90s\"", "4:2: discvery: unknown table; did you mean [discovery]?"),
    (
        "[logging]\nmode = \"x\"",
        "4:2: logging: unknown table; known tables: agent, discovery, discovery.tls, discovery.auth, proxy, engine, supervision, status, server",
    ),
    ("[[engine]]", "4:3: engine: must be a table, and is an array; write its keys below a line [engine]"),
];

const SYNTAX: &[(&str, &str)] = &[
    ("ttl = 60s", r#"4:7: discovery.ttl: not TOML: strings and durations need quotes; write it like "180s""#),
    ("ttl =", r#"4:6: discovery.ttl: not TOML: the value is missing; write it like "180s""#),
    ("ttl", "4:4: discovery.ttl: not TOML: key with no value, expected `=`"),
    ("ttl = \"90", "4:10: discovery.ttl: not TOML: invalid basic string, expected `\"`"),
    ("ttl = \"3m\" x", "4:12: discovery.ttl: not TOML: unexpected key or value, expected newline, `#`"),
    ("é = 1", "4:1: not TOML: invalid unquoted key, expected letters, numbers, `-`, `_`"),
    ("[engine", "4:8: engine: not TOML: unclosed table, expected `]`"),
    ("ttl = \"30s\"\nttl = \"90s\"", "5:1: discovery.ttl: is set twice in this file; keep one of the two"),
    ("[discovery]", "4:2: discovery: is set twice in this file; keep one of the two"),
];

#[test]
fn each_mistake_is_named_with_place_key_and_remedy() -> TestResult {
    for (lines, message) in VALUES.iter().chain(NAMES).chain(SYNTAX) {
        let root = Root::new(&[(DROP_IN, &format!("{ELSEWHERE}{lines}\n"))])?;
        assert_eq!(root.errors(&root.sources()), [format!("/{DROP_IN}:{message}")], "{lines}");
    }
    Ok(())
}

#[test]
fn addresses_and_urls_say_what_is_wrong_with_them() -> TestResult {
    for (line, message) in [
        (
            r#"url = "disco:8970/v1/clusters/s3cret""#,
            "2:7: discovery.url: not a discovery URL: it has no scheme; write http://HOST:PORT/v1/clusters/TOKEN, or embedded",
        ),
        (
            r#"url = "http://disco/s3cret""#,
            "2:7: discovery.url: not a discovery URL: the path must end in /clusters/TOKEN, for example /v1/clusters/0a1b2c",
        ),
        (
            r#"url = "consul://a,b""#,
            "2:7: discovery.url: not a discovery URL: consul:// takes one server: write this host's own Consul agent (consul://127.0.0.1:8500), which finds the others by itself",
        ),
        (
            "url = http://disco/s3cret",
            r#"2:7: discovery.url: not TOML: strings and durations need quotes; write it like "http://disco.example:8970/v1/clusters/0a1b2c3d""#,
        ),
    ] {
        let root = Root::new(&[(MAIN, &format!("[discovery]\n{line}\nadvertise = \"10.0.0.5:2375\"\n"))])?;
        assert_eq!(root.errors(&root.sources()), [format!("/{MAIN}:{message}")], "{line}");
    }
    for (text, message) in [
        (
            "10.0.0.5",
            r#""10.0.0.5" is not a node address: the port is missing (write host:port, for example 10.0.0.5:2375)"#,
        ),
        (
            "0.0.0.0:2375",
            r#""0.0.0.0:2375" is an address to listen on; nobody can reach it from elsewhere; write the address that other hosts use"#,
        ),
    ] {
        let root = Root::new(&[(MAIN, ELSEWHERE)])?;
        let sources = root.sources().with_flags([set("--advertise", "discovery.advertise", text)]);
        assert_eq!(root.errors(&sources), [format!("flag --advertise: discovery.advertise: {message}")]);
    }
    Ok(())
}

#[test]
fn a_server_for_others_needs_a_port_that_they_can_know() -> TestResult {
    let root = Root::new(&[(MAIN, "[discovery]\nembedded-listen = \"127.0.0.1:0\"\n")])?;
    assert_eq!(
        root.errors(&root.sources()),
        [format!(
            "/{MAIN}:2:19: discovery.embedded-listen: port 0 stands for any port, and nobody could know which; write a \
             port from 1 to 65535"
        )]
    );
    Ok(())
}

#[test]
fn a_ttl_that_consul_cannot_keep_is_named_with_those_that_it_can() -> TestResult {
    let consul = "[discovery]\nurl = \"consul://127.0.0.1\"\nadvertise = \"10.0.0.5:2375\"\nheartbeat = \"5s\"\n";
    for (ttl, good) in [("19s", false), ("20s", true), ("2d", true), ("172801s", false)] {
        let root = Root::new(&[(MAIN, consul), (DROP_IN, &format!("[discovery]\nttl = \"{ttl}\"\n"))])?;
        let message = format!(
            "/{DROP_IN}:2:7: discovery.ttl: {ttl} is a ttl that Consul can't keep: 20s to 2d are possible; set it to 20s \
             or more, and to 2d at most"
        );
        if good {
            load_agent(&root.sources())?;
        } else {
            assert_eq!(root.errors(&root.sources()), [message]);
        }
    }
    let root = Root::new(&[(MAIN, consul), (DROP_IN, "[discovery]\nurl = \"etcd://h\"\nttl = \"19s\"\n")])?;
    load_agent(&root.sources())?;
    Ok(())
}

#[test]
fn a_server_has_a_whole_identity_and_tokens_that_can_be_read() -> TestResult {
    let errors = |lines: &str| -> Result<Vec<String>, std::io::Error> {
        let root = Root::new(&[(MAIN, &format!("[server]\n{lines}")), ("tokens.toml", "[[token]]\nname = \"a\"\n")])?;
        let lines = lines.replace("ROOT", &root.path().display().to_string());
        root.write(MAIN, format!("[server]\n{lines}\n").as_bytes())?;
        let errors = load_server(&root.sources()).err().unwrap_or_default();
        Ok(errors.iter().map(|error| root.strip(error)).collect())
    };
    for (lines, expected) in [
        ("tls-cert = \"/c\"\ntls-key = \"/k\"\ntls-client-ca = \"/ca\"", vec![]),
        (
            "tls-cert = \"/c\"",
            vec![
                "2:12: server.tls-cert: is of no use without server.tls-key, which is not set; set server.tls-key too, or take server.tls-cert out",
            ],
        ),
        (
            "tls-client-ca = \"/c\"",
            vec![
                "2:17: server.tls-client-ca: is of no use without server.tls-cert, which is not set; set server.tls-cert too, or take server.tls-client-ca out",
            ],
        ),
        ("tokens = \"/t\"", vec!["2:1: server.tokens: unknown key; did you mean server.tokens-file?"]),
    ] {
        let expected: Vec<String> = expected.iter().map(|error| format!("/{MAIN}:{error}")).collect();
        assert_eq!(errors(lines)?, expected, "{lines}");
    }
    let missing = errors("tokens-file = \"ROOT/none.toml\"")?;
    assert_eq!(missing, ["/none.toml: can't be read: No such file or directory (os error 2)"]);
    let errors = errors("listen = \"x\"\ntokens-file = \"ROOT/tokens.toml\"")?;
    assert_eq!(errors.len(), 4, "its errors come with the others: {errors:?}");
    assert!(errors[1].starts_with("/tokens.toml:1:1: token.sha256: is missing; "), "{errors:?}");
    Ok(())
}

#[test]
fn a_key_under_a_wrong_name_is_reported_once() -> TestResult {
    let root = Root::new(&[(MAIN, &ELSEWHERE.replace("advertise", "advertize"))])?;
    assert_eq!(
        root.errors(&root.sources()),
        [format!("/{MAIN}:3:1: discovery.advertize: unknown key; did you mean discovery.advertise?")]
    );
    Ok(())
}

#[test]
fn all_mistakes_of_all_sources_are_reported_at_once() -> TestResult {
    let root = Root::new(&[
        (MAIN, "[discovery]\nttl = 30\nurl = 7\n[engine]\nunit = \"docker\"\n"),
        ("usr/lib/swarm-agent/config.d/10-a.toml", "[engine]\ngrce = \"1s\"\nsocket = 1970-01-01\nbad line\n"),
    ])?;
    let sources = root
        .sources()
        .with_environment(environment(&[("SWARM_AGENT_DISCOVERY_TLL", "9s"), ("SWARM_AGENT_ENGINE_GRACE", "")]))
        .with_flags([set("--set", "engine.prob-timeout", "1s")]);
    let a = "/usr/lib/swarm-agent/config.d/10-a.toml";
    assert_eq!(
        root.errors(&sources),
        [
            format!("/{MAIN}:2:7: discovery.ttl: 30 has no unit; write \"30s\""),
            format!("/{MAIN}:3:7: discovery.url: must be a string in quotes, and is an integer; write it like \"http://disco.example:8970/v1/clusters/0a1b2c3d\""),
            format!("/{MAIN}:5:8: engine.unit: \"docker\" is not the name of a service unit; write it like \"docker.service\""),
            format!("{a}:2:1: engine.grce: unknown key; did you mean engine.grace?"),
            format!("{a}:3:10: engine.socket: must be a string in quotes, and is a date; write it like \"unix:///run/docker.sock\""),
            format!("{a}:4:5: not TOML: key with no value, expected `=`"),
            "environment SWARM_AGENT_ENGINE_GRACE: engine.grace: \"\" is not a duration; write it like \"180s\" or \"3m\"".to_owned(),
            "environment SWARM_AGENT_DISCOVERY_TLL: unknown environment variable; did you mean SWARM_AGENT_DISCOVERY_TTL?".to_owned(),
            "flag --set: engine.prob-timeout: unknown key; did you mean engine.probe-timeout?".to_owned(),
        ]
    );
    Ok(())
}

#[test]
fn a_cross_check_names_both_places() -> TestResult {
    let root = Root::new(&[(MAIN, ELSEWHERE), (DROP_IN, "\n[discovery]\nttl = \"30s\"\n")])?;
    let message = "must be greater than discovery.heartbeat";
    let remedy = "raise discovery.ttl or lower discovery.heartbeat";
    assert_eq!(
        root.errors(&root.sources()),
        [format!("discovery.ttl = 30s (/{DROP_IN}:3:7) {message} = 60s (default); {remedy}")]
    );
    let flags = [set("--heartbeat", "discovery.heartbeat", "3m")];
    assert_eq!(
        root.errors(&root.sources().with_flags(flags.clone())),
        [format!("discovery.ttl = 30s (/{DROP_IN}:3:7) {message} = 3m (flag --heartbeat); {remedy}")]
    );
    // equal is not greater, and the place is the one that somebody wrote
    root.write(DROP_IN, b"")?;
    let errors = load_agent(&root.sources().with_flags(flags)).err().ok_or("valid")?;
    assert_eq!(
        root.strip(&errors),
        format!("discovery.ttl = 180s (default) {message} = 3m (flag --heartbeat); {remedy}")
    );
    assert_eq!(errors.iter().map(|e| e.key()).collect::<Vec<_>>(), [Some("discovery.heartbeat")]);
    Ok(())
}

#[test]
fn errors_have_fields() -> TestResult {
    let root = Root::new(&[(MAIN, &format!("{ELSEWHERE}ttl = 180"))])?;
    let errors = load_agent(&root.sources()).err().ok_or("valid")?;
    let error = errors.iter().next().ok_or("no error")?;
    assert_eq!(error.file().map(|f| root.strip(f.display())), Some(format!("/{MAIN}")));
    assert_eq!((error.line(), error.column(), error.key()), (Some(4), Some(7), Some("discovery.ttl")));
    assert_eq!(error.message(), "180 has no unit");
    assert_eq!(error.remedy().as_deref(), Some(r#"write "180s""#));
    Ok(())
}

#[test]
fn a_file_that_is_no_text_is_named_with_the_byte() -> TestResult {
    let root = Root::new(&[])?;
    root.write(MAIN, b"[discovery]\nttl = \"\xff\"\n")?;
    let message = "2:8: is not UTF-8: byte 19 is 0xff; save the file as UTF-8";
    assert_eq!(root.errors(&root.sources()), [format!("/{MAIN}:{message}")]);
    let value = OsString::from_vec(b"\xff".to_vec());
    let root = Root::new(&[(MAIN, ELSEWHERE)])?;
    assert_eq!(
        root.errors(&root.sources().with_environment([("SWARM_AGENT_DISCOVERY_TTL".into(), value)])),
        ["environment SWARM_AGENT_DISCOVERY_TTL: discovery.ttl: is not UTF-8; set it to text in UTF-8"]
    );
    Ok(())
}

#[test]
fn things_that_are_no_files_are_errors_and_never_block() -> TestResult {
    let root = Root::new(&[(MAIN, ELSEWHERE), ("etc/swarm-agent/config.d/a.toml/x", "")])?;
    root.link("etc/swarm-agent/config.d/b.toml", "/nowhere/at-all")?;
    let _socket = UnixListener::bind(root.path().join("etc/swarm-agent/config.d/c.toml"))?;
    root.write("run/swarm-agent.d", b"a file where a folder belongs")?;
    let remedy = "move it away, or give it a name that does not end in .toml";
    assert_eq!(
        root.errors(&root.sources()),
        [
            "/run/swarm-agent.d: can't be read: Not a directory (os error 20)".to_owned(),
            format!("/etc/swarm-agent/config.d/a.toml: is a directory, not a file; {remedy}"),
            "/etc/swarm-agent/config.d/b.toml: is a symbolic link to /nowhere/at-all, which does not exist; remove it; to mask a file of that name, link to /dev/null".to_owned(),
            format!("/etc/swarm-agent/config.d/c.toml: is a socket, not a file; {remedy}"),
        ]
    );
    Ok(())
}

#[test]
fn a_main_file_that_was_asked_for_must_exist() -> TestResult {
    let root = Root::new(&[])?;
    let sources = root.sources().with_config(root.path().join("mine.toml"));
    assert_eq!(root.errors(&sources), ["/mine.toml: can't be read: No such file or directory (os error 2)"]);
    Ok(())
}

#[test]
fn a_file_of_ten_thousand_lines_is_read_and_its_last_line_found() -> TestResult {
    let comments = "# nothing\n".repeat(10_000);
    let root = Root::new(&[(MAIN, &format!("{comments}{ELSEWHERE}ttl = 9\n"))])?;
    let message = "10004:7: discovery.ttl: 9 has no unit; write \"9s\"";
    assert_eq!(root.errors(&root.sources()), [format!("/{MAIN}:{message}")]);
    Ok(())
}

#[test]
fn a_file_that_is_no_configuration_does_not_fill_the_journal() -> TestResult {
    let root = Root::new(&[(MAIN, &"Nov 23 06:31:26 host kernel: hello\n".repeat(10_000))])?;
    let errors = root.errors(&root.sources());
    assert_eq!(errors.len(), 101);
    assert_eq!(errors.last(), Some(&format!("/{MAIN}: and 9900 more errors in this file")));
    root.write(MAIN, &b"#".repeat((1 << 20) + 1))?;
    let message = "is larger than 1048576 bytes; that can't be a configuration file";
    assert_eq!(root.errors(&root.sources()), [format!("/{MAIN}: {message}")]);
    Ok(())
}

/// With the URL of the second line; what is said of line 5 and 6.
#[test]
fn credentials_that_the_service_has_no_use_for_are_refused() -> TestResult {
    let tls = "[discovery.tls]\nca = \"/a/ca.pem\"";
    let token = "[discovery.auth]\ntoken-file = \"/a/token\"";
    let user = "[discovery.auth]\nuser = \"me\"\npassword-file = \"/a/password\"";
    let pair = "[discovery.tls]\ncert = \"/a/cert.pem\"";
    let disco = "disco:8970/v1/clusters/s3cret";
    for (url, lines, said) in [
        (
            format!("http://{disco}"),
            tls,
            vec![format!(
                "discovery.tls.ca = /a/ca.pem (/{MAIN}:5:6) is of no use with discovery.url = http://disco:8970/v1/clusters/*** \
             (/{MAIN}:2:7), which is not spoken to over TLS; begin discovery.url with https://, or take discovery.tls.ca out"
            )],
        ),
        (
            "etcd://a".into(),
            tls,
            vec![format!(
                "discovery.tls.ca = /a/ca.pem (/{MAIN}:5:6) is of no use with discovery.url = etcd://a:2379 (/{MAIN}:2:7), which is \
             not spoken to over TLS; begin discovery.url with etcds://, or take discovery.tls.ca out"
            )],
        ),
        (
            "embedded".into(),
            token,
            vec![format!(
                "discovery.auth.token-file = /a/token (/{MAIN}:5:14) is of no use with discovery.url = embedded (/{MAIN}:2:7), which \
             is not asked over a network; take discovery.auth.token-file out"
            )],
        ),
        (
            "zks://a".into(),
            token,
            vec![format!(
                "discovery.auth.token-file = /a/token (/{MAIN}:5:14) is of no use with discovery.url = zks://a:2281 (/{MAIN}:2:7), \
             which takes a user and a password; set discovery.auth.user and discovery.auth.password-file instead"
            )],
        ),
        (
            "consul://a".into(),
            user,
            vec![
                format!(
                    "discovery.auth.user = me (/{MAIN}:5:8) is of no use with discovery.url = consul://a:8500 (/{MAIN}:2:7), which takes \
                 a token; set discovery.auth.token-file instead"
                ),
                format!(
                    "discovery.auth.password-file = /a/password (/{MAIN}:6:17) is of no use with discovery.url = consul://a:8500 \
                 (/{MAIN}:2:7), which takes a token; set discovery.auth.token-file instead"
                ),
            ],
        ),
        (
            format!("https://{disco}"),
            pair,
            vec![format!(
                "/{MAIN}:5:8: discovery.tls.cert: is of no use without discovery.tls.key, which is not set; set discovery.tls.key \
             too, or take discovery.tls.cert out"
            )],
        ),
        (format!("https://{disco}"), tls, vec![]),
        (format!("http://{disco}"), token, vec![]),
        ("etcd://a".into(), user, vec![]),
        ("consuls://a".into(), tls, vec![]),
    ] {
        let text = format!("[discovery]\nurl = \"{url}\"\nadvertise = \"10.0.0.5:2375\"\n{lines}\n");
        let root = Root::new(&[(MAIN, &text)])?;
        assert_eq!(root.errors(&root.sources()), said, "{url} {lines}");
    }
    Ok(())
}
