//! Tokens: where they go, and where they never appear.

use super::certs::{Folder, ca, client, server};
use super::common::{DEADLINE, Outcome, agent, way};
use super::front::{Conduct, Front};
use super::{NODE, Scene, over, register};
use std::fmt::Debug;
use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use swarm_agent::discovery::BackendError;
use swarm_agent::model::{AuthFiles, WayOut};
use tracing::field::Field;
use tracing::{Event, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

const SECRET: &str = "pLanted-s3cret";

/// All that is logged in this process, at all levels.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = String::new();
        event.record(&mut |field: &Field, value: &dyn Debug| line += &format!("{field}={value:?} "));
        self.0.lock().expect("nobody panics").push(line);
    }
}

fn texts(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// What a command says, in which nothing of these may stand.
fn run(command: &mut Command, secrets: &[&str]) -> (Option<i32>, String, String) {
    let said = texts(&command.output().expect("the binary under test"));
    for secret in secrets {
        assert!(!said.1.contains(secret) && !said.2.contains(secret), "{command:?}: {said:?}");
    }
    said
}

#[tokio::test]
async fn the_token_goes_along_and_a_refusal_says_what_to_do() -> Outcome {
    let log = Log::default();
    tracing::subscriber::set_global_default(Registry::default().with(log.clone()))?;
    let (scene, ours, folder) = (Scene::new().await, ca("ours"), Folder::new());
    let front = Front::start(&server(&ours), None, scene.forward());
    let auth = |path| AuthFiles { token: path, ..AuthFiles::default() };
    let path = folder.write("token", &format!("{SECRET}\n"));
    let files = folder.files(&ours, None);
    let known = WayOut { auth: auth(Some(path.clone())), ..over(files.clone()) };
    let backend = scene.backend(front.address, &known);
    register(&*backend).await?;
    let heard = front.heard();
    assert!(heard.contains(&format!("authorization: Bearer {SECRET}\r\n")), "{heard}");
    folder.write("token", "another");
    register(&*backend).await?;
    let heard = front.heard();
    assert!(heard.contains("authorization: Bearer another\r\n"), "{heard}");
    folder.write("token", "");
    register(&*backend).await?;
    assert!(front.heard().contains("Bearer another\r\n"), "an empty file changes nothing");
    folder.write("token", SECRET);

    // a server that repeats what it was told
    let body = format!(r#"{{"error":"{SECRET} may not","code":"x"}}"#);
    for (status, number) in [("401 Unauthorized", 401), ("403 Forbidden", 403)] {
        front.behave(Conduct::say(status, "", &body));
        let Err(error @ BackendError::Denied { .. }) = register(&*backend).await else { panic!("{status}") };
        let path = path.display();
        assert_eq!(
            error.to_string(),
            format!(
                "https://{} refuses ({number}: … may not); is the token in {path} (discovery.auth.token-file) right, \
                 and does it allow this?",
                front.address
            )
        );
    }
    let error = register(&*scene.backend(front.address, &over(files))).await.err().ok_or("it refuses")?.to_string();
    assert!(error.ends_with("set discovery.auth.token-file to a file with a token that it knows"), "{error}");
    let nobody = WayOut { auth: auth(Some(folder.path("none"))), ..way() };
    front.heard();
    let error = register(&*scene.backend(front.address, &nobody)).await.err().ok_or("no file")?.to_string();
    assert!(error.ends_with("none (discovery.auth.token-file) does not exist"), "{error}");
    assert_eq!(front.heard(), "", "nothing is asked without it");
    let said = log.0.lock().expect("nobody panics").clone();
    assert!(said.iter().any(|line| line.contains("what was read before stays in use")), "{said:#?}");
    assert!(!said.iter().any(|line| line.contains(SECRET) || line.contains(&scene.token)), "{said:#?}");
    Ok(())
}

#[tokio::test]
async fn operators_give_credentials_as_flags_or_have_them_in_the_configuration() -> Outcome {
    let (scene, servers, clients, folder) = (Scene::new().await, ca("servers"), ca("clients"), Folder::new());
    let front = Front::start(&server(&servers), Some(&clients), scene.forward());
    folder.files(&servers, Some(&client(&clients)));
    folder.write("token", SECRET);
    register(&*scene.server.backend(&scene.token)).await?;
    let url = scene.url("https", front.address);
    let secrets = [SECRET, scene.token.as_str()];
    let with_flags = |command: &str, url: &str| {
        let mut agent = agent();
        agent.args([command, url, "--tls-ca", "ca.pem", "--tls-cert", "cert.pem", "--tls-key", "key.pem"]);
        agent.args(["--token-file", "token"]).current_dir(folder.path(""));
        agent
    };
    let (code, out, err) = run(&mut with_flags("list", &url), &secrets);
    assert_eq!((code, out.trim()), (Some(0), NODE), "{err}");
    assert!(front.heard().contains(&format!("authorization: Bearer {SECRET}")));
    let (code, out, err) = run(&mut with_flags("create", &format!("https://{}", front.address)), &[SECRET]);
    assert_eq!((code, out.trim().len()), (Some(0), 32), "{err}");
    assert!(front.heard().contains(&format!("authorization: Bearer {SECRET}")));

    let (code, _, err) = run(&mut with_flags("list", &scene.url("http", scene.server.address)), &secrets);
    assert_eq!(code, Some(64), "{err}");
    assert!(err.contains("(flag --tls-ca) is of no use with DISCOVERY_URL = http://"), "{err}");
    let (code, _, err) = run(agent().args(["list", &url]), &secrets);
    assert_eq!(code, Some(69), "{err}");
    assert!(err.contains("set discovery.tls.ca to"), "{err}");

    let config = folder.write(
        "config.toml",
        &format!(
            "[discovery]\nurl = {url:?}\ntls.ca = {:?}\ntls.cert = {:?}\ntls.key = {:?}\nauth.token-file = {:?}\n",
            folder.path("ca.pem"),
            folder.path("cert.pem"),
            folder.path("key.pem"),
            folder.path("token"),
        ),
    );
    let configured = |command: &[&str]| {
        let mut agent = agent();
        agent.args(command).arg("--config").arg(&config);
        agent
    };
    let (code, out, err) = run(&mut configured(&["list"]), &secrets);
    assert_eq!((code, out.trim()), (Some(0), NODE), "{err}");
    assert!(front.heard().contains(&format!("authorization: Bearer {SECRET}")));
    let flag = folder.write("other-token", "0ther");
    let (code, _, err) = run(configured(&["list"]).arg("--token-file").arg(flag), &secrets);
    assert_eq!(code, Some(0), "{err}");
    assert!(front.heard().contains("authorization: Bearer 0ther"), "a flag wins");
    let (_, out, _) = run(&mut configured(&["check-config", "--connect"]), &secrets);
    assert!(out.contains("knows the cluster: 1 node"), "{out}");
    let (code, out, err) = run(&mut configured(&["show-config", "--origin"]), &secrets);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("[discovery.auth]\ntoken-file = ") && out.contains("/token\""), "{out}");
    Ok(())
}

#[tokio::test]
async fn a_command_that_was_refused_repeats_no_secret() -> Outcome {
    let (scene, ours, folder) = (Scene::new().await, ca("ours"), Folder::new());
    folder.files(&ours, None);
    folder.write("token", SECRET);
    let url = |front: &Front| scene.url("https", front.address);
    let body = format!(r#"{{"error":"no {SECRET} for {}","code":"x"}}"#, scene.token);
    let secrets = [SECRET, scene.token.as_str()];
    for status in ["401 Unauthorized", "403 Forbidden", "404 Not Found", "500 Oops"] {
        let front = Front::start(&server(&ours), None, Conduct::say(status, "", &body));
        for command in ["list", "create"] {
            let mut agent = agent();
            agent.args([command, &url(&front), "--tls-ca", "ca.pem", "--token-file", "token"]);
            let (code, _, err) = run(agent.current_dir(folder.path("")), &[SECRET]);
            assert_ne!(code, Some(0), "{err}");
            assert!(command == "create" || !err.contains(&scene.token), "{err}");
            let refused = status.starts_with("40") && !status.starts_with("404");
            assert_eq!(err.contains("(--token-file) right"), refused, "{err}");
        }
    }
    // a file that is no token
    let front = Front::start(&server(&ours), None, scene.forward());
    folder.write("token", &format!("{SECRET}\nmore\n"));
    let mut agent = agent();
    agent.args(["list", &url(&front), "--tls-ca", "ca.pem", "--token-file", "token"]);
    let (code, _, err) = run(agent.current_dir(folder.path("")), &secrets);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("token (--token-file) holds more than one line"), "{err}");
    Ok(())
}

/// The agent itself, with all that it logs. No engine works here, so that it registers nothing.
#[test]
fn the_agent_warns_of_a_secret_in_plain_text_and_never_repeats_it() -> Outcome {
    let folder = Folder::new();
    let token = folder.write("token", SECRET);
    let config = folder.write(
        "config.toml",
        &format!(
            "[agent]\nstate-directory = {:?}\nlog-level = \"trace\"\n[discovery]\nurl = \
             \"http://disco.invalid/v1/clusters/t0ken\"\nadvertise = \"10.0.0.1:2375\"\nauth.token-file = {token:?}\n",
            folder.path("state"),
        ),
    );
    std::fs::create_dir(folder.path("state"))?;
    let (code, out, err) = run(agent().args(["check-config", "--config"]).arg(&config), &[SECRET, "t0ken"]);
    assert_eq!(code, Some(0), "{err}");
    let warning = "the secret of discovery.auth.token-file goes to http://disco.invalid without TLS";
    assert!(out.contains("configuration is valid") && err.contains(warning), "{err}");
    let mut child = agent()
        .args(["run", "--config"])
        .arg(&config)
        .env("SWARM_AGENT_SOCKET", folder.path("agent.sock"))
        .stderr(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(child.stderr.take().ok_or("it is piped")?).lines().map_while(Result::ok);
    let start = std::time::Instant::now();
    let mut said = Vec::new();
    while start.elapsed() < DEADLINE && !said.iter().any(|line: &String| line.contains("started: ")) {
        said.extend(lines.next());
    }
    child.kill()?;
    child.wait()?;
    said.extend(lines);
    assert!(said.iter().any(|line| line.contains(warning)), "{said:#?}");
    assert!(!said.iter().any(|line| line.contains(SECRET) || line.contains("t0ken")), "{said:#?}");
    Ok(())
}
