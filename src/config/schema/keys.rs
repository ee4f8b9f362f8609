//! The keys, in the order of the manual page.

use super::{
    ADVERTISE_CHECKS, AT_RISK, CONTAINERD, DUPLICATES, DefaultValue, Key, Kind, LOG_LEVELS, READERS, SUPERVISION_MODES,
};
use std::time::Duration;

const NO_LIMIT: Duration = Duration::from_secs(365 * 24 * 3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(100);

const fn duration(min: Duration, max: Duration) -> Kind {
    Kind::Duration { min, max, whole_seconds: false }
}

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A key with the parts that most keys don't have left empty.
const fn key(path: &'static str, kind: Kind, default: DefaultValue) -> Key {
    Key { path, kind, default, doc: "", example: "", flag: None, classic: None, secret: false }
}

pub const KEYS: &[Key] = &[
    Key {
        doc: "The least severe messages that are logged: error, warn, info, debug or trace.",
        example: r#""info""#,
        flag: Some("log-level"),
        ..key("agent.log-level", Kind::Choice(LOG_LEVELS), DefaultValue::Text("info"))
    },
    Key {
        doc: "Where the agent keeps what must outlive it: entries, a drain, the embedded cluster. Another directory begins \
              with none of them. The default is the directory that systemd makes for the service (STATE_DIRECTORY).",
        example: r#""/var/lib/swarm-agent""#,
        ..key("agent.state-directory", Kind::Path, DefaultValue::StateDirectory("/var/lib/swarm-agent"))
    },
    Key {
        doc: "The CPUs that the agent's own threads run on: a list, or all of a NUMA node, such as `numa:0`. Those that this \
              machine does not have, or that a cgroup leaves out, don't count; if none is left, that is an error. The engine's \
              are not changed by this. Not set by default: those that systemd gives the service (CPUAffinity=).",
        example: r#""0-1,4""#,
        ..key("agent.cpu-affinity", Kind::Cpus, DefaultValue::Unset)
    },
    Key {
        doc: "The cluster: http(s)://HOST:PORT/v1/clusters/TOKEN, etcd(s)://HOST:PORT,HOST:PORT/PREFIX, \
              consul(s)://HOST:PORT/PREFIX, zk(s)://HOST:PORT,HOST:PORT/PREFIX, or embedded: the agent then hosts the \
              discovery server itself (see discovery.embedded-listen). `swarm-agent create` makes a token. Whoever knows \
              the token can change the cluster's list, so keep a file with it unreadable for others.",
        example: r#""http://disco.example:8970/v1/clusters/0a1b2c3d""#,
        flag: Some("discovery"),
        classic: Some("SWARM_DISCOVERY"),
        secret: true,
        ..key("discovery.url", Kind::Discovery, DefaultValue::Text("embedded"))
    },
    Key {
        doc: "Where the agent's own discovery server listens if discovery.url is embedded: an IP address and a port. \
              The default is for this host only; with 0.0.0.0:8971 other hosts can use the server too, and whoever \
              reaches it can make clusters.",
        example: r#""10.0.0.5:8971""#,
        ..key("discovery.embedded-listen", Kind::SocketAddress, DefaultValue::Text("127.0.0.1:8971"))
    },
    Key {
        doc: "The address under which other hosts reach this engine: host:port (IPv6 in brackets), interface:port, \
              CIDR:port for the one address in a network, or auto:port for the source address of the default route. \
              The agent waits for an address that is not there yet and follows one that changes.",
        example: r#""10.0.0.5:2375""#,
        flag: Some("advertise"),
        classic: Some("SWARM_ADVERTISE"),
        ..key("discovery.advertise", Kind::Advertise, DefaultValue::Text("auto:2375"))
    },
    Key {
        doc: "Whether the advertised address is asked if this host's engine answers there: warn says so in the \
              status and the journal if it does not, require registers nothing until it does, off does not ask.",
        example: r#""warn""#,
        ..key("discovery.advertise-check", Kind::Choice(ADVERTISE_CHECKS), DefaultValue::Text("warn"))
    },
    Key {
        doc: "What to do if the list has another node with this one's address, engine id or machine id that was there \
              before: refuse stays out of the list and says so, allow does not look. Only where the discovery service \
              has room for records of nodes.",
        example: r#""refuse""#,
        ..key("discovery.duplicates", Kind::Choice(DUPLICATES), DefaultValue::Text("refuse"))
    },
    Key {
        doc: "The time between two renewals of the entry, at least 1s.",
        example: r#""60s""#,
        flag: Some("heartbeat"),
        ..key("discovery.heartbeat", duration(SECOND, DAY), DefaultValue::Text("60s"))
    },
    Key {
        doc: "How long the entry lives without a renewal: whole seconds, and more than discovery.heartbeat.",
        example: r#""180s""#,
        flag: Some("ttl"),
        ..key(
            "discovery.ttl",
            Kind::Duration { min: SECOND, max: NO_LIMIT, whole_seconds: true },
            DefaultValue::Text("180s"),
        )
    },
    Key {
        doc: "Before the first registration, sleep a random time of at most this, so that many hosts that boot \
              together don't arrive together.",
        example: r#""10s""#,
        flag: Some("delay"),
        ..key("discovery.delay", duration(Duration::ZERO, HOUR), DefaultValue::Text("0s"))
    },
    Key {
        doc: "How long connecting to the discovery service may take, at most 15s: a loop that waits longer counts as \
              stuck for the watchdog.",
        example: r#""3s""#,
        ..key("discovery.connect-timeout", duration(SHORTEST_TIMEOUT, seconds(15)), DefaultValue::Text("3s"))
    },
    Key {
        doc: "How long one request to the discovery service may take, connecting included, at most 15s: a loop that \
              waits longer counts as stuck for the watchdog.",
        example: r#""10s""#,
        ..key("discovery.timeout", duration(SHORTEST_TIMEOUT, seconds(15)), DefaultValue::Text("10s"))
    },
    Key {
        doc: "The CA of the discovery service's certificate, in PEM; without it the system's CAs count. The files of these \
              tables are read anew when they change, without a restart, and a file that can't be used changes \
              nothing. The user swarm-agent must be able to read them, and they can't lie below /home or /root; or \
              write credential:NAME for what LoadCredential=NAME:/PATH of the unit passes to the service (systemd reads \
              that at a restart only). Not set by default.",
        example: r#""/etc/swarm-agent/tls/discovery-ca.pem""#,
        ..key("discovery.tls.ca", Kind::File, DefaultValue::Unset)
    },
    Key {
        doc: "The client certificate for a discovery service that asks for one, in PEM, with the certificates between it \
              and its CA behind it. Not set by default.",
        example: r#""/etc/swarm-agent/tls/discovery-cert.pem""#,
        ..key("discovery.tls.cert", Kind::File, DefaultValue::Unset)
    },
    Key {
        doc: "The key of discovery.tls.cert, in PEM and without a passphrase. Not set by default.",
        example: r#""/etc/swarm-agent/tls/discovery-key.pem""#,
        ..key("discovery.tls.key", Kind::File, DefaultValue::Unset)
    },
    Key {
        doc: "A file with the bearer token for a discovery server (http, https, token), or the ACL token of Consul. Over \
              http and consul everybody on the way can read it. Not set by default.",
        example: r#""/etc/swarm-agent/discovery-token""#,
        ..key("discovery.auth.token-file", Kind::File, DefaultValue::Unset)
    },
    Key {
        doc: "The user of etcd or ZooKeeper. Not set by default.",
        example: r#""swarm""#,
        ..key("discovery.auth.user", Kind::User, DefaultValue::Unset)
    },
    Key {
        doc: "A file with the password of discovery.auth.user. Not set by default.",
        example: r#""credential:discovery-password""#,
        ..key("discovery.auth.password-file", Kind::File, DefaultValue::Unset)
    },
    Key {
        doc: "The proxy for discovery services without TLS (http, etcd, consul): http://HOST:PORT, or off. Without it the \
              variables http_proxy (in small letters only), all_proxy and ALL_PROXY count. The loopback, unix sockets and \
              the embedded server never go through a proxy. `swarm-agent check-config --explain-url URL` tells what \
              holds for a URL.",
        example: r#""http://proxy.example:3128""#,
        secret: true,
        ..key("proxy.http", Kind::Proxy, DefaultValue::Variables(&["http_proxy", "all_proxy", "ALL_PROXY"]))
    },
    Key {
        doc: "The proxy for discovery services with TLS (https, token, etcds, consuls), which it is asked to connect to \
              (CONNECT): http://HOST:PORT, or off. Without it the variables https_proxy, HTTPS_PROXY, all_proxy and \
              ALL_PROXY count.",
        example: r#""http://proxy.example:3128""#,
        secret: true,
        ..key(
            "proxy.https",
            Kind::Proxy,
            DefaultValue::Variables(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
        )
    },
    Key {
        doc: "What is reached without a proxy, between commas: example.com is the host and all below it, .example.com and \
              *.example.com only what is below; 10.0.0.5, fd00::5, 10.0.0.0/8 and fd00::/8 are for addresses in URLs \
              (names are not looked up); any of them may end in :PORT; * is everything. Without this key the variables \
              no_proxy and NO_PROXY count.",
        example: r#"".example.com,10.0.0.0/8""#,
        ..key("proxy.no-proxy", Kind::NoProxy, DefaultValue::Variables(&["no_proxy", "NO_PROXY"]))
    },
    Key {
        doc: "A file with one line, USER:PASSWORD, for the proxies. It is read anew for each request; the user swarm-agent \
              must be able to read it, and it can't lie below /home or /root; or credential:NAME, as with discovery.tls.ca. \
              Not set by default.",
        example: r#""/etc/swarm-agent/proxy-credentials""#,
        ..key("proxy.credentials-file", Kind::File, DefaultValue::Unset)
    },
    Key {
        doc: "The engine's socket: unix:///path or an absolute path.",
        example: r#""unix:///run/docker.sock""#,
        ..key("engine.socket", Kind::UnixSocket, DefaultValue::Text("unix:///run/docker.sock"))
    },
    Key {
        doc: "The engine's systemd unit.",
        example: r#""docker.service""#,
        ..key("engine.unit", Kind::ServiceUnit, DefaultValue::Text("docker.service"))
    },
    Key {
        doc: "How long the entry stays while the unit is being restarted by a job of systemd.",
        example: r#""10s""#,
        ..key("engine.grace", duration(Duration::ZERO, HOUR), DefaultValue::Text("10s"))
    },
    Key {
        doc: "The time between two probes of the engine, at least 1s.",
        example: r#""30s""#,
        ..key("engine.probe-interval", duration(SECOND, DAY), DefaultValue::Text("30s"))
    },
    Key {
        doc: "How long one probe may take, at most 10s: a loop that waits longer counts as stuck for the watchdog.",
        example: r#""5s""#,
        ..key("engine.probe-timeout", duration(SHORTEST_TIMEOUT, seconds(10)), DefaultValue::Text("5s"))
    },
    Key {
        doc: "After how many good probes in a row the engine counts as working, 1 to 100.",
        example: "2",
        ..key("engine.healthy-after", Kind::Integer { min: 1, max: 100 }, DefaultValue::Text("2"))
    },
    Key {
        doc: "After how many bad probes in a row the engine counts as not working, 1 to 100.",
        example: "3",
        ..key("engine.unhealthy-after", Kind::Integer { min: 1, max: 100 }, DefaultValue::Text("3"))
    },
    Key {
        doc: "The CA of the engine's certificate, in PEM. With this key, or the next two, the advertised address is \
              asked over TLS, and never without. The files of these three keys are read anew for each question; the \
              user swarm-agent must be able to read them, and they can't lie below /home or /root; credential:NAME is one \
              of the unit's credentials, as for discovery.tls.ca. Not set by default; with the next two keys only, the system's CAs count.",
        example: r#""/etc/swarm-agent/tls/ca.pem""#,
        ..key("engine.tls-ca", Kind::File, DefaultValue::Unset)
    },
    Key {
        doc: "The client certificate for an engine with --tlsverify, in PEM, with the certificates between it and its \
              CA behind it. Whoever has it and its key is root on every host whose engine accepts it. Not set by \
              default.",
        example: r#""/etc/swarm-agent/tls/cert.pem""#,
        ..key("engine.tls-cert", Kind::File, DefaultValue::Unset)
    },
    Key {
        doc: "The key of engine.tls-cert, in PEM and without a passphrase. Not set by default.",
        example: r#""/etc/swarm-agent/tls/key.pem""#,
        ..key("engine.tls-key", Kind::File, DefaultValue::Unset)
    },
    Key {
        doc: "Whether the agent restarts an engine whose unit has failed, or that hangs for sure. `dry-run`: it decides \
              and counts, and does nothing. `off`: it only says what is the matter. An engine that is stopped, masked, \
              absent or starting is left alone in any case.",
        example: r#""dry-run""#,
        ..key("supervision.mode", Kind::Choice(SUPERVISION_MODES), DefaultValue::Text("enforce"))
    },
    Key {
        doc: "How many restarts in any supervision.window, 1 to 100; then the agent gives up until the window has passed, \
              or until `swarm-agent engine reset`. Kept over restarts of the agent and of the host.",
        example: "3",
        ..key("supervision.restarts", Kind::Integer { min: 1, max: 100 }, DefaultValue::Text("3"))
    },
    Key {
        doc: "The time that supervision.restarts counts for.",
        example: r#""1h""#,
        ..key("supervision.window", duration(SECOND, WEEK), DefaultValue::Text("1h"))
    },
    Key {
        doc: "How long the unit has to be active before it is restarted, and how far the first two restarts are apart; \
              twice as long with each restart in the window.",
        example: r#""2m""#,
        ..key("supervision.cooldown", duration(SECOND, DAY), DefaultValue::Text("2m"))
    },
    Key {
        doc: "What to do if containers run that would die with the restart, because live-restore is off or that is not \
              known: `refuse` and say which, or `restart`. How many run is counted without the engine; not known counts as \
              some.",
        example: r#""refuse""#,
        ..key("supervision.when-containers-at-risk", Kind::Choice(AT_RISK), DefaultValue::Text("refuse"))
    },
    Key {
        doc: "What to do if containerd is to blame: `report`, or `restart` its unit rather than the engine's. The latter \
              needs a polkit rule that is installed by hand: /usr/share/swarm-agent/60-swarm-agent-containerd.rules.",
        example: r#""report""#,
        ..key("supervision.containerd", Kind::Choice(CONTAINERD), DefaultValue::Text("report"))
    },
    Key {
        doc: "containerd's systemd unit. One that does not exist is not looked at: the engine runs a containerd of its own.",
        example: r#""containerd.service""#,
        ..key("supervision.containerd-unit", Kind::ServiceUnit, DefaultValue::Text("containerd.service"))
    },
    Key {
        doc: "Who may read the agent's status and metrics on its unix socket: `everyone` on this host, or `group`: root \
              and members of group swarm-agent. Orders (reload, drain, undrain) are for the latter in any case.",
        example: r#""group""#,
        ..key("status.readable-by", Kind::Choice(READERS), DefaultValue::Text("everyone"))
    },
    Key {
        doc: "The IP address and port at which metrics are served for Prometheus over HTTP, at /metrics; whoever \
              reaches it may read them. `off`: only the unix socket has them.",
        example: r#""127.0.0.1:9732""#,
        ..key("status.metrics-listen", Kind::OptionalSocketAddress, DefaultValue::Text("off"))
    },
    Key {
        doc: "The IP address and port on which the discovery server listens.",
        example: r#""127.0.0.1:8970""#,
        flag: Some("listen"),
        ..key("server.listen", Kind::SocketAddress, DefaultValue::Text("127.0.0.1:8970"))
    },
    Key {
        doc: "Where the discovery server keeps its store. The default is the directory that systemd makes for the \
              service (STATE_DIRECTORY).",
        example: r#""/var/lib/swarm-discovery""#,
        ..key("server.state-directory", Kind::Path, DefaultValue::StateDirectory("/var/lib/swarm-discovery"))
    },
    Key {
        doc: "The discovery server's certificate, in PEM, with the certificates between it and its CA behind it. With this \
              key and the next the server speaks TLS, and never without. New files are taken up by the next connection, \
              without a restart; files of no use change nothing, and the journal says so. The user swarm-discovery must \
              be able to read them. Not set by default.",
        example: r#""/etc/swarm-agent/tls/server.pem""#,
        ..key("server.tls-cert", Kind::Path, DefaultValue::Unset)
    },
    Key {
        doc: "The key of server.tls-cert, in PEM and without a passphrase. Not set by default.",
        example: r#""/etc/swarm-agent/tls/server.key""#,
        ..key("server.tls-key", Kind::Path, DefaultValue::Unset)
    },
    Key {
        doc: "A CA, in PEM: only clients that have a certificate of it are served. It takes the two keys above. Not set by \
              default: clients need no certificate.",
        example: r#""/etc/swarm-agent/tls/clients.pem""#,
        ..key("server.tls-client-ca", Kind::Path, DefaultValue::Unset)
    },
    Key {
        doc: "The file with the bearer tokens (their hashes) that clients of the discovery server need, and what each \
              allows; `swarm-agent token new` makes one. It is read at the start and at a reload. Not set by default: \
              whoever reaches the server can make clusters, and knowing a cluster's token is enough to use it.",
        example: r#""/etc/swarm-agent/tokens.toml""#,
        ..key("server.tokens-file", Kind::Path, DefaultValue::Unset)
    },
];
