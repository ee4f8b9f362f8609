//! What Consul's access control wants of us.

use super::super::BackendError;
use reqwest::header::HeaderValue;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::timeout;

/// Many times a token's length.
const MAX_BYTES: u64 = 4096;

/// The ACL token, in a file of which each request reads what it holds by then.
pub struct Acl {
    file: Option<PathBuf>,
    timeout: Duration,
}

/// A token that may be sent.
pub struct Secret {
    pub text: String,
    pub header: HeaderValue,
}

/// What a request needs to be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Read,
    /// Keys and sessions are written.
    Write,
}

impl Acl {
    /// `timeout` bounds one reading: the file may lie on a network.
    pub fn new(file: Option<PathBuf>, timeout: Duration) -> Self {
        Self { file, timeout }
    }

    /// None: we are nobody in particular.
    pub async fn secret(&self) -> Result<Option<Secret>, BackendError> {
        let Some(path) = &self.file else { return Ok(None) };
        let file = path.clone();
        let reading = tokio::task::spawn_blocking(move || read(&file));
        let cause = match timeout(self.timeout, reading).await {
            Ok(Ok(Ok(text))) => match header(&text) {
                Ok(header) => return Ok(Some(Secret { text, header })),
                Err(why) => why.to_owned(),
            },
            Ok(Ok(Err(error))) => error.to_string(),
            Ok(Err(panicked)) => panicked.to_string(),
            Err(_) => format!("no answer within {}", humantime::format_duration(self.timeout)),
        };
        Err(BackendError::File { path: path.clone(), cause })
    }

    /// A refusal, with what would help. `folder` is where the keys lie.
    pub fn denied(&self, error: BackendError, need: Need, folder: &str) -> BackendError {
        match error {
            BackendError::Status { server, status: status @ (401 | 403), message, .. } => {
                let remedy = remedy(self.file.as_deref(), need, folder);
                BackendError::Denied { server, status, message, remedy }
            }
            other => other,
        }
    }
}

/// A token that is unknown and one that may not are told apart by words only, which change from release to release:
/// the remedy is one for both.
fn remedy(file: Option<&Path>, need: Need, folder: &str) -> String {
    let rules = match need {
        Need::Read => format!("key_prefix \"{folder}/\" {{ policy = \"read\" }}"),
        Need::Write => {
            format!("key_prefix \"{folder}/\" {{ policy = \"write\" }} session_prefix \"\" {{ policy = \"write\" }}")
        }
    };
    match file {
        Some(file) => format!("{} must hold a token that Consul knows and whose policy has {rules}", file.display()),
        None => format!("set discovery.auth.token-file to a file with a token whose policy has {rules}"),
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    Ok(text.trim().to_owned())
}

fn header(text: &str) -> Result<HeaderValue, &'static str> {
    if text.is_empty() {
        return Err("it is empty, and should hold an ACL token");
    }
    if text.len() as u64 > MAX_BYTES || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("it should hold one line with an ACL token, and nothing else");
    }
    let mut header = HeaderValue::from_str(text).map_err(|_| "it holds no ACL token")?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn a_token_is_read_anew_and_a_file_without_one_is_named() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("token");
        let acl = Acl::new(Some(path.clone()), TIMEOUT);
        let cause = |acl: Result<Option<Secret>, BackendError>| acl.err().map(|error| error.to_string());
        assert!(cause(acl.secret().await).is_some_and(|text| text.contains("No such file")));
        for (text, cause_is) in [(" \n", "it is empty"), ("a b", "one line"), ("a\nb", "one line"), ("ü", "one line")]
        {
            std::fs::write(&path, text)?;
            let said = cause(acl.secret().await).ok_or("a token")?;
            assert!(said.starts_with(&path.display().to_string()) && said.contains(cause_is), "{said}");
        }
        for token in ["7f09-one", "7f09-two"] {
            std::fs::write(&path, format!("{token}\n"))?;
            let secret = acl.secret().await?.ok_or("none")?;
            assert_eq!((secret.text.as_str(), secret.header.to_str()?), (token, token));
            assert!(!format!("{:?}", secret.header).contains(token));
        }
        assert!(Acl::new(None, TIMEOUT).secret().await?.is_none());
        Ok(())
    }

    #[test]
    fn a_refusal_says_which_rules_are_needed() {
        let refused = |status| BackendError::Status {
            server: "consul://c:8500".into(),
            status,
            message: "Permission denied".into(),
            retry_after: None,
        };
        let nobody = Acl::new(None, TIMEOUT);
        assert_eq!(
            nobody.denied(refused(403), Need::Write, "a/docker/swarm").to_string(),
            "consul://c:8500 refuses (403: Permission denied); set discovery.auth.token-file to a file with a token whose \
             policy has key_prefix \"a/docker/swarm/\" { policy = \"write\" } session_prefix \"\" { policy = \"write\" }"
        );
        let somebody = Acl::new(Some("/etc/token".into()), TIMEOUT);
        assert_eq!(
            somebody.denied(refused(403), Need::Read, "docker/swarm").to_string(),
            "consul://c:8500 refuses (403: Permission denied); /etc/token must hold a token that Consul knows and whose \
             policy has key_prefix \"docker/swarm/\" { policy = \"read\" }"
        );
        assert_eq!(somebody.denied(refused(500), Need::Read, "x"), refused(500));
    }
}
