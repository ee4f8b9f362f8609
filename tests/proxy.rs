//! The commands behind a real proxy that asks for a password. Each test has a network namespace of its own, which ends with
//! it: 10.77.0.1 is an address there that is not the loopback. Needs root and tinyproxy (`make setup`).

mod common;

use common::{DEADLINE, Outcome, agent};
use nix::sched::{CloneFlags, unshare};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use swarm_agent::discovery::{self, BackendError, Scope};
use swarm_agent::model::{ProxyFault, ProxySettings, Source, Sourced, Timeouts, WayOut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy};
use tokio_rustls::TlsAcceptor;

const HOST: &str = "10.77.0.1";
const SERVER: &str = "10.77.0.1:8970";
/// TLS in front of the server.
const SECURE: &str = "10.77.0.1:8443";
const PROXY: &str = "127.0.0.1:3128";
const PASSWORD: &str = "pa55 w%41:@/é";
const FROM_VARIABLE: &str = "the proxy http://127.0.0.1:3128 (proxy.http, environment SWARM_AGENT_PROXY_HTTP)";
const SECURE_FROM_VARIABLE: &str = "the proxy http://127.0.0.1:3128 (proxy.https, environment SWARM_AGENT_PROXY_HTTPS)";

/// A discovery server and a proxy in a network of their own.
struct World {
    folder: tempfile::TempDir,
    server: Process,
    proxy: Option<Process>,
    token: String,
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// This thread, and all that it starts from now on, has a network of its own.
fn own_network() {
    unshare(CloneFlags::CLONE_NEWNET)
        .unwrap_or_else(|error| panic!("no network namespace can be made ({error}): this test needs root"));
    for args in [&["link", "set", "lo", "up"][..], &["address", "add", "10.77.0.1/32", "dev", "lo"]] {
        let done = Command::new("ip").args(args).status();
        assert!(done.as_ref().is_ok_and(|status| status.success()), "ip {args:?}: {done:?}; is iproute2 installed?");
    }
}

fn tinyproxy() -> PathBuf {
    let unpacked = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/tinyproxy");
    let path = std::env::var_os("TINYPROXY").map_or_else(unpacked, PathBuf::from);
    assert!(path.exists(), "there is no tinyproxy at {}: run `make setup`, or set TINYPROXY", path.display());
    path
}

fn wait_for(address: &str) {
    let start = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(start.elapsed() < DEADLINE, "nothing listens on {address}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl World {
    fn new() -> Self {
        own_network();
        let folder = tempfile::tempdir().expect("a folder");
        let mut serve = agent();
        serve.args(["serve", "--listen", SERVER, "--state-directory"]).arg(folder.path().join("server"));
        let server = Process(serve.stderr(Stdio::null()).spawn().expect("the binary under test"));
        wait_for(SERVER);
        let made = agent().args(["create", &format!("http://{SERVER}")]).output().expect("the binary under test");
        let token = String::from_utf8_lossy(&made.stdout).trim().to_owned();
        assert_eq!(token.len(), 32, "{made:?}");
        let mut world = Self { folder, server, proxy: None, token };
        world.start_proxy("password");
        world.keep_credentials("me:password");
        world
    }

    /// tinyproxy takes letters and digits only.
    fn start_proxy(&mut self, password: &str) {
        self.proxy = None;
        let (config, log) = (self.path("tinyproxy.conf"), self.path("proxy.log"));
        let text = format!(
            "Port 3128\nListen 127.0.0.1\nTimeout 60\nMaxClients 50\nLogLevel Connect\nLogFile \"{}\"\nBasicAuth me {password}\n",
            log.display()
        );
        fs::write(&config, text).expect("a file");
        let mut command = Command::new(tinyproxy());
        command.args(["-d", "-c"]).arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
        self.proxy = Some(Process(command.spawn().expect("tinyproxy")));
        wait_for(PROXY);
        fs::write(log, "").expect("a log");
    }

    fn keep_credentials(&self, line: &str) {
        fs::write(self.credentials(), format!("{line}\n")).expect("a file");
    }

    fn credentials(&self) -> PathBuf {
        self.path("credentials")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What the proxy was asked for since its start.
    fn requests(&self) -> Vec<String> {
        let log = fs::read_to_string(self.path("proxy.log")).expect("a log");
        let request = |line: &str| Some(line.split_once("Request (")?.1.split_once("): ")?.1.to_owned());
        log.lines().filter_map(request).collect()
    }

    fn url(&self) -> String {
        format!("http://{SERVER}/v1/clusters/{}", self.token)
    }

    fn secure_url(&self) -> String {
        format!("https://{SECURE}/v1/clusters/{}", self.token)
    }

    /// A command with the proxies and the credentials of this world.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = agent();
        let proxy = format!("http://{PROXY}");
        command.env("SWARM_AGENT_PROXY_HTTP", &proxy).env("SWARM_AGENT_PROXY_HTTPS", &proxy);
        command.env("SWARM_AGENT_PROXY_CREDENTIALS_FILE", self.credentials());
        command.env("SSL_CERT_FILE", self.path("ca.pem")).args(args);
        command
    }

    /// Listens with a certificate of a new CA, and keeps what it was sent.
    fn start_front(&self) -> Arc<Mutex<String>> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a CA");
        fs::write(self.path("ca.pem"), ca.pem()).expect("a file");
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![HOST.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &ca).expect("a certificate").pem();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM")],
                PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).expect("PEM"),
            )
            .expect("a pair");
        let seen = Arc::<Mutex<String>>::default();
        let kept = Arc::clone(&seen);
        std::thread::spawn(move || front(TlsAcceptor::from(Arc::new(config)), kept));
        wait_for(SECURE);
        seen
    }
}

#[tokio::main(flavor = "current_thread")]
async fn front(acceptor: TlsAcceptor, seen: Arc<Mutex<String>>) {
    let listener = tokio::net::TcpListener::bind(SECURE).await.expect("a free port");
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let (from, to) = tokio::io::split(stream);
            let (back, forth) = tokio::net::TcpStream::connect(SERVER).await.expect("the server").into_split();
            tokio::join!(record(from, forth, &seen), answer(back, to));
        });
    }
}

async fn record(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, seen: &Mutex<String>) {
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        seen.lock().expect("no panic").push_str(&String::from_utf8_lossy(&buffer[..n]));
        if to.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
}

async fn answer(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let _ = copy(&mut from, &mut to).await;
}

/// Exit code, and all that was said.
fn said(command: &mut Command) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = command.output().expect("the binary under test");
    let text = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    for secret in ["password", "wrong"] {
        let without_names = text.replace("the password", "").replace("a password", "").replace("user:password", "");
        assert!(!without_names.contains(secret), "a password is shown: {text}");
    }
    (status.code(), text)
}

#[test]
fn http_goes_through_the_proxy_with_the_credentials_of_a_file() {
    let world = World::new();
    let (code, token) = said(&mut world.command(&["create", &format!("http://{SERVER}")]));
    assert_eq!((code, token.trim().len()), (Some(0), 32), "{token}");
    assert_eq!(said(&mut world.command(&["list", &world.url()])), (Some(0), String::new()));
    let path = format!("http://{SERVER}/v1/clusters");
    let expected = [format!("POST {path} HTTP/1.1"), format!("GET {path}/{} HTTP/1.1", world.token)];
    assert_eq!(world.requests(), expected);
}

#[test]
fn https_goes_through_a_tunnel_and_the_server_never_sees_who_we_are_to_the_proxy() {
    let world = World::new();
    let seen = world.start_front();
    assert_eq!(said(&mut world.command(&["list", &world.secure_url()])), (Some(0), String::new()));
    assert_eq!(world.requests(), [format!("CONNECT {SECURE} HTTP/1.1")]);
    let seen = seen.lock().expect("no panic").to_lowercase();
    assert!(seen.starts_with("get /v1/clusters/") && !seen.contains("proxy-authorization"), "{seen}");
}

#[test]
fn a_certificate_of_a_ca_that_is_not_trusted_is_the_servers_fault_and_not_the_proxys() {
    let world = World::new();
    world.start_front();
    fs::remove_file(world.path("ca.pem")).expect("a file");
    let other = rcgen::generate_simple_self_signed(vec!["other".to_owned()]).expect("a certificate");
    fs::write(world.path("ca.pem"), other.cert.pem()).expect("a file");
    let (code, text) = said(&mut world.command(&["list", &world.secure_url()]));
    assert!(
        code == Some(69) && text.contains(&format!("no TLS connection to https://{SECURE}: its certificate")),
        "{text}"
    );
}

#[test]
fn a_wrong_password_and_none_are_told_apart_and_the_proxy_is_named_with_what_set_it() {
    let world = World::new();
    world.start_front();
    world.keep_credentials("me:wrong");
    let (code, text) = said(&mut world.command(&["list", &world.url()]));
    assert!(
        text.contains(&format!("{FROM_VARIABLE} refuses the user and the password (401); see proxy.cred")),
        "{text}"
    );
    assert_eq!(code, Some(69));
    let (code, text) = said(&mut world.command(&["list", &world.secure_url()]));
    assert!(text.contains(&format!("{SECURE_FROM_VARIABLE} refuses the user and the password (401)")), "{text}");
    assert_eq!(code, Some(69));
    for (url, start) in [(world.url(), FROM_VARIABLE), (world.secure_url(), SECURE_FROM_VARIABLE)] {
        let mut command = world.command(&["list", &url]);
        let (code, text) = said(command.env_remove("SWARM_AGENT_PROXY_CREDENTIALS_FILE"));
        assert!(text.contains(&format!("{start} wants a user and a password (407); put user:password into")), "{text}");
        assert_eq!(code, Some(69));
    }
    for (line, why) in
        [("me", "does not have one line, user:password"), ("", "is empty"), ("me:x\nyou:y", "holds more")]
    {
        world.keep_credentials(line);
        let (_, text) = said(&mut world.command(&["list", &world.url()]));
        assert!(
            text.contains(&format!("is of no use: {} (proxy.credentials-file) {why}", world.credentials().display())),
            "{text}"
        );
    }
    fs::remove_file(world.credentials()).expect("a file");
    let (_, text) = said(&mut world.command(&["list", &world.url()]));
    assert!(text.contains("(proxy.credentials-file) does not exist"), "{text}");
    let mut command = world.command(&["list", &world.url()]);
    let (_, text) = said(command.env("SWARM_AGENT_PROXY_CREDENTIALS_FILE", "credential:proxy"));
    assert!(text.contains("credential:proxy (proxy.credentials-file) is a credential of the service, and"), "{text}");
    // what systemd passes to a service
    let folder = world.credentials().parent().expect("a folder").to_owned();
    let name = world.credentials().file_name().expect("a name").to_string_lossy().into_owned();
    world.keep_credentials("me:password");
    let mut command = world.command(&["list", &world.url()]);
    command
        .env("SWARM_AGENT_PROXY_CREDENTIALS_FILE", format!("credential:{name}"))
        .env("CREDENTIALS_DIRECTORY", folder);
    let (code, text) = said(&mut command);
    assert_eq!(code, Some(0), "{text}");
}

#[test]
fn the_agents_own_check_goes_the_same_way() {
    let world = World::new();
    world.keep_credentials("me:wrong");
    let mut command = world.command(&["check-config", "--connect", "--discovery", &world.url()]);
    let (code, text) = said(&mut command);
    assert!(code == Some(69) && text.contains(&format!("fail  discovery        {FROM_VARIABLE} refuses")), "{text}");
    world.keep_credentials("me:password");
    let mut command = world.command(&["check-config", "--connect", "--discovery", &world.url()]);
    let (_, text) = said(&mut command);
    assert!(text.contains(&format!("ok    discovery        http://{SERVER} knows the cluster: 0 nodes")), "{text}");
    assert_eq!(world.requests().len(), 2);
}

#[test]
fn what_is_excepted_goes_straight_as_does_the_loopback() {
    let world = World::new();
    for entry in [HOST, "10.77.0.0/16", "x, 10.77.0.1:8970", "*"] {
        let mut command = world.command(&["list", &world.url()]);
        assert_eq!(said(command.env("SWARM_AGENT_PROXY_NO_PROXY", entry)), (Some(0), String::new()), "{entry}");
        let mut command = world.command(&["list", &world.url()]);
        assert_eq!(said(command.env("NO_PROXY", entry)), (Some(0), String::new()), "{entry}");
    }
    let (_, text) = said(&mut world.command(&["list", "http://127.0.0.1:9/v1/clusters/x"]));
    assert!(text.contains("no connection to http://127.0.0.1:9: connection refused"), "{text}");
    assert_eq!(world.requests(), [""; 0], "the proxy saw nothing");
    let mut command = world.command(&["list", &world.url()]);
    assert_eq!(said(command.env("SWARM_AGENT_PROXY_NO_PROXY", "10.77.0.1:80")), (Some(0), String::new()));
    assert_eq!(world.requests().len(), 1, "another port goes through");
}

#[test]
fn the_environment_of_other_programs_is_the_fallback() {
    let world = World::new();
    world.start_front();
    let with_password = format!("http://me:password@{PROXY}");
    for (name, url) in [
        ("http_proxy", world.url()),
        ("all_proxy", world.url()),
        ("ALL_PROXY", world.secure_url()),
        ("https_proxy", world.secure_url()),
        ("HTTPS_PROXY", world.secure_url()),
    ] {
        let before = world.requests().len();
        let mut list = agent();
        list.env("SSL_CERT_FILE", world.path("ca.pem")).args(["list", &url]).env(name, &with_password);
        assert_eq!(said(&mut list), (Some(0), String::new()), "{name}");
        assert_eq!(world.requests().len(), before + 1, "{name}");
        assert_eq!(said(list.env("SWARM_AGENT_PROXY_HTTP", "off").env("SWARM_AGENT_PROXY_HTTPS", "off")).0, Some(0));
        assert_eq!(world.requests().len(), before + 1, "off beats {name}");
        list.env_remove("SWARM_AGENT_PROXY_HTTP").env_remove("SWARM_AGENT_PROXY_HTTPS");
        let (_, text) = said(list.env(name, format!("http://me:wrong@{PROXY}")));
        assert!(text.contains(&format!("environment {name}) refuses the user and the password (401)")), "{text}");
    }
    let before = world.requests().len();
    // a web server makes this variable from a header that anybody can send
    assert_eq!(said(agent().args(["list", &world.url()]).env("HTTP_PROXY", &with_password)), (Some(0), String::new()));
    assert_eq!(world.requests().len(), before, "HTTP_PROXY does not count");
}

#[test]
fn a_proxy_that_is_down_and_a_server_that_is_down_behind_it_are_told_apart() {
    let mut world = World::new();
    world.start_front();
    let url = "http://10.77.0.1:9/v1/clusters/x";
    let (code, text) = said(&mut world.command(&["list", url]));
    assert!(text.contains(&format!("{FROM_VARIABLE} can't reach http://10.77.0.1:9 (500); see the log of")), "{text}");
    assert_eq!(code, Some(69));
    let (code, text) = said(&mut world.command(&["list", "https://10.77.0.1:9/v1/clusters/x"]));
    assert!(text.contains(&format!("{SECURE_FROM_VARIABLE} can't reach https://10.77.0.1:9 (500)")), "{text}");
    assert_eq!(code, Some(69));
    world.proxy = None;
    for (url, start) in [(world.url(), FROM_VARIABLE), (world.secure_url(), SECURE_FROM_VARIABLE)] {
        let (code, text) = said(&mut world.command(&["list", &url]));
        assert!(
            text.contains(&format!("{start} can't be reached: connection refused; is it running there?")),
            "{text}"
        );
        assert_eq!(code, Some(69));
    }
}

#[test]
fn credentials_are_changed_while_a_watcher_runs() -> Outcome {
    let mut world = World::new();
    let mut command = world.command(&["watch", "--json", "--interval", "100ms", &world.url()]);
    let mut watcher = Process(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?);
    let mut lines = BufReader::new(watcher.0.stdout.take().ok_or("it is piped")?).lines().map_while(Result::ok);
    let mut next = |event: &str| -> Result<serde_json::Value, Box<dyn std::error::Error>> {
        loop {
            let line: serde_json::Value = serde_json::from_str(&lines.next().ok_or("the watcher ended")?)?;
            if line["event"] != "stale" {
                assert_eq!(line["event"], event, "{line}");
                return Ok(line);
            }
        }
    };
    next("list")?;
    world.start_proxy("another1");
    loop {
        let error = next("error")?["error"].as_str().ok_or("no text")?.to_owned();
        assert!(error.starts_with(FROM_VARIABLE) && !error.contains("me:"), "{error}");
        if error.ends_with("refuses the user and the password (401)") {
            break;
        }
        // while it started
        assert!(error.contains("can't be reached") || error.contains("broke"), "{error}");
    }
    world.keep_credentials("me:another1");
    next("recovered")?;
    assert!(world.server.0.try_wait()?.is_none(), "the server was there all the time");
    Ok(())
}

#[test]
fn a_password_may_hold_what_has_a_meaning_in_a_url() -> Outcome {
    own_network();
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("credentials");
    fs::write(&file, format!("me:{PASSWORD}"))?;
    let listener = std::net::TcpListener::bind(PROXY)?;
    let heard = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a client");
        let lines = BufReader::new(stream).lines().map_while(Result::ok);
        lines.take_while(|line| !line.is_empty()).find(|line| line.to_lowercase().starts_with("proxy-authorization:"))
    });
    let mut list = agent();
    list.env("http_proxy", PROXY).env("SWARM_AGENT_PROXY_CREDENTIALS_FILE", &file);
    said(list.args(["list", "--timeout", "10s", "http://10.77.0.1:9/v1/clusters/x"]));
    let header = heard.join().map_err(|_| "a panic")?.ok_or("no header")?;
    // printf 'me:pa55 w%%41:@/é' | base64
    assert!(header.ends_with("Basic bWU6cGE1NSB3JTQxOkAvw6k="), "{header}");
    Ok(())
}

#[tokio::test]
async fn a_proxy_that_says_nothing_is_named() -> Outcome {
    own_network();
    let _listener = std::net::TcpListener::bind(PROXY)?;
    let source = Source { key: "proxy.https", origin: "a test".into() };
    let https = Some(Sourced { value: PROXY.parse()?, source });
    let timeouts = Timeouts { connect: Duration::from_millis(300), total: Duration::from_secs(30) };
    let proxy = ProxySettings { https, ..ProxySettings::default() };
    let way = WayOut { proxy, ..WayOut::direct(timeouts) };
    let error = discovery::open(&format!("https://{SECURE}/v1/clusters/x").parse()?, &way)?.list(Scope::Active).await;
    assert!(matches!(&error, Err(BackendError::Proxy { fault: ProxyFault::Slow { .. }, .. })), "{error:?}");
    Ok(())
}

#[test]
fn nothing_about_the_proxy_is_sent_straight_to_a_server() -> Outcome {
    own_network();
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("credentials");
    fs::write(&file, "me:password")?;
    let listener = std::net::TcpListener::bind(SERVER)?;
    let heard = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a client");
        BufReader::new(stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect::<Vec<_>>()
    });
    let mut list = agent();
    list.env("http_proxy", format!("http://me:password@{PROXY}")).env("NO_PROXY", HOST);
    list.env("SWARM_AGENT_PROXY_CREDENTIALS_FILE", &file);
    said(list.args(["list", &format!("http://{SERVER}/v1/clusters/x")]));
    let heard = heard.join().map_err(|_| "a panic")?;
    assert!(heard[0] == "GET /v1/clusters/x HTTP/1.1", "{heard:?}");
    assert!(!heard.iter().any(|line| line.to_lowercase().contains("proxy")), "{heard:?}");
    Ok(())
}

/// An agent in a world. It has no engine there, and so it registers nothing; but it says of its node that it is drained.
struct Agent<'w> {
    world: &'w World,
    _process: Process,
}

impl<'w> Agent<'w> {
    fn start(world: &'w World, discovery: &str) -> Self {
        fs::create_dir_all(world.path("etc/swarm-agent")).expect("a folder");
        fs::create_dir(world.path("agent")).expect("a folder");
        Self::configure(world, discovery, "");
        let process = Self::command(world, &["run"]).stderr(Stdio::null()).spawn().expect("the binary under test");
        let start = Instant::now();
        while !world.path("agent.sock").exists() {
            assert!(start.elapsed() < DEADLINE, "the agent does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { world, _process: Process(process) }
    }

    /// What stands in the tables of `discovery` and `proxy`.
    fn configure(world: &World, discovery: &str, proxy: &str) {
        let folder = world.folder.path().display();
        let text = format!(
            "[agent]\nstate-directory = \"{folder}/agent\"\n[discovery]\nadvertise = \"10.77.0.1:2375\"\n\
             advertise-check = \"off\"\n{discovery}\n[proxy]\nhttp = \"http://{PROXY}\"\n\
             credentials-file = \"{folder}/credentials\"\n{proxy}\n"
        );
        fs::write(world.path("etc/swarm-agent/config.toml"), text).expect("a file");
    }

    fn command(world: &World, args: &[&str]) -> Command {
        let mut command = agent();
        command.env("SWARM_AGENT_CONFIG_ROOT", world.folder.path()).env("RUNTIME_DIRECTORY", world.folder.path());
        command.env("SWARM_AGENT_SOCKET", world.path("agent.sock")).args(args);
        command
    }

    fn say(&self, args: &[&str]) -> String {
        let (code, text) = said(&mut Self::command(self.world, args));
        assert_eq!(code, Some(0), "{args:?}: {text}");
        text
    }

    /// Returns when the others can see it, who ask without a proxy.
    fn drain(&self, reason: &str) {
        self.say(&["drain", "--reason", reason]);
        let start = Instant::now();
        loop {
            let mut list = Self::command(self.world, &["list", "--all"]);
            let (_, list) = said(list.env("SWARM_AGENT_PROXY_HTTP", "off"));
            if list.contains(reason) {
                return;
            }
            assert!(start.elapsed() < DEADLINE, "{reason:?} is not in {list:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn the_agent_goes_through_the_proxy_and_takes_over_another_way_at_a_reload() {
    let world = World::new();
    let url = format!("url = \"{}\"", world.url());
    let agent = Agent::start(&world, &url);
    agent.drain("through it");
    let put = format!("PUT http://{SERVER}/v1/clusters/{}/10.77.0.1:2375/drained?ttl=180 HTTP/1.1", world.token);
    assert!(world.requests().contains(&put), "{:?}", world.requests());
    Agent::configure(&world, &url, "no-proxy = \"10.77.0.0/16\"");
    let text = agent.say(&["reload"]);
    assert!(text.contains("proxy.no-proxy"), "{text}");
    let before = world.requests().len();
    agent.drain("past it");
    assert_eq!(world.requests().len(), before, "the proxy is not asked any more");
}

#[test]
fn the_agents_own_server_is_never_reached_through_a_proxy() {
    let world = World::new();
    let agent = Agent::start(&world, "url = \"embedded\"\nembedded-listen = \"10.77.0.1:8971\"");
    agent.drain("on its own");
    let list = agent.say(&["list", "--all"]);
    assert!(list.contains("10.77.0.1:2375  drained: on its own"), "{list}");
    let (_, checked) = said(&mut Agent::command(&world, &["check-config", "--connect"]));
    assert!(checked.contains("ok    discovery        http://10.77.0.1:8971 knows the cluster"), "{checked}");
    assert!(checked.contains("has no effect on discovery.url = embedded"), "{checked}");
    assert_eq!(world.requests(), [""; 0]);
}
