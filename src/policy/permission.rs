//! Whether a bearer token allows a request. It knows nothing of the clusters that there are, so that no answer tells.

use crate::model::Digest;
use crate::model::permission::{Clusters, Grant, Right, Rules, Subject};

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial<'r> {
    /// Nobody has this token.
    Unknown,
    /// It is the one of this name, and not enough.
    Lacking(&'r str),
}

/// The grant of this token. Every one is looked at, so that the time it takes tells nothing.
pub fn holder(rules: &Rules, token: Digest) -> Option<&Grant> {
    rules.0.iter().fold(None, |found, grant| if grant.digest == token { Some(grant) } else { found })
}

/// `wanted`: what it takes; None for what any token allows.
pub fn judge<'r>(rules: &'r Rules, token: Digest, wanted: Option<(Right, &Subject)>) -> Result<(), Denial<'r>> {
    let grant = holder(rules, token).ok_or(Denial::Unknown)?;
    match wanted {
        Some((right, subject)) if !allows(grant, right, subject) => Err(Denial::Lacking(&grant.name)),
        _ => Ok(()),
    }
}

fn allows(grant: &Grant, right: Right, subject: &Subject) -> bool {
    let has = grant.rights.contains(&right) || grant.rights.contains(&Right::Admin);
    has && match (&grant.clusters, subject) {
        (Clusters::All, _) => true,
        (Clusters::Some(clusters), Subject::Cluster(cluster)) => {
            clusters.iter().fold(false, |found, one| found | (one == cluster))
        }
        // one who rules some clusters makes no others
        (Clusters::Some(_), Subject::Server) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(name: &str, rights: &[Right], clusters: Clusters) -> Grant {
        Grant { name: name.to_owned(), digest: Digest::of(name.as_bytes()), rights: rights.to_vec(), clusters }
    }

    #[test]
    fn a_token_allows_what_it_says_at_the_clusters_that_it_names() {
        use Right::{Admin, List, Register};
        let one = || Clusters::Some(vec![Digest::of(b"one")]);
        let rules = Rules(vec![
            grant("node", &[Register], one()),
            grant("reader", &[List], one()),
            grant("both", &[Register, List], Clusters::All),
            grant("boss", &[Admin], one()),
            grant("root", &[Admin], Clusters::All),
        ]);
        let (here, there) = (Subject::Cluster(Digest::of(b"one")), Subject::Cluster(Digest::of(b"two")));
        let asked = [
            (Register, &here),
            (List, &here),
            (Admin, &here),
            (Register, &there),
            (List, &there),
            (Admin, &there),
            (Admin, &Subject::Server),
        ];
        for (name, allowed) in [
            ("node", [true, false, false, false, false, false, false]),
            ("reader", [false, true, false, false, false, false, false]),
            ("both", [true, true, false, true, true, false, false]),
            ("boss", [true, true, true, false, false, false, false]),
            ("root", [true; 7]),
        ] {
            let token = Digest::of(name.as_bytes());
            let answers = asked.map(|wanted| judge(&rules, token, Some(wanted)));
            assert_eq!(answers.clone().map(|answer| answer.is_ok()), allowed, "{name}");
            assert!(answers.iter().flat_map(|answer| answer.as_ref().err()).all(|no| *no == Denial::Lacking(name)));
            assert_eq!(judge(&rules, token, None), Ok(()));
        }
        assert_eq!(judge(&rules, Digest::of(b"x"), None), Err(Denial::Unknown));
        assert_eq!(judge(&Rules::default(), Digest::of(b"root"), None), Err(Denial::Unknown));
    }
}
