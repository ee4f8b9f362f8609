//! Who we are to etcd: a token for a user and a password, which are sent only when there is none, or it has ended.

use super::fault::Trouble;
use super::members::Member;
use super::wire::Authenticated;
use crate::discovery::BackendError;
use crate::model::{AuthFiles, AuthNames};
use crate::tls::{Turn, files};
use reqwest::header::HeaderValue;
use serde_json::json;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub struct Login {
    user: Option<User>,
    names: AuthNames,
    pass: Mutex<Option<Pass>>,
    turn: Turn,
}

/// Of a password file; a network's file system that takes longer has a problem.
const READ_LIMIT: Duration = Duration::from_secs(2);

struct User {
    name: String,
    password: PathBuf,
}

/// What a request shows.
#[derive(Clone, PartialEq, Eq)]
pub enum Pass {
    /// Nothing: there is no user, or the cluster knows none.
    Open,
    Token(HeaderValue),
}

impl Login {
    pub fn new(auth: &AuthFiles) -> Result<Self, BackendError> {
        let names = auth.names;
        let useless = |one, other| Err(BackendError::Client(format!("{one} is of no use without {other}")));
        let user = match (&auth.user, &auth.password) {
            (Some(name), Some(password)) => Some(User { name: name.clone(), password: password.clone() }),
            (None, None) => None,
            (Some(_), None) => return useless(names.user, names.password),
            (None, Some(_)) => return useless(names.password, names.user),
        };
        Ok(Self { user, names, pass: Mutex::new(None), turn: Turn::default() })
    }

    /// Asks with what was good the last time; if that has ended, once more with a new one. `place` is where all of it
    /// happens, for what is said of rights.
    pub async fn ask<F, T>(&self, member: &Member, place: &str, ask: impl Fn(Pass) -> F) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, Trouble>>,
    {
        let pass = self.pass(member).await?;
        let outcome = match ask(pass.clone()).await {
            Err(Trouble::Unknown(_)) if self.user.is_some() => {
                self.forget(&pass);
                ask(self.pass(member).await?).await
            }
            outcome => outcome,
        };
        outcome.map_err(|trouble| self.explain(trouble, place))
    }

    async fn pass(&self, member: &Member) -> Result<Pass, Trouble> {
        let Some(user) = &self.user else { return Ok(Pass::Open) };
        let known = self.kept().clone();
        if let Some(pass) = known {
            return Ok(pass);
        }
        let pass = self.authenticate(member, user).await?;
        *self.kept() = Some(pass.clone());
        Ok(pass)
    }

    /// The member does not take it: tokens end by themselves, and with each change of users and roles.
    fn forget(&self, pass: &Pass) {
        let mut kept = self.kept();
        // another request may have a new one by now
        if kept.as_ref() == Some(pass) {
            *kept = None;
        }
    }

    fn kept(&self) -> MutexGuard<'_, Option<Pass>> {
        self.pass.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// With what to do about it, where that is known.
    fn explain(&self, trouble: Trouble, place: &str) -> Trouble {
        match (trouble, &self.user) {
            (Trouble::Unknown(error), None) => {
                denied(error, format!("set {} and {}", self.names.user, self.names.password))
            }
            (Trouble::Denied(error), Some(User { name, .. })) => {
                let role = "a role that reads and writes";
                denied(
                    error,
                    format!(
                        "the user {name} needs {role} below {place}/ (one that reads, for `list` and `watch` alone)"
                    ),
                )
            }
            (trouble, _) => trouble,
        }
    }

    async fn authenticate(&self, member: &Member, user: &User) -> Result<Pass, Trouble> {
        let secret = self.read(user.password.clone()).await.map_err(Trouble::Refused)?;
        let body = json!({"name": user.name, "password": secret}).to_string();
        match member.send("auth/authenticate", body, Pass::Open).await {
            Ok(answer) => {
                let said: Option<Authenticated> = serde_json::from_slice(&answer).ok();
                let token = said.and_then(|said| HeaderValue::try_from(said.token).ok());
                let mut token = token.ok_or_else(|| Trouble::Elsewhere(member.web.garbled("it holds no token")))?;
                token.set_sensitive(true);
                Ok(Pass::Token(token))
            }
            Err(Trouble::NoAuth(_)) => Ok(Pass::Open),
            Err(Trouble::Refused(error)) => {
                let AuthNames { user: user_name, password, .. } = self.names;
                let (name, path) = (&user.name, user.password.display());
                Err(denied(
                    error,
                    format!("is the user {name} ({user_name}) right, and the password in {path} ({password})?"),
                ))
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// Anew each time: it may have been changed.
    async fn read(&self, path: PathBuf) -> Result<String, BackendError> {
        let (setting, file) = (self.names.password, path.clone());
        match self.turn.take(READ_LIMIT, move || files::secret(setting, &file)).await {
            Ok(Ok(secret)) => Ok(secret.expose().to_owned()),
            Ok(Err(fault)) => Err(BackendError::Credentials(fault)),
            Err(cause) => Err(BackendError::File { path, cause }),
        }
    }
}

fn denied(error: BackendError, remedy: String) -> Trouble {
    Trouble::Refused(match error {
        BackendError::Status { server, status, message, .. } => {
            BackendError::Denied { server, status, message, remedy }
        }
        error => error,
    })
}
