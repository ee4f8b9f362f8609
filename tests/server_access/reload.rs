//! SIGHUP: what changes on a live server, and what errors don't change.

use super::authority::Authority;
use super::client;
use super::common::Outcome;
use super::process::{ANYWHERE, Folder};
use std::fs;

#[tokio::test]
async fn a_token_comes_and_goes_on_a_connection_that_stays() -> Outcome {
    let folder = Folder::new();
    folder.configure(&format!("tokens-file = {}", folder.quoted("tokens.toml")));
    folder.token(&["--name", "admin", "--right", "admin", "--cluster", "*"]);
    let without = fs::read_to_string(folder.path("tokens.toml"))?;
    let mut server = folder.start();
    let token = folder.token(&["--name", "reader", "--right", "list", "--cluster", "abc"]);
    let mut kept = client::plain(server.address).await?.with(&token);
    assert_eq!(kept.ask("GET", "/v1/clusters/abc", "").await?.status, 401, "not before the reload");
    server.reload();
    assert_eq!(kept.ask("GET", "/v1/clusters/abc", "").await?.code(), "unknown_cluster");
    server.wait_for_log("configuration reloaded: server.tokens-file changed");
    folder.write("tokens.toml", &without);
    server.reload();
    assert_eq!(kept.ask("GET", "/v1/clusters/abc", "").await?.code(), "bearer_unknown");
    server.reload();
    server.wait_for_log("configuration reloaded: nothing changed");
    Ok(())
}

#[tokio::test]
async fn errors_keep_the_old_rules_and_are_told_with_their_place() -> Outcome {
    let folder = Folder::new();
    let configuration = format!("tokens-file = {}", folder.quoted("tokens.toml"));
    folder.configure(&configuration);
    let token = folder.token(&["--name", "reader", "--right", "list", "--cluster", "*"]);
    let good = fs::read_to_string(folder.path("tokens.toml"))?;
    let mut server = folder.start();
    let mut kept = client::plain(server.address).await?.with(&token);
    let tokens = folder.path("tokens.toml").display().to_string();
    for (text, says) in [
        (good.replace("list", "lst"), format!("{tokens}:4:11: token.rights: \"lst\" is not one of")),
        (good.replace("[[token]]", "[[token]"), format!("{tokens}:1:9: not TOML")),
        (String::new(), format!("{tokens}: holds no token")),
    ] {
        folder.write("tokens.toml", &text);
        server.reload();
        server.wait_for_log(&says);
        let heard = server.wait_for_notice("the configuration was not reloaded");
        assert!(heard.last().is_some_and(|status| status.contains(&says)), "{heard:?}");
        assert_eq!(kept.ask("GET", "/v1/clusters/abc", "").await?.code(), "unknown_cluster", "the old rules hold");
        let mut stranger = client::plain(server.address).await?;
        assert_eq!(stranger.ask("GET", "/v1/clusters/abc", "").await?.status, 401, "{says}");
    }
    folder.configure("tokens-fil = 7");
    server.reload();
    server.wait_for_log("config.toml:2:1: server.tokens-fil: unknown key; did you mean server.tokens-file?");
    assert_eq!(kept.ask("GET", "/v1/clusters/abc", "").await?.code(), "unknown_cluster");

    folder.configure(&configuration);
    folder.write("tokens.toml", &good);
    server.reload();
    let heard = server.wait_for_notice("STATUS=");
    assert!(heard.last().is_some_and(|status| !status.contains("not reloaded")), "{heard:?}");
    Ok(())
}

#[tokio::test]
async fn a_broken_tokens_file_is_no_start() -> Outcome {
    let folder = Folder::new();
    folder.configure(&format!("tokens-file = {}", folder.quoted("tokens.toml")));
    for text in [None, Some(""), Some("[[token]]\n")] {
        if let Some(text) = text {
            folder.write("tokens.toml", text);
        }
        let output = folder.command().args(ANYWHERE).output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(said.contains("tokens.toml") && !said.contains("listening"), "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn tls_files_under_other_names_are_taken_up_and_a_change_of_the_protocol_waits() -> Outcome {
    let (folder, ca, later) = (Folder::new(), Authority::new("own"), Authority::new("later"));
    folder.configure_tls(&ca, "");
    let mut server = folder.start();
    let mut kept = client::tls(server.address, &ca, None).await?;
    assert_eq!(kept.ask("GET", "/healthz", "").await?.status, 200);

    let pair = later.server();
    folder.write("other.key", &pair.key);
    let other = format!("tls-cert = {}\ntls-key = {}", folder.quoted("other.pem"), folder.quoted("other.key"));
    folder.configure(&other);
    server.reload();
    server.wait_for_log("other.pem (server.tls-cert) does not exist");
    assert!(client::tls(server.address, &ca, None).await.is_ok(), "the old ones stay");
    folder.write("other.pem", &pair.certificate);
    server.reload();
    server.wait_for_log("configuration reloaded: server.tls-cert, server.tls-key changed");
    assert!(client::tls(server.address, &later, None).await.is_ok());
    assert_eq!(kept.ask("GET", "/healthz", "").await?.status, 200, "live connections stay");

    folder.configure("");
    server.reload();
    server.wait_for_log(
        "configuration reloaded: nothing changed; server.tls-cert, server.tls-key will change with a restart",
    );
    assert!(client::tls(server.address, &later, None).await.is_ok());
    let answer = client::plain(server.address).await?.ask("GET", "/healthz", "").await?;
    assert_eq!(answer.code(), "https_only", "no fall-back to plain text");
    Ok(())
}

#[tokio::test]
async fn what_a_restart_takes_is_said() -> Outcome {
    let folder = Folder::new();
    folder.configure("");
    let mut server = folder.start();
    let (certificate, key) = (folder.quoted("cert.pem"), folder.quoted("key.pem"));
    folder.write(
        "etc/swarm-agent/config.toml",
        &format!("[server]\ntls-cert = {certificate}\ntls-key = {key}\nstate-directory = \"/elsewhere\"\n"),
    );
    server.reload();
    server.wait_for_log(
        "configuration reloaded: nothing changed; server.state-directory, server.tls-cert, server.tls-key will change with a \
         restart of the service",
    );
    assert_eq!(client::plain(server.address).await?.ask("GET", "/healthz", "").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_server_that_others_reach_says_once_what_is_missing() -> Outcome {
    let (folder, ca) = (Folder::new(), Authority::new("own"));
    let everywhere = ["--listen", "0.0.0.0:0"];
    let exposed = |log: &str| log.lines().filter(|line| line.contains("others can reach 0.0.0.0:0")).count();
    folder.configure("");
    let server = folder.start_with(&everywhere);
    assert!(server.log().contains("it has neither TLS nor bearer tokens"), "{}", server.log());
    assert_eq!(exposed(&server.log()), 1);
    drop(server);

    folder.token(&["--name", "reader", "--right", "list", "--cluster", "*"]);
    let tokens = format!("tokens-file = {}", folder.quoted("tokens.toml"));
    folder.configure_tls(&ca, &tokens);
    let mut server = folder.start_with(&everywhere);
    assert_eq!(exposed(&server.log()), 0, "{}", server.log());
    folder.configure(&tokens);
    server.reload();
    let log = server.wait_for_log("will change with a restart");
    assert_eq!(exposed(&log), 0, "it speaks TLS until then: {log}");
    folder.configure_tls(&ca, "");
    server.reload();
    server.wait_for_log("it wants neither bearer tokens nor client certificates");
    server.reload();
    assert_eq!(exposed(&server.wait_for_log("nothing changed")), 1);
    Ok(())
}
