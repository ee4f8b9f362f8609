//! The proxies on the way: which one a request takes, who we are to it, and which failures are its own.
//!
//! What goes where is decided by `policy::proxy` alone; the HTTP client's own reading of the environment is off.

use super::super::BackendError;
use super::cause;
use crate::model::{Destination, ProxyCredentials, ProxyFault, ProxySettings, ProxyUrl, Source, Timeouts};
use crate::policy::proxy::{Choice, Rule, choose};
use crate::tls::{Turn, files};
use base64::prelude::{BASE64_STANDARD, Engine};
use reqwest::header::CONTENT_TYPE;
use reqwest::{ClientBuilder, Proxy, Response, Url};
use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// Besides the time for the request: a loop must turn before the watchdog takes it for stuck.
const READ_LIMIT: Duration = Duration::from_secs(3);

/// What holds for each request of one server.
#[derive(Clone)]
pub struct Proxies {
    settings: Arc<ProxySettings>,
    /// As the file had them last. Read by the client whenever it makes a connection.
    known: Arc<Known>,
    turn: Turn,
    timeouts: Timeouts,
}

type Known = RwLock<Option<ProxyCredentials>>;

/// The way of one request.
pub struct Passage {
    server: String,
    /// None: straight.
    through: Option<Through>,
    timeouts: Timeouts,
    deadline: Instant,
}

struct Through {
    proxy: ProxyUrl,
    rule: Source,
    to: Destination,
    credentials: Option<ProxyCredentials>,
}

impl Proxies {
    pub fn new(settings: &ProxySettings, timeouts: Timeouts) -> Self {
        Self { settings: Arc::new(settings.clone()), known: Arc::default(), turn: Turn::default(), timeouts }
    }

    /// Lets a client take these ways and no others.
    pub fn put_into(&self, builder: ClientBuilder) -> ClientBuilder {
        // what the environment says has been read with the configuration
        let builder = builder.no_proxy();
        if self.settings.is_idle() {
            return builder;
        }
        let (settings, known) = (Arc::clone(&self.settings), Arc::clone(&self.known));
        builder.proxy(Proxy::custom(move |url| {
            let proxy = settings.proxy_for(&destination(url)?)?;
            target(proxy, credentials(proxy, &known).as_ref())
        }))
    }

    /// Decides, and reads the credentials as they are now. `server` is what errors call the other end.
    pub async fn passage(&self, url: &Url, server: &str) -> Result<Passage, BackendError> {
        let (server, timeouts, deadline) = (server.to_owned(), self.timeouts, Instant::now() + self.timeouts.total);
        let mut passage = Passage { server, through: None, timeouts, deadline };
        let Some(to) = destination(url) else { return Ok(passage) };
        let Choice::Through { proxy, rule: Rule::Set(rule) } = choose(&to, &self.settings) else { return Ok(passage) };
        let through = Through { proxy, rule, to, credentials: None };
        if through.to.is_secure_v6() {
            return Err(through.error(ProxyFault::V6(through.to.to_string())));
        }
        if let Some(path) = &self.settings.credentials {
            let fresh = read(&self.turn, path).await.map_err(|problem| {
                let path = path.clone();
                through.error(ProxyFault::CredentialsFile { path, problem })
            })?;
            *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(fresh);
        }
        let credentials = credentials(&through.proxy, &self.known);
        passage.through = Some(Through { credentials, ..through });
        Ok(passage)
    }
}

/// What the client knows of a request.
fn destination(url: &Url) -> Option<Destination> {
    Some(Destination::new(url.scheme() == "https", url.host_str()?, url.port_or_known_default()?))
}

fn credentials(proxy: &ProxyUrl, known: &Known) -> Option<ProxyCredentials> {
    let known = known.read().unwrap_or_else(PoisonError::into_inner);
    known.clone().or_else(|| proxy.credentials.clone())
}

/// The client takes the credentials from the URL, for the proxy alone.
fn target(proxy: &ProxyUrl, credentials: Option<&ProxyCredentials>) -> Option<Url> {
    let mut url = Url::parse(&proxy.to_string()).ok()?;
    if let Some(known) = credentials {
        // a `%` would be taken for the beginning of an escape
        let escaped = |text: &str| text.replace('%', "%25");
        url.set_username(&escaped(&known.user)).ok()?;
        url.set_password(Some(&escaped(&known.password))).ok()?;
    }
    Some(url)
}

/// Off the runtime: the file may lie on a disk that hangs.
async fn read(turn: &Turn, path: &Path) -> Result<ProxyCredentials, String> {
    let path = path.to_owned();
    match turn.take(READ_LIMIT, move || files::secret("proxy.credentials-file", &path)).await {
        Ok(Ok(line)) => {
            ProxyCredentials::of_line(line.expose()).ok_or_else(|| "does not have one line, user:password".to_owned())
        }
        Ok(Err(fault)) => Err(fault.problem.to_string()),
        Err(why) => Err(format!("can't be read: {why}")),
    }
}

impl Passage {
    /// A failure of the client that is the proxy's.
    pub async fn failed(&self, error: &reqwest::Error) -> Option<BackendError> {
        let through = self.through.as_ref()?;
        if !error.is_connect() {
            return None;
        }
        let server = self.server.clone();
        if error.is_timeout() {
            let timeout = self.timeouts.connect.min(self.timeouts.total);
            return Some(through.error(ProxyFault::Slow { server, timeout }));
        }
        Some(through.error(match stage(error, through.to.tls) {
            Stage::Proxy => ProxyFault::Unreachable(cause(error)),
            Stage::Tunnel => match timeout_at(self.deadline, through.verdict()).await {
                Ok(Some(status)) => ProxyFault::of_status(status, through.credentials.is_some(), &server),
                Ok(None) | Err(_) => ProxyFault::NoTunnel { server },
            },
            Stage::Beyond => return None,
        }))
    }

    /// Whether an answer is the proxy's and not the server's, as far as it can be told: discovery services have no pages for
    /// people.
    pub fn check(&self, answer: &Response) -> Result<(), BackendError> {
        let status = answer.status().as_u16();
        let page = || answer.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
        match self.through.as_ref().filter(|through| !through.to.tls) {
            Some(through) if status == 407 || matches!(status, 401 | 403 | 500 | 502..=504) && page() => {
                Err(through.error(ProxyFault::of_status(status, through.credentials.is_some(), &self.server)))
            }
            _ => Ok(()),
        }
    }
}

/// How far a connection came that failed.
enum Stage {
    /// Not to the proxy, or it broke there.
    Proxy,
    /// The proxy did not do what it was asked for.
    Tunnel,
    /// The server is to blame.
    Beyond,
}

/// Without TLS the connection is one to the proxy. With it, the client's own error has that of the handshake with the
/// server right below it, and that of anything before inside an error of the tunnel, whose type it keeps to itself.
fn stage(error: &reqwest::Error, tls: bool) -> Stage {
    let is_io = |error: &(dyn Error + 'static)| error.is::<io::Error>();
    let mut chain = std::iter::successors(error.source(), |error| (**error).source()).skip(1);
    match (tls, chain.next()) {
        (false, _) => Stage::Proxy,
        (true, Some(first)) if is_io(first) => Stage::Beyond,
        (true, _) if chain.any(is_io) => Stage::Proxy,
        (true, _) => Stage::Tunnel,
    }
}

impl Through {
    fn error(&self, fault: ProxyFault) -> BackendError {
        BackendError::Proxy { proxy: self.proxy.to_string(), rule: self.rule.clone(), fault }
    }

    /// The client tells 407 from 200 and the rest from neither: asked once more, the proxy says which status it has.
    async fn verdict(&self) -> Option<u16> {
        let to = self.to.authority();
        let mut request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n");
        if let Some(known) = &self.credentials {
            let encoded = BASE64_STANDARD.encode(format!("{}:{}", known.user, known.password));
            request += &format!("Proxy-Authorization: Basic {encoded}\r\n");
        }
        request += "\r\n";
        let mut stream = TcpStream::connect(self.proxy.authority()).await.ok()?;
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut start = [0; "HTTP/1.1 407".len()];
        stream.read_exact(&mut start).await.ok()?;
        let status = std::str::from_utf8(&start).ok()?.strip_prefix("HTTP/1.")?.get(2..)?.parse().ok()?;
        (status >= 300).then_some(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_told_who_we_are_whatever_is_in_the_password() {
        let proxy: ProxyUrl = "http://proxy:3128".parse().expect("a proxy");
        let known = ProxyCredentials { user: "m@e/".into(), password: "a:b@c/d %41é".into() };
        let url = target(&proxy, Some(&known)).expect("a URL");
        assert_eq!((url.host_str(), url.port(), url.path()), (Some("proxy"), Some(3128), "/"));
        let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        assert_eq!((decoded(url.username()), url.password().map(decoded)), (known.user, Some(known.password)));
        assert_eq!(target(&proxy, None).map(String::from).as_deref(), Some("http://proxy:3128/"));
    }
}
