//! What Consul's access control wants of us.

use super::super::BackendError;

/// What a request needs to be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Read,
    /// Keys and sessions are written.
    Write,
}

/// A refusal, with the rules that are needed. `root` is where the keys lie. Whether the token is unknown or may not is
/// told by words only, which change from release to release: what helps is said for both.
pub fn explained(error: BackendError, need: Need, root: &str) -> BackendError {
    match error {
        BackendError::Denied { server, status, message, remedy } => {
            let remedy = format!("{remedy} (its policy needs {})", rules(need, root));
            BackendError::Denied { server, status, message, remedy }
        }
        other => other,
    }
}

fn rules(need: Need, root: &str) -> String {
    match need {
        Need::Read => format!("key_prefix \"{root}/\" {{ policy = \"read\" }}"),
        Need::Write => {
            format!("key_prefix \"{root}/\" {{ policy = \"write\" }} session_prefix \"\" {{ policy = \"write\" }}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_which_rules_are_needed() {
        let refused = || BackendError::Denied {
            server: "consul://c:8500".into(),
            status: 403,
            message: "Permission denied".into(),
            remedy: "set discovery.auth.token-file to a file with a token that it knows".into(),
        };
        assert_eq!(
            explained(refused(), Need::Write, "a/docker/swarm").to_string(),
            "consul://c:8500 refuses (403: Permission denied); set discovery.auth.token-file to a file with a token that \
             it knows (its policy needs key_prefix \"a/docker/swarm/\" { policy = \"write\" } session_prefix \"\" \
             { policy = \"write\" })"
        );
        let read = explained(refused(), Need::Read, "docker/swarm").to_string();
        assert!(read.ends_with("(its policy needs key_prefix \"docker/swarm/\" { policy = \"read\" })"), "{read}");
        let other = BackendError::Client("x".into());
        assert_eq!(explained(other.clone(), Need::Read, "x"), other);
    }
}
