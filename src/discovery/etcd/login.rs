//! Who we are to etcd: a token for a user and a password, which are sent only when there is none, or it has ended.

use super::fault::Trouble;
use super::members::Member;
use super::wire::Authenticated;
use crate::discovery::BackendError;
use crate::model::AuthFiles;
use crate::tls::files;
use reqwest::header::HeaderValue;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// How people set the user and the password.
const USER: &str = "discovery.auth.user";
const PASSWORD: &str = "discovery.auth.password-file";

pub struct Login {
    user: Option<(String, PathBuf)>,
    pass: Mutex<Option<Pass>>,
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
        let user = match (&auth.user, &auth.password) {
            (Some(user), Some(password)) => Some((user.clone(), password.clone())),
            (None, None) => None,
            (Some(_), None) => return Err(BackendError::Client(format!("{USER} is of no use without {PASSWORD}"))),
            (None, Some(_)) => return Err(BackendError::Client(format!("{PASSWORD} is of no use without {USER}"))),
        };
        Ok(Self { user, pass: Mutex::new(None) })
    }

    /// What was good the last time, else a new one.
    pub async fn pass(&self, member: &Member) -> Result<Pass, Trouble> {
        let Some((user, password)) = &self.user else { return Ok(Pass::Open) };
        let known = self.pass.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(pass) = known {
            return Ok(pass);
        }
        let pass = authenticate(member, user, password).await?;
        *self.pass.lock().unwrap_or_else(PoisonError::into_inner) = Some(pass.clone());
        Ok(pass)
    }

    /// The member does not take it: tokens end by themselves, and with each change of users and roles.
    pub fn forget(&self, pass: &Pass) {
        let mut known = self.pass.lock().unwrap_or_else(PoisonError::into_inner);
        // another request may have a new one by now
        if known.as_ref() == Some(pass) {
            *known = None;
        }
    }

    /// Whether there is a user for a second attempt.
    pub fn has_user(&self) -> bool {
        self.user.is_some()
    }

    /// What nobody of us could know, in words that help.
    pub fn explain(&self, member: &Member, trouble: Trouble, folder: &str) -> Trouble {
        match (trouble, &self.user) {
            (Trouble::Unknown(_), None) => Trouble::Refused(
                member.web.refused(format!("it wants to know a user and a password; set {USER} and {PASSWORD}")),
            ),
            (Trouble::Denied(_), Some((user, _))) => Trouble::Refused(member.web.refused(format!(
                "the user {user} may not do that below {folder}/; agents need a role that reads and writes there, `list` and \
                 `watch` one that reads"
            ))),
            (trouble, _) => trouble,
        }
    }
}

async fn authenticate(member: &Member, user: &str, password: &Path) -> Result<Pass, Trouble> {
    let secret = read(password.to_owned()).await.map_err(Trouble::Refused)?;
    let body = json!({"name": user, "password": secret}).to_string();
    match member.send("auth/authenticate", body, &Pass::Open).await {
        Ok(answer) => {
            let said: Option<Authenticated> = serde_json::from_slice(&answer).ok();
            let token = said.and_then(|said| HeaderValue::try_from(said.token).ok());
            let mut token = token.ok_or_else(|| Trouble::Elsewhere(member.web.garbled("it holds no token")))?;
            token.set_sensitive(true);
            Ok(Pass::Token(token))
        }
        Err(Trouble::NoAuth(_)) => Ok(Pass::Open),
        Err(Trouble::Refused(_)) => {
            let why = format!("the user {user} ({USER}) or the password in {} is wrong", password.display());
            Err(Trouble::Refused(member.web.refused(why)))
        }
        Err(trouble) => Err(trouble),
    }
}

/// Anew each time: it may have been changed.
async fn read(path: PathBuf) -> Result<String, BackendError> {
    let file = path.clone();
    let reading = tokio::task::spawn_blocking(move || files::secret(PASSWORD, &file)).await;
    let failed = |cause: String| BackendError::File { path, cause };
    match reading {
        Ok(Ok(secret)) => Ok(secret.expose().to_owned()),
        Ok(Err(fault)) => Err(failed(fault.problem.to_string())),
        Err(panicked) => Err(failed(panicked.to_string())),
    }
}
