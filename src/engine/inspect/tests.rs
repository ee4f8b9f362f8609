use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

const TIMEOUT: Duration = Duration::from_millis(100);

/// Answers the questions in turn, each on a connection of its own.
async fn serve(listener: UnixListener, answers: Vec<(&'static str, &'static str, &'static str)>) {
    for (path, status, body) in answers {
        let mut stream = listener.accept().await.unwrap().0;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        assert!(String::from_utf8(head).unwrap().starts_with(&format!("GET {path} HTTP/1.1\r\n")));
        let text = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(text.as_bytes()).await.unwrap();
    }
    // later questions are not answered
    let _held = listener.accept().await;
    std::future::pending::<()>().await;
}

async fn ask<T>(answers: &[(&'static str, &'static str, &'static str)], question: impl AsyncFn(Inspector) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("docker.sock");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::select! {
        answer = question(Inspector::new(path, TIMEOUT)) => answer,
        () = serve(listener, answers.to_vec()) => unreachable!("it serves for ever"),
    }
}

#[tokio::test]
async fn info_is_read_whatever_an_engine_leaves_out() {
    let full = r#"{"ID":"AB","ServerVersion":"26.1","ContainersRunning":2,"LiveRestoreEnabled":true,
                   "ContainerdCommit":{"ID":"1c90"},"Warnings":["no swap limit"],"New":{}}"#;
    let got = ask(&[("/_ping", "200 OK", "OK"), ("/info", "200 OK", full)], async |i| i.prove().await).await.unwrap();
    let expected = EngineDetails {
        id: "AB".into(),
        version: "26.1".into(),
        containers_running: 2,
        live_restore: Some(true),
        containerd: Some("1c90".into()),
        warnings: vec!["no swap limit".into()],
    };
    assert_eq!(got, expected);
    let null = r#"{"Warnings":null}"#;
    let got = ask(&[("/_ping", "200 OK", ""), ("/info", "200 OK", null)], async |i| i.prove().await).await;
    assert_eq!(got, Ok(EngineDetails::default()));
}

#[tokio::test]
async fn faults_name_what_did_not_answer() {
    assert_eq!(ask(&[], async |i| i.prove().await).await, Err(ProbeFault::PingTimeout(TIMEOUT)));
    let hung = ask(&[("/_ping", "200 OK", "")], async |i| i.prove().await).await;
    assert_eq!(hung, Err(ProbeFault::InfoTimeout(TIMEOUT)));
    let broken = ask(&[("/_ping", "500 X", "")], async |i| i.prove().await).await;
    assert_eq!(broken, Err(ProbeFault::Status { path: "/_ping", status: 500 }));
    let gone = r#"{"ContainerdCommit":{"ID":"N/A"}}"#;
    let gone = ask(&[("/_ping", "200 OK", ""), ("/info", "200 OK", gone)], async |i| i.prove().await).await;
    assert_eq!(gone, Err(ProbeFault::ContainerdGone));
    let nowhere = Inspector::new("/nonexistent/docker.sock".into(), TIMEOUT).prove().await;
    assert!(matches!(nowhere, Err(ProbeFault::NoSocket { .. })));
}

#[tokio::test]
async fn containers_have_their_names() {
    let listed = r#"[{"Id":"0123456789abcdef","Names":["/web"],"Image":"nginx"},{"Id":"x"}]"#;
    let got = ask(&[("/containers/json", "200 OK", listed)], async |i| i.containers().await).await.unwrap();
    assert_eq!(got[0].name.as_deref(), Some("web"));
    assert_eq!((got[0].short_id(), got[1].short_id()), ("0123456789ab", "x"));
    assert_eq!(got[1], Container::of_id("x"));
}
