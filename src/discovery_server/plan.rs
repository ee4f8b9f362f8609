//! Decides a batch of orders, before anything is stored.

use super::limits;
use super::refusal::Refusal;
use super::roster::{Change, Roster};
use crate::model::Token;
use crate::policy::lease::Lease;
use std::collections::BTreeMap;

/// What a client wants to have stored.
#[derive(Debug)]
pub enum Wish {
    Create(Token),
    Drop(Token),
    Put { token: Token, address: Box<str>, lease: Lease },
    Remove { token: Token, address: Box<str> },
}

/// Decides one order after the other as if those before it were done already: a cluster that is
/// dropped earlier in the batch takes no entry later in it.
pub struct Plan<'a> {
    roster: &'a Roster,
    touched: BTreeMap<Token, Option<usize>>,
    clusters: usize,
    pub changes: Vec<Change>,
}

impl<'a> Plan<'a> {
    pub fn new(roster: &'a Roster) -> Self {
        Self { roster, touched: BTreeMap::new(), clusters: roster.clusters(), changes: Vec::new() }
    }

    pub fn add(&mut self, wish: Wish) -> Result<(), Refusal> {
        let change = match wish {
            Wish::Create(token) => self.create(token)?,
            Wish::Drop(token) => self.drop(token)?,
            Wish::Put { token, address, lease } => {
                self.admit(&token, &address)?;
                Change::Put { token, address, lease }
            }
            Wish::Remove { token, address } => {
                self.size(&token)?;
                Change::Remove { token, address }
            }
        };
        self.changes.push(change);
        Ok(())
    }

    fn create(&mut self, token: Token) -> Result<Change, Refusal> {
        if self.clusters >= limits::CLUSTERS {
            return Err(Refusal::ServerFull);
        }
        self.clusters += 1;
        self.touched.insert(token.clone(), Some(0));
        Ok(Change::AddCluster(token))
    }

    fn drop(&mut self, token: Token) -> Result<Change, Refusal> {
        self.size(&token)?;
        self.clusters -= 1;
        self.touched.insert(token.clone(), None);
        Ok(Change::DropCluster(token))
    }

    /// An address that comes twice in a batch counts twice: close to the limit that is good enough.
    fn admit(&mut self, token: &Token, address: &str) -> Result<(), Refusal> {
        let size = self.size(token)?;
        if self.roster.holds(token, address) {
            return Ok(());
        }
        if size >= limits::ENTRIES {
            return Err(Refusal::ClusterFull);
        }
        self.touched.insert(token.clone(), Some(size + 1));
        Ok(())
    }

    fn size(&self, token: &Token) -> Result<usize, Refusal> {
        let size = match self.touched.get(token) {
            Some(size) => *size,
            None => self.roster.cluster_size(token),
        };
        size.ok_or(Refusal::UnknownCluster)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Moment;
    use std::time::Duration;

    fn token(text: &str) -> Token {
        text.parse().expect("a token")
    }

    fn put(token_: &str, n: usize) -> Wish {
        let lease = Lease { ttl: Duration::from_secs(1), beat: Moment::default() };
        Wish::Put { token: token(token_), address: format!("n{n}:1").into(), lease }
    }

    #[test]
    fn a_batch_sees_its_own_earlier_orders() {
        let mut roster = Roster::default();
        roster.apply(Change::AddCluster(token("old")), Moment::default());
        let mut plan = Plan::new(&roster);
        assert_eq!(plan.add(Wish::Create(token("new"))), Ok(()));
        assert_eq!(plan.add(put("new", 1)), Ok(()));
        assert_eq!(plan.add(Wish::Drop(token("old"))), Ok(()));
        assert_eq!(plan.add(put("old", 1)), Err(Refusal::UnknownCluster));
        assert_eq!(plan.add(Wish::Drop(token("old"))), Err(Refusal::UnknownCluster));
        let remove = Wish::Remove { token: token("never"), address: "n:1".into() };
        assert_eq!(plan.add(remove), Err(Refusal::UnknownCluster));
        assert_eq!(plan.changes.len(), 3, "refused orders change nothing");
    }

    #[test]
    fn a_full_cluster_takes_no_new_entry_and_a_full_server_no_new_cluster() {
        let roster = Roster::default();
        let mut plan = Plan::new(&roster);
        for n in 0..limits::CLUSTERS {
            assert_eq!(plan.add(Wish::Create(token(&format!("c{n}")))), Ok(()));
        }
        assert_eq!(plan.add(Wish::Create(token("more"))), Err(Refusal::ServerFull));
        for n in 0..limits::ENTRIES {
            assert_eq!(plan.add(put("c0", n)), Ok(()));
        }
        assert_eq!(plan.add(put("c0", limits::ENTRIES)), Err(Refusal::ClusterFull));
        assert_eq!(plan.add(put("c1", 0)), Ok(()));
    }
}
