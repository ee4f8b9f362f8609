use super::fault::Trouble;
use super::members::tenths;
use super::*;
use crate::discovery::web::{Answer, Web};
use crate::model::Timeouts;
use reqwest::StatusCode;
use wire::Watched;

fn way() -> WayOut {
    WayOut::direct(Timeouts { connect: Duration::from_secs(1), total: Duration::from_secs(2) })
}

fn web() -> Web {
    Web::new("etcd://a:2379".into(), false, None, &way()).expect("a client")
}

fn trouble(status: u16, body: &str) -> (&'static str, String) {
    let answer = Answer::new(StatusCode::from_u16(status).expect("a status"), body.into());
    named(Trouble::of(&web(), answer))
}

fn named(trouble: Trouble) -> (&'static str, String) {
    let name = match &trouble {
        Trouble::Elsewhere(_) => "elsewhere",
        Trouble::Unknown(_) => "unknown",
        Trouble::NoLease(_) => "no lease",
        Trouble::NoAuth(_) => "no auth",
        Trouble::Denied(_) => "denied",
        Trouble::Refused(_) => "refused",
    };
    (name, trouble.into_error().to_string())
}

/// As etcd 3.4, 3.5 and 3.6 have them.
#[test]
fn what_an_error_asks_for_is_known_by_its_code() {
    for (status, body, name, said) in [
        (
            404,
            r#"{"error":"etcdserver: requested lease not found","code":5}"#,
            "no lease",
            "404: etcdserver: requested lease",
        ),
        (401, r#"{"error":"etcdserver: invalid auth token","code":16}"#, "unknown", "401"),
        (400, r#"{"error":"etcdserver: user name is empty","code":3}"#, "unknown", "400"),
        (400, r#"{"error":"etcdserver: revision of auth store is old","code":3}"#, "unknown", "400"),
        (
            400,
            r#"{"error":"etcdserver: authentication failed, invalid user ID or password","code":3}"#,
            "refused",
            "400",
        ),
        (412, r#"{"error":"etcdserver: authentication is not enabled","code":9}"#, "no auth", "412"),
        (400, r#"{"code":9,"message":"etcdserver: authentication is not enabled"}"#, "no auth", "400"),
        (403, r#"{"error":"etcdserver: permission denied","code":7}"#, "denied", "403"),
        (503, r#"{"error":"etcdserver: no leader","code":14}"#, "elsewhere", "503: etcdserver: no leader"),
        (
            429,
            r#"{"error":"etcdserver: mvcc: database space exceeded","code":8}"#,
            "elsewhere",
            "429: etcdserver: mvcc",
        ),
        (404, "Not Found", "elsewhere", "enable-grpc-gateway: true"),
        (400, "Client sent an HTTP request to an HTTPS server.\n", "elsewhere", "begin the URL with etcds://"),
        (502, "<html>", "elsewhere", "etcd://a:2379 answered 502"),
        (503, r#"{"error":{"grpc_code":14,"http_code":503,"message":"x"}}"#, "elsewhere", "answered 503: x"),
    ] {
        let (found, text) = trouble(status, body);
        assert_eq!(found, name, "{body}");
        assert!(text.contains(said), "{text} does not say {said}");
    }
}

#[test]
fn a_watch_that_ends_says_why() {
    let unauthenticated = "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token";
    for (reason, name, said) in [
        (unauthenticated, "unknown", "invalid auth token"),
        (
            "rpc error: code = PermissionDenied desc = etcdserver: permission denied",
            "denied",
            "403: etcdserver: permission",
        ),
        ("etcdserver: going down", "elsewhere", "broke: it ended the watch: etcdserver: going down"),
        ("", "elsewhere", "the connection to etcd://a:2379 broke: it ended the watch"),
    ] {
        let (found, text) = named(Trouble::of_reason(&web(), reason));
        assert!(found == name && text.contains(said), "{found} {text}");
    }
    let line = br#"{"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader","http_status":"x"}}"#;
    let expected = ("elsewhere", "etcd://a:2379 answered 503: etcdserver: no leader".to_owned());
    assert_eq!(named(Trouble::of_line(&web(), line.to_vec())), expected);
    assert_eq!(named(Trouble::of_line(&web(), b"{}".to_vec())).0, "elsewhere");
}

#[test]
fn a_line_of_a_watch_is_read_as_far_as_it_matters() -> Result<(), serde_json::Error> {
    let news = |text: &str| serde_json::from_str::<Watched>(text).map(|line| line.result);
    let created = news(r#"{"result":{"header":{"cluster_id":"3","revision":"5","raft_term":"2"},"created":true}}"#)?;
    assert_eq!((created.header.revision, created.events.len(), created.canceled), (5, 0, false));
    let gone = news(r#"{"result":{"header":{"revision":"5"},"events":[{"type":"DELETE","kv":{"key":"eA=="}},{}]}}"#)?;
    assert_eq!(gone.events.len(), 2);
    let compacted = news(r#"{"result":{"header":{"raft_term":"2"},"canceled":true,"compact_revision":"4"}}"#)?;
    assert!(compacted.canceled && compacted.compact_revision == 4);
    assert!(news(r#"{"result":{"header":{"revision":5}}}"#).is_err());
    Ok(())
}

#[test]
fn entries_that_make_no_sense_come_apart() -> Result<(), Box<dyn std::error::Error>> {
    // nodes: a:1 with its address, b:1 without a value, junk with bytes that are no text; drained: c:1 with a reason,
    // a:1, and one with a bad name
    let text = r#"{"header":{"revision":"7"},"succeeded":true,"responses":[{"response_range":{"header":{"revision":"7"},"kvs":[
        {"key":"ZG9ja2VyL3N3YXJtL25vZGVzL2E6MQ==","value":"YTox","lease":"5"},{"key":"ZG9ja2VyL3N3YXJtL25vZGVzL2I6MQ=="},
        {"key":"ZG9ja2VyL3N3YXJtL25vZGVzL2p1bms=","value":"/w=="}]}},{"response_range":{"kvs":[
        {"key":"ZG9ja2VyL3N3YXJtL2RyYWluZWQvYzox","value":"d2h5"},{"key":"ZG9ja2VyL3N3YXJtL2RyYWluZWQvYTox"},
        {"key":"ZG9ja2VyL3N3YXJtL2RyYWluZWQvanVuaw=="}]}}]}"#;
    let done: Done = serde_json::from_str(text)?;
    assert_eq!(done.header.revision, 7);
    let ranges: Vec<_> = done.ranges().collect();
    assert_eq!(ranges[0].iter().map(|kv| kv.lease).collect::<Vec<_>>(), [5, 0, 0]);
    let url: crate::model::DiscoveryUrl = "etcd://a".parse()?;
    let crate::model::DiscoveryUrl::Store(url) = url else { panic!("{url:?}") };
    let backend = EtcdBackend::new(&url, &way())?;
    let [nodes, drained] = <[_; 2]>::try_from(ranges).map_err(|_| "two ranges")?;
    let listing = backend.listing(Scope::All, nodes, &drained);
    assert_eq!(listing.nodes.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a:1"]);
    assert_eq!(listing.drained.iter().map(ToString::to_string).collect::<Vec<_>>(), ["c:1  drained: why"]);
    let skipped: Vec<_> = listing.unreadable.iter().map(|skipped| skipped.entry.as_str()).collect();
    assert_eq!(skipped, ["\u{fffd}", "junk", "b:1"]);
    // an empty folder has no list at all
    let empty: Done = serde_json::from_str(r#"{"header":{"revision":"7"},"responses":[{"response_range":{}}]}"#)?;
    assert_eq!(empty.ranges().map(|found| found.len()).collect::<Vec<_>>(), [0]);
    Ok(())
}

#[test]
fn a_hold_comes_back_as_it_was() {
    let lease = Lease { id: 7_587_846, seconds: 180 };
    assert_eq!(Lease::of(&Hold(lease.to_string())), Some(lease));
    for text in ["", "7587846", "x 180", "7587846 -1", "7587846 180 "] {
        assert_eq!(Lease::of(&Hold(text.into())), None, "{text}");
    }
}

#[test]
fn times_are_told_in_tenths() {
    for (millis, told) in [(9_998, 10_000), (3_333, 3_300), (40, 0)] {
        assert_eq!(tenths(Duration::from_millis(millis)), Duration::from_millis(told));
    }
}

#[test]
fn a_user_and_a_password_come_together() -> Result<(), Box<dyn std::error::Error>> {
    let url: crate::model::DiscoveryUrl = "etcd://a".parse()?;
    let mut way = way();
    way.auth.user = Some("agent".into());
    let error = super::super::open(&url, &way).err().ok_or("it has no password")?;
    assert!(error.to_string().contains("without discovery.auth.password-file"), "{error}");
    way.auth.password = Some("/etc/password".into());
    assert!(super::super::open(&url, &way).is_ok());
    Ok(())
}
