//! The servers of one ZooKeeper, and how a session with one of them begins or goes on.

use super::connection::{Broken, Connection, Stream};
use super::fault::{Asker, Fault, broken, not_let_in};
use super::wire::{self, Acl, code};
use crate::discovery::BackendError;
use crate::model::{AuthNames, Secret, StoreUrl, Timeouts, TlsFault, TlsFiles, TlsNames, WayOut};
use crate::tls::{Renewed, TlsClient, Unready};
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

pub struct Servers {
    endpoints: Vec<String>,
    timeouts: Timeouts,
    tls: Option<Renewed<TlsClient>>,
    tls_names: TlsNames,
    login: Option<Login>,
    auth_names: AuthNames,
}

struct Login {
    user: String,
    password: Renewed<Secret>,
}

/// What a session is known by. Who has the password has the session.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket {
    pub id: i64,
    pub password: Vec<u8>,
    pub granted: Duration,
}

/// What is asked of a server.
pub struct Wish<'a> {
    /// None for a new session.
    pub ticket: Option<&'a Ticket>,
    pub timeout: Duration,
    /// A server that knows less must not answer.
    pub seen: i64,
}

impl Servers {
    pub fn new(url: &StoreUrl, way: &WayOut) -> Result<Self, BackendError> {
        let files = way.tls.clone().unwrap_or_else(|| TlsFiles::of_the_system(TlsNames::DISCOVERY));
        let (tls_names, auth_names) = (files.names, way.auth.names);
        let useless = |one, other| Err(BackendError::Client(format!("{one} is of no use without {other}")));
        let login = match (&way.auth.user, &way.auth.password) {
            (Some(user), Some(path)) => {
                Some(Login { user: user.clone(), password: Renewed::secret(auth_names.password, path.clone()) })
            }
            (None, None) => None,
            (Some(_), None) => return useless(auth_names.user, auth_names.password),
            (None, Some(_)) => return useless(auth_names.password, auth_names.user),
        };
        let tls = url.tls.then(|| Renewed::tls(files));
        Ok(Self { endpoints: url.endpoints.clone(), timeouts: way.timeouts, tls, tls_names, login, auth_names })
    }

    pub fn count(&self) -> usize {
        self.endpoints.len()
    }

    pub fn total(&self) -> Duration {
        self.timeouts.total
    }

    /// One of them at random, so that a thousand nodes are spread.
    pub fn any(&self) -> usize {
        rand::random_range(0..self.count())
    }

    pub fn name(&self, index: usize) -> &str {
        &self.endpoints[index % self.count()]
    }

    pub fn acl(&self) -> Acl {
        if self.login.is_some() { Acl::Ours } else { Acl::Open }
    }

    pub fn asker<'a>(&'a self, server: &'a str) -> Asker<'a> {
        let user = self.login.as_ref().map(|login| login.user.as_str());
        Asker { server, user, names: self.auth_names }
    }

    /// Each of them once, from `first` on, until one lets us in. Each has its share of the time that is left. Gives which
    /// one it was, too.
    pub async fn dial(
        &self,
        first: usize,
        wish: &Wish<'_>,
        deadline: Instant,
    ) -> Result<(usize, Connection, Ticket), Fault> {
        let mut failures = Vec::new();
        for turn in 0..self.count() {
            let index = (first + turn) % self.count();
            let (server, begun) = (self.name(index), Instant::now());
            let others = u32::try_from(self.count() - turn).unwrap_or(u32::MAX);
            let share = deadline.saturating_duration_since(begun) / others;
            let attempt = timeout_at(begun + share, self.attach(server, wish, begun + share)).await;
            match attempt {
                Ok(Ok((connection, ticket))) => return Ok((index, connection, ticket)),
                Ok(Err(Fault::Expired)) => return Err(Fault::Expired),
                Ok(Err(Fault::Failed(error))) => failures.push(error),
                Err(_) => failures.push(self.late(server)),
            }
        }
        // there is one server at least
        Err(BackendError::of_several(failures).unwrap_or_else(|| self.late(self.name(first))).into())
    }

    pub fn late(&self, server: &str) -> BackendError {
        BackendError::Timeout { server: server.to_owned(), timeout: self.timeouts.total }
    }

    async fn attach(&self, server: &str, wish: &Wish<'_>, deadline: Instant) -> Result<(Connection, Ticket), Fault> {
        let tls = self.tls().await.map_err(|unready| self.unready(server, unready))?;
        let stream = self.connect(server, tls.as_deref(), deadline).await?;
        let mut connection = Connection::new(stream, server.to_owned());
        let timeout = i32::try_from(wish.timeout.as_millis()).unwrap_or(i32::MAX);
        let none = Ticket { id: 0, password: vec![0; 16], granted: Duration::ZERO };
        let Ticket { id, password, .. } = wish.ticket.unwrap_or(&none);
        let hello = wire::hello(wish.seen, timeout, *id, password);
        let answer = connection.say(&hello).await.map_err(|broken| self.not_let_in(server, tls.as_deref(), &broken))?;
        let garbled = |what: &str| BackendError::Garbled { server: server.to_owned(), what: what.to_owned() };
        let (granted, id, password) = wire::welcome(&answer).ok_or_else(|| garbled("it grants no session"))?;
        let granted = Duration::from_millis(u64::try_from(granted).unwrap_or_default());
        if granted.is_zero() {
            return Err(Fault::Expired);
        }
        connection.seen = wish.seen;
        self.log_in(&mut connection).await?;
        Ok((connection, Ticket { id, password, granted }))
    }

    async fn tls(&self) -> Result<Option<Arc<TlsClient>>, Unready> {
        match &self.tls {
            Some(tls) => tls.current().await.map(Some),
            None => Ok(None),
        }
    }

    async fn connect(
        &self,
        server: &str,
        tls: Option<&TlsClient>,
        deadline: Instant,
    ) -> Result<Box<dyn Stream>, BackendError> {
        let failed = |cause: String| BackendError::Connect { server: server.to_owned(), cause };
        let bound = deadline.min(Instant::now() + self.timeouts.connect);
        let stream = timeout_at(bound, TcpStream::connect(server)).await.map_err(|_| failed("no answer".to_owned()))?;
        let stream = stream.map_err(|error| match error.kind() {
            ErrorKind::ConnectionRefused => failed("connection refused".to_owned()),
            _ => failed(error.to_string()),
        })?;
        // requests are small, and each is waited for
        stream.set_nodelay(true).map_err(|error| failed(error.to_string()))?;
        let Some(tls) = tls else { return Ok(Box::new(stream)) };
        let host = server.rsplit_once(':').map_or(server, |(host, _)| host).trim_matches(['[', ']']);
        let secure = tls.handshake(stream, host).await.map_err(|fault| self.tls_fault(server, &fault))?;
        Ok(Box::new(secure))
    }

    /// A digest is never refused by itself: whether it is of use is seen when an ACL asks for it.
    async fn log_in(&self, connection: &mut Connection) -> Result<(), Fault> {
        let Some(login) = &self.login else { return Ok(()) };
        let server = connection.server.clone();
        let password = login.password.current().await.map_err(|unready| self.unready(&server, unready))?;
        let said = connection.say(&wire::digest(&format!("{}:{}", login.user, password.expose()))).await;
        let answer = said.map_err(|trouble| broken(&server, &trouble))?;
        match wire::head(&answer) {
            Some((_, _, code::OK)) => Ok(()),
            _ => Err(self.asker(&server).refused(code::AUTH_FAILED, "")),
        }
    }

    /// With TLS 1.3 a server looks at our certificate only after the handshake.
    fn not_let_in(&self, server: &str, tls: Option<&TlsClient>, trouble: &Broken) -> BackendError {
        let fault = match (tls, trouble) {
            (Some(tls), Broken::Io(error)) => {
                tls.fault(error).or_else(|| tls.asked_in_vain().then_some(TlsFault::WantsCertificate))
            }
            _ => None,
        };
        fault.map_or_else(|| not_let_in(server, trouble), |fault| self.tls_fault(server, &fault))
    }

    fn tls_fault(&self, server: &str, fault: &TlsFault) -> BackendError {
        BackendError::Tls { server: server.to_owned(), cause: fault.told(&self.tls_names) }
    }

    fn unready(&self, server: &str, unready: Unready) -> BackendError {
        match unready {
            Unready::File(fault) => BackendError::Credentials(fault),
            Unready::Tls(fault) => self.tls_fault(server, &fault),
        }
    }
}
