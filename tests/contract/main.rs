//! What every discovery backend must do, run against each of them with its real server.
//!
//! A new backend joins with a file beside this one: a `Subject` that starts its server, and `contract!(start);`, which
//! makes a test of each case. Each case has a server of its own.

mod cases;
#[path = "../tls/certs.rs"]
mod certs;
#[path = "../common/mod.rs"]
mod common;
mod consul;
mod etcd;
mod ground;
mod service;
mod token;
mod zookeeper;

use common::Outcome;
use ground::Ground;
use service::Service;
use std::error::Error;
use std::io::Write;
use std::time::Duration;
use swarm_agent::discovery::Backend;
use swarm_agent::model::{DiscoveryUrl, WayOut};

/// A running server of a discovery service.
#[async_trait::async_trait]
trait Subject: Send + Sync {
    /// A cluster that nobody has used.
    async fn new_cluster(&self) -> Cluster;

    /// What somebody else does to the list, with other means than our backend.
    async fn stranger(&self, cluster: &Cluster, deed: Deed<'_>) -> Outcome;

    /// The server's process.
    fn service(&self) -> &Service;

    fn traits(&self) -> Traits;
}

/// What one service can do and another can't.
struct Traits {
    /// The shortest ttl that it can keep.
    shortest_ttl: Duration,
    /// How long after its ttl an entry may be listed still.
    lateness: Duration,
    /// Whether it has room for drained nodes.
    has_room: bool,
    /// Whether it lets somebody put in what is no address.
    takes_garbage: bool,
    /// Whether a watcher waits for changes, rather than ask again and again.
    tells_of_changes: bool,
    /// Servers and ways that must be refused, each with a part of what is said then: a wrong CA, wrong credentials.
    wrong_ways: Vec<(Cluster, &'static str)>,
}

enum Deed<'a> {
    /// Takes the entry out.
    Delete(&'a str),
    /// Puts something in that is no address: the key or the element `junk`.
    Garbage,
    /// Puts in all of these, for good.
    Fill(&'a [String]),
}

/// A cluster, and how to get there.
#[derive(Clone)]
struct Cluster {
    url: DiscoveryUrl,
    way: WayOut,
}

impl Cluster {
    /// As a new process would.
    fn open(&self) -> Box<dyn Backend> {
        swarm_agent::discovery::open(&self.url, &self.way).expect("a backend")
    }

    /// For a server that is expected not to answer.
    fn impatient(&self, total: Duration) -> Self {
        let mut cluster = self.clone();
        cluster.way.timeouts.connect = total.min(cluster.way.timeouts.connect);
        cluster.way.timeouts.total = total;
        cluster
    }
}

/// The error of a server that is not started because somebody said so.
#[derive(Debug, thiserror::Error)]
#[error("skipped: {0}")]
struct Skipped(&'static str);

/// None for a server that is skipped, which is said even where the output of tests that pass is not shown.
fn unless_skipped<S>(started: Result<S, Box<dyn Error>>) -> Result<Option<S>, Box<dyn Error>> {
    match started {
        Ok(subject) => Ok(Some(subject)),
        Err(error) if error.is::<Skipped>() => {
            let test = std::thread::current().name().unwrap_or_default().to_owned();
            writeln!(std::io::stderr(), "{error}: {test}")?;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// One test for each case; `$start` is `async fn(&Ground) -> Result<impl Subject, Box<dyn Error>>`, and its server answers.
macro_rules! contract {
    ($start:path) => {
        $crate::contract! { @cases $start:
            an_entry_comes_stays_once_and_goes
            taking_out_what_is_not_there_is_no_error
            every_kind_of_address_comes_back_as_it_was_in_order
            clusters_do_not_see_each_other
            an_entry_without_beats_goes_by_itself
            an_entry_with_beats_stays_beyond_three_ttls
            the_next_process_resumes_without_a_gap
            a_watcher_sees_who_comes_and_goes_and_no_beat
            a_server_that_was_restarted_has_the_entry_at_the_next_beat
            a_server_that_hangs_is_an_error_in_time_and_then_goes_on
            what_a_stranger_took_out_comes_back_with_the_next_beat
            garbage_is_reported_and_takes_nothing_away
            a_thousand_nodes_are_listed
            wrong_ways_are_refused_and_explained
            a_drained_node_is_in_a_list_of_all_alone_until_it_registers
            who_a_node_is_is_listed_while_its_entry_lives
            an_entry_that_another_node_is_recorded_for_is_left_to_it
            an_entry_hides_the_mark_of_its_node_until_it_goes
            a_mark_that_is_not_renewed_goes_by_itself
        }

        #[test]
        fn a_network_that_is_cut_is_an_error_in_time_and_then_goes_on() -> $crate::common::Outcome {
            $crate::ground::far(async |ground| {
                let Some(subject) = $crate::unless_skipped($start(&ground).await)? else { return Ok(()) };
                $crate::cases::a_network_that_is_cut_is_an_error_in_time_and_then_goes_on(&subject, &ground).await
            })
        }
    };
    (@cases $start:path: $($case:ident)+) => {
        $(#[tokio::test]
        async fn $case() -> $crate::common::Outcome {
            let started = $start(&$crate::Ground::near()).await;
            let Some(subject) = $crate::unless_skipped(started)? else { return Ok(()) };
            $crate::cases::$case(&subject).await
        })+
    };
}
use contract;
