//! Against a socket of our own: what is shown here is how often we connect and what stays outstanding, which
//! a real engine does not tell.

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

const INFO: &str =
    r#"{"ID":"AB:CD","ServerVersion":"20.10.24","ContainersRunning":2,"ContainerdCommit":{"ID":"1c90"},"New":[]}"#;
const TIMEOUT: Duration = Duration::from_millis(100);

fn engine(folder: &tempfile::TempDir) -> (UnixListener, DockerEngine) {
    let path = folder.path().join("docker.sock");
    (UnixListener::bind(&path).unwrap(), DockerEngine::new(path, TIMEOUT))
}

async fn accept(listener: &UnixListener) -> UnixStream {
    listener.accept().await.unwrap().0
}

async fn request(stream: &mut UnixStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap().lines().next().unwrap().to_owned()
}

async fn answer(stream: &mut UnixStream, status: &str, body: &str) {
    let text = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(text.as_bytes()).await.unwrap();
}

/// Answers one whole probe.
async fn serve_probe(stream: &mut UnixStream, info: &str) {
    assert_eq!(request(stream).await, "GET /_ping HTTP/1.1");
    answer(stream, "200 OK", "OK").await;
    assert_eq!(request(stream).await, "GET /info HTTP/1.1");
    answer(stream, "200 OK", info).await;
}

#[tokio::test]
async fn two_probes_use_one_connection() {
    let folder = tempfile::tempdir().unwrap();
    let (listener, mut engine) = engine(&folder);
    let server = async {
        let mut stream = accept(&listener).await;
        serve_probe(&mut stream, INFO).await;
        serve_probe(&mut stream, INFO).await;
        stream
    };
    let client = async {
        let first = engine.probe(true).await;
        assert!(engine.connected());
        (first, engine.probe(false).await)
    };
    let (_stream, (first, second)) = tokio::join!(server, client);
    let info =
        EngineInfo { id: "AB:CD".into(), version: "20.10.24".into(), containers_running: 2, ..EngineInfo::default() };
    assert_eq!((first, second), (Ok(info.clone()), Ok(info)));
}

#[tokio::test]
async fn a_hung_engine_sees_one_connection_and_one_request_however_often_it_is_probed() {
    let folder = tempfile::tempdir().unwrap();
    let (listener, mut engine) = engine(&folder);
    for _ in 0..3 {
        assert_eq!(engine.probe(true).await, Err(ProbeFault::PingTimeout(TIMEOUT)));
    }
    let mut stream = accept(&listener).await;
    assert!(listener.accept().now_or_never().is_none(), "a second connection waits in the backlog");
    let (_, result) = tokio::join!(serve_probe(&mut stream, INFO), engine.probe(false));
    assert!(result.is_ok(), "the outstanding request is answered, and counts: {result:?}");
}

#[tokio::test]
async fn a_hung_runtime_is_told_from_a_hung_engine() {
    let folder = tempfile::tempdir().unwrap();
    let (listener, mut engine) = engine(&folder);
    let server = async {
        let mut stream = accept(&listener).await;
        request(&mut stream).await;
        answer(&mut stream, "200 OK", "OK").await;
        stream
    };
    let (_stream, result) = tokio::join!(server, engine.probe(true));
    assert_eq!(result, Err(ProbeFault::InfoTimeout(TIMEOUT)));
    assert_eq!(engine.probe(true).await, Err(ProbeFault::InfoTimeout(TIMEOUT)));
}

#[tokio::test]
async fn never_connects_unless_it_may() {
    let folder = tempfile::tempdir().unwrap();
    let (listener, mut engine) = engine(&folder);
    assert_eq!(engine.probe(false).await, Err(ProbeFault::NotConnected));
    assert!(listener.accept().now_or_never().is_none());
}

#[tokio::test]
async fn a_connection_that_the_engine_closed_is_noticed_before_it_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let (listener, mut engine) = engine(&folder);
    let server = async {
        let mut stream = accept(&listener).await;
        serve_probe(&mut stream, INFO).await;
    };
    let (_, result) = tokio::join!(server, engine.probe(true));
    assert!(result.is_ok());
    tokio::task::yield_now().await;
    assert!(!engine.connected());
}

#[tokio::test]
async fn says_what_stands_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let (listener, mut engine) = engine(&folder);
    let socket = folder.path().join("docker.sock");
    drop(listener);
    assert_eq!(engine.probe(true).await, Err(ProbeFault::Refused { socket: socket.display().to_string() }));
    std::fs::remove_file(&socket).unwrap();
    assert_eq!(engine.probe(true).await, Err(ProbeFault::NoSocket { socket: socket.display().to_string() }));
}

#[test]
fn reads_what_engines_say() {
    let say = |status: u16, body: &'static str| {
        read_info(&Answer { status: StatusCode::from_u16(status).unwrap(), body: Bytes::from_static(body.as_bytes()) })
    };
    assert_eq!(say(200, r#"{"ContainerdCommit":{"ID":"N/A"}}"#), Err(ProbeFault::ContainerdGone));
    assert_eq!(say(500, "{}"), Err(ProbeFault::Status { path: "/info", status: 500 }));
    assert!(say(403, "denied by plugin").is_ok(), "an engine that denies us lives");
    assert!(matches!(say(200, "<html>"), Err(ProbeFault::Garbled { path: "/info", .. })));
}
