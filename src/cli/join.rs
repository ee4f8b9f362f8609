//! `swarm-agent join`: `run` with the flags of classic `swarm join`.

use super::config_args::FileArgs;
use super::exit::Failure;
use super::log_args::LogArgs;
use super::run;
use crate::config::Flag;

/// Run the agent with the flags of classic `swarm join`
#[derive(clap::Args)]
#[command(long_about = "Run the agent with the flags of classic `swarm join`.

    swarm-agent join --advertise 10.0.0.5:2375 token://disco.example/v1/TOKEN

Each flag sets one key of the configuration, which is read as for `swarm-agent run`; a service should rather have \
them in /etc/swarm-agent. docs/migrate.md tells what changes for those who come from classic Swarm.")]
pub struct Join {
    /// The cluster; also SWARM_DISCOVERY, or discovery.url of the configuration
    // a text, so that an error can't repeat the token
    #[arg(value_name = "DISCOVERY_URL")]
    url: Option<String>,
    /// The address under which other hosts reach this engine (discovery.advertise); also SWARM_ADVERTISE
    #[arg(long, visible_alias = "addr", value_name = "ADDRESS")]
    advertise: Option<String>,
    /// Renew the entry this often, at least 1s (discovery.heartbeat)
    #[arg(long, value_name = "TIME")]
    heartbeat: Option<String>,
    /// The entry lives this long without a renewal; more than the heartbeat (discovery.ttl)
    #[arg(long, value_name = "TIME")]
    ttl: Option<String>,
    /// Sleep a random time of at most this before the first registration (discovery.delay)
    #[arg(long, value_name = "TIME")]
    delay: Option<String>,
    /// An option of a key-value store
    #[arg(long, value_name = "KEY=VALUE", value_parser = discovery_option)]
    discovery_opt: Vec<String>,
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    files: FileArgs,
}

/// What classic Swarm knew.
const STORE_OPTIONS: [&str; 4] = ["kv.path", "kv.cacertfile", "kv.certfile", "kv.keyfile"];

/// None is supported yet, and one that was ignored would register the node in a place where nobody looks.
fn discovery_option(text: &str) -> Result<String, String> {
    let key = text.split_once('=').map_or(text, |(key, _)| key);
    Err(if STORE_OPTIONS.contains(&key) {
        format!(
            "{key} is not supported yet: it belongs to etcd, Consul and ZooKeeper, and this version registers at \
             discovery servers (http, https, token) only; leave it out"
        )
    } else if text.contains('=') {
        format!("there is no option `{key}`; classic Swarm knew {}", STORE_OPTIONS.join(", "))
    } else {
        "write KEY=VALUE".to_owned()
    })
}

impl Join {
    /// `outer` is what stood before the command, as in `swarm-agent --debug join`.
    pub fn run(self, outer: &LogArgs) -> Result<(), Failure> {
        let given = [
            ("DISCOVERY_URL", "discovery.url", self.url),
            ("--advertise", "discovery.advertise", self.advertise),
            ("--heartbeat", "discovery.heartbeat", self.heartbeat),
            ("--ttl", "discovery.ttl", self.ttl),
            ("--delay", "discovery.delay", self.delay),
        ];
        let flags = given
            .into_iter()
            .filter_map(|(name, key, value)| Some(Flag { name: name.to_owned(), key: key.to_owned(), value: value? }));
        let sources = self.files.sources().with_flags(outer.flag()).with_flags(self.log.flag()).with_flags(flags);
        run::with(&sources)
    }
}

#[cfg(test)]
mod tests {
    use super::discovery_option;

    #[test]
    fn no_option_is_ignored() {
        for (text, word) in
            [("kv.path=a/b", "not supported yet"), ("kv.pth=a", "classic Swarm knew kv.path"), ("kv", "KEY=VALUE")]
        {
            let said = discovery_option(text).err();
            assert!(said.as_ref().is_some_and(|said| said.contains(word)), "{text}: {said:?}");
        }
    }
}
