//! What the client sends, byte by byte, and what it makes of the answers.

mod common;

use common::{Outcome, Server, TTL, address, backend, drained, listed};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use swarm_agent::discovery::{BackendError, Claim, Position, Release, Scope, Seen, open};
use swarm_agent::model::{Timeouts, WayOut};

/// Stands between client and server and keeps what the client sent, one text per connection.
struct Recorder {
    address: SocketAddr,
    sent: Arc<Mutex<Vec<String>>>,
}

impl Recorder {
    fn start(server: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let recorder = Self { address: listener.local_addr()?, sent: Arc::default() };
        let sent = recorder.sent.clone();
        std::thread::spawn(move || {
            for (n, client) in listener.incoming().map_while(Result::ok).enumerate() {
                sent.lock().expect("no panic").push(String::new());
                let upstream = TcpStream::connect(server).expect("the server");
                let (from, to) = (upstream.try_clone().expect("a handle"), client.try_clone().expect("a handle"));
                std::thread::spawn(move || std::io::copy(&mut &from, &mut &to));
                let sent = sent.clone();
                std::thread::spawn(move || {
                    pump(client, upstream, |bytes| {
                        sent.lock().expect("no panic")[n].push_str(&String::from_utf8_lossy(bytes));
                    })
                });
            }
        });
        Ok(recorder)
    }

    fn sent(&self) -> Vec<String> {
        self.sent.lock().expect("no panic").clone()
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, seen: impl Fn(&[u8])) {
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        // before it goes on: whoever has the answer finds the request here
        seen(&buffer[..n]);
        if to.write_all(&buffer[..n]).is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn the_requests_are_the_token_protocols_on_one_connection() -> Outcome {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path());
    let token = server.cluster().await;
    let recorder = Recorder::start(server.address)?;
    let client = backend(recorder.address, &token);
    client.register(&Claim::new(&address("10.0.0.1:2375"), TTL)).await?;
    client.register(&Claim::new(&address("[fd00::1]:2375"), Duration::from_millis(60_500))).await?;
    client.register(&Claim::new(&address("10.0.0.1:2375"), TTL)).await?;
    assert_eq!(listed(&*client).await.len(), 2);
    client.deregister(&Release::new(&address("[fd00::1]:2375"), None)).await?;
    client.mark_drained(&address("[fd00::1]:2375"), Some("für später"), Duration::from_millis(60_500)).await?;
    assert_eq!(drained(&*client).await.len(), 1);
    let seen = |patience| Seen { position: Position("some-index.1".to_owned()), patience };
    client.watch(Scope::Active, Some(&seen(Duration::from_secs(55)))).await?;
    client.watch(Scope::All, Some(&seen(Duration::from_millis(1500)))).await?;

    let (version, host) = (env!("CARGO_PKG_VERSION"), recorder.address);
    let common = format!("accept: */*\r\nuser-agent: swarm-agent/{version}\r\nhost: {host}\r\n");
    let path = format!("/v1/clusters/{token}");
    let post = |ttl: u64, node: &str| {
        let length = node.len();
        let head = format!("POST {path}?ttl={ttl} HTTP/1.1\r\ncontent-type: application/json\r\n");
        format!("{head}{common}content-length: {length}\r\n\r\n{node}")
    };
    let expected = [
        post(180, "10.0.0.1:2375"),
        post(61, "[fd00::1]:2375"),
        post(180, "10.0.0.1:2375"),
        format!("GET {path} HTTP/1.1\r\n{common}\r\n"),
        format!("DELETE {path}/%5Bfd00::1%5D:2375 HTTP/1.1\r\n{common}\r\n"),
        format!(
            "PUT {path}/%5Bfd00::1%5D:2375/drained?ttl=61 HTTP/1.1\r\ncontent-type: text/plain; charset=utf-8\r\n\
             {common}content-length: 12\r\n\r\nfür später"
        ),
        format!("GET {path}?all=1 HTTP/1.1\r\n{common}\r\n"),
        format!("GET {path}?index=some-index.1&wait=55000ms HTTP/1.1\r\n{common}\r\n"),
        format!("GET {path}?all=1&index=some-index.1&wait=1500ms HTTP/1.1\r\n{common}\r\n"),
    ];
    assert_eq!(recorder.sent(), [expected.concat()], "one connection, these bytes");
    Ok(())
}

#[tokio::test]
async fn create_is_an_empty_post() -> Outcome {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path());
    let recorder = Recorder::start(server.address)?;
    let url = format!("http://{}", recorder.address).parse()?;
    swarm_agent::discovery::token::create(&url, &common::way()).await?;
    let sent = recorder.sent().concat();
    assert!(sent.starts_with("POST /v1/clusters HTTP/1.1\r\n") && sent.ends_with("\r\n\r\n"), "{sent}");
    assert!(!sent.contains("content-length") || sent.contains("content-length: 0\r\n"), "{sent}");
    Ok(())
}

/// Answers one request with these bytes and closes.
fn scripted(answer: impl Into<Vec<u8>>) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let answer = answer.into();
    std::thread::spawn(move || {
        if let Ok((mut stream, _)) = listener.accept() {
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer);
            let _ = stream.write_all(&answer);
        }
    });
    Ok(address)
}

async fn failure(answer: impl Into<Vec<u8>>) -> Result<BackendError, Box<dyn std::error::Error>> {
    let error = backend(scripted(answer)?, "s3cret").list(Scope::Active).await.err().ok_or("it succeeded")?;
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
    Ok(error)
}

fn with_status(head: &str, body: &str) -> String {
    format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn an_answer_that_is_no_success_is_a_failure_with_its_reason() -> Outcome {
    let error = failure(with_status("503 X\r\nretry-after: 7", r#"{"error":"no room for s3cret","code":"x"}"#)).await?;
    assert!(error.to_string().ends_with("answered 503: no room for …"), "{error}");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    let error = failure(with_status("302 X\r\nlocation: http://127.0.0.1:1/s3cret", "")).await?;
    assert!(matches!(error, BackendError::Status { status: 302, .. }), "a redirect is not followed: {error:?}");
    let error = failure(with_status("500 X", "<html>s3cret")).await?;
    assert!(error.to_string().ends_with("answered 500"), "{error}");
    Ok(())
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_is_said_to_be_so() -> Outcome {
    for answer in ["SSH-2.0-OpenSSH_9.2\r\n".to_owned(), with_status("200 X", "{}"), with_status("200 X", "[1]")] {
        let error = failure(answer.clone()).await?;
        assert!(matches!(error, BackendError::Garbled { .. }), "{answer:?}: {error:?}");
    }
    let long = with_status("200 X", &"x".repeat((8 << 20) + 1));
    assert!(failure(long).await?.to_string().contains("longer than"));
    let cut = failure("HTTP/1.1 200 X\r\ncontent-length: 10\r\n\r\n[").await?;
    assert!(matches!(cut, BackendError::Broken { .. }), "{cut:?}");
    Ok(())
}

#[tokio::test]
async fn null_is_an_empty_list() -> Outcome {
    assert!(listed(&*backend(scripted(with_status("200 X", "null"))?, "t")).await.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_server_without_an_index_or_with_one_that_is_none_gives_no_position() -> Outcome {
    let list = r#"["10.0.0.1:2375"]"#;
    for (index, position) in [
        ("", None),
        ("\r\nx-swarm-index:", None),
        ("\r\nx-swarm-index: 1&all=1", None),
        ("\r\nx-swarm-index: 1 2", None),
        ("\r\nX-Swarm-Index: 0f-1-2", Some("0f-1-2")),
    ] {
        for scope in [Scope::Active, Scope::All] {
            let answer = with_status(&format!("200 X{index}"), list);
            let sight = backend(scripted(answer)?, "t").watch(scope, None).await?;
            assert_eq!(sight.listing.nodes.len(), 1);
            assert_eq!(sight.position, position.map(|index| Position(index.to_owned())), "{index:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_does_not_wait_is_no_server_to_wait_at() -> Outcome {
    for (index, position) in [("0f-1-2", None), ("0f-1-3", Some("0f-1-3"))] {
        let answer = with_status(&format!("200 X\r\nx-swarm-index: {index}"), r#"["10.0.0.1:2375"]"#);
        let seen = Seen { position: Position("0f-1-2".to_owned()), patience: common::DEADLINE };
        let sight = backend(scripted(answer)?, "t").watch(Scope::Active, Some(&seen)).await?;
        assert_eq!(sight.position, position.map(|index| Position(index.to_owned())), "{index}");
        assert_eq!(sight.listing.nodes.len(), 1);
    }
    Ok(())
}

#[tokio::test]
async fn a_wait_that_fails_is_a_failure_like_any_other() -> Outcome {
    let seen = Seen { position: Position("1".to_owned()), patience: Duration::from_millis(300) };
    let wait = async |answer: String| -> Result<BackendError, Box<dyn std::error::Error>> {
        let waited = backend(scripted(answer)?, "s3cret").watch(Scope::Active, Some(&seen)).await;
        waited.err().ok_or_else(|| "it succeeded".into())
    };
    for (head, body) in [
        ("503 X\r\nretry-after: 7", r#"{"error":"the server is stopping","code":"stopping"}"#),
        ("504 X\r\nretry-after: 7", "<html>"),
    ] {
        let error = wait(with_status(head, body)).await?;
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)), "{error:?}");
    }
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let timeouts = Timeouts { connect: Duration::from_secs(5), total: Duration::from_millis(200) };
    let url = format!("http://{}/v1/clusters/s3cret", silent.local_addr()?).parse()?;
    let waited = open(&url, &WayOut::direct(timeouts))?.watch(Scope::Active, Some(&seen)).await;
    let error = waited.err().ok_or("it succeeded")?;
    let both = Duration::from_millis(500);
    assert!(
        matches!(error, BackendError::Timeout { timeout, .. } if timeout == both),
        "patience and timeout: {error:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_server_that_never_answers_and_one_that_is_not_there() -> Outcome {
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let timeouts = Timeouts { connect: Duration::from_secs(5), total: Duration::from_millis(200) };
    let url = |address| format!("http://{address}/v1/clusters/s3cret").parse();
    let error = open(&url(silent.local_addr()?)?, &WayOut::direct(timeouts))?
        .list(Scope::Active)
        .await
        .err()
        .ok_or("it succeeded")?;
    assert!(matches!(error, BackendError::Timeout { timeout, .. } if timeout == timeouts.total), "{error:?}");
    let gone = silent.local_addr()?;
    drop(silent);
    let error = open(&url(gone)?, &WayOut::direct(timeouts))?.list(Scope::Active).await.err().ok_or("it succeeded")?;
    assert_eq!(error.to_string(), format!("no connection to http://{gone}: connection refused"));
    Ok(())
}

#[tokio::test]
async fn a_server_that_knows_no_marks_has_no_room_and_others_fail_as_ever() -> Outcome {
    let mark = async |answer: String| -> Result<BackendError, Box<dyn std::error::Error>> {
        let marked = backend(scripted(answer)?, "s3cret").mark_drained(&address("a:1"), Some("x"), TTL).await;
        marked.err().ok_or_else(|| "it succeeded".into())
    };
    for (head, body) in [
        ("404 X", ""),
        ("404 X", "404 page not found"),
        ("404 X", r#"{"error":"no such thing"}"#),
        // an earlier version of ours
        ("404 X", r#"{"error":"there is nothing at this path","code":"no_such_path"}"#),
        ("405 X", ""),
        ("501 X", ""),
    ] {
        let error = mark(with_status(head, body)).await?;
        assert!(matches!(error, BackendError::NoRoom { .. }), "{head} {body}: {error:?}");
        let text = error.to_string();
        assert!(text.starts_with("http://127.0.0.1:") && text.ends_with(" has no room for drained nodes"), "{text}");
    }
    for (head, body, code) in [
        ("404 X", r#"{"error":"no cluster has this token here","code":"unknown_cluster"}"#, 404),
        ("400 X", r#"{"error":"too long","code":"bad_reason"}"#, 400),
        ("403 X", "", 403),
        ("503 X", "", 503),
    ] {
        let error = mark(with_status(head, body)).await?;
        let got = match &error {
            BackendError::Status { status, .. } | BackendError::Denied { status, .. } => Some(*status),
            _ => None,
        };
        assert_eq!(got, Some(code), "{head} {body}: {error:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_list_of_all_at_a_server_that_does_not_know_the_question_is_its_list() -> Outcome {
    for (body, nodes) in [(r#"["10.0.0.1:2375"]"#, 1), ("null", 0), ("[]", 0)] {
        let listing = backend(scripted(with_status("200 X", body))?, "t").list(Scope::All).await?;
        assert_eq!((listing.nodes.len(), listing.drained.len(), listing.unreadable.len()), (nodes, 0, 0), "{body}");
    }
    Ok(())
}

#[tokio::test]
async fn what_a_later_server_may_say_of_a_node_is_skipped_and_named() -> Outcome {
    let body = r#"["10.0.0.1:2375",{"address":"10.0.0.2:2375","asleep":true}]"#;
    let listing = backend(scripted(with_status("200 X", body))?, "t").list(Scope::All).await?;
    assert_eq!((listing.nodes.len(), listing.drained.len()), (1, 0));
    assert!(listing.unreadable[0].to_string().contains("asleep"), "{listing:?}");
    Ok(())
}
