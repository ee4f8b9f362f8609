use super::*;
use crate::model::NoProxy;

fn set(key: &'static str, value: &str) -> Option<Sourced<ProxySetting>> {
    let source = Source { key, origin: "/etc/c.toml:2:8".into() };
    (!value.is_empty()).then(|| Sourced { value: value.parse().expect(value), source })
}

fn settings(http: &str, https: &str, no_proxy: &str) -> ProxySettings {
    let source = Source { key: "proxy.no-proxy", origin: "environment no_proxy".into() };
    let no_proxy: NoProxy = no_proxy.parse().expect(no_proxy);
    ProxySettings {
        http: set("proxy.http", http),
        https: set("proxy.https", https),
        no_proxy: Some(Sourced { value: no_proxy, source }),
        credentials: None,
    }
}

const PLAIN: &str = "http://plain:1";
const SECURE: &str = "http://secure:2";

/// Every combination of what may be set for a scheme, where the other end is, and whether it is taken out.
#[test]
fn the_loopback_beats_off_beats_exceptions_beats_the_proxy() {
    for tls in [false, true] {
        for setting in ["", "off", "here"] {
            for listed in [false, true] {
                for local in [false, true] {
                    let proxy = if tls { SECURE } else { PLAIN };
                    let mine = if setting == "here" { proxy } else { setting };
                    let no_proxy = if listed { "disco,localhost" } else { "" };
                    // what is set for the other scheme never counts
                    let settings = match tls {
                        true => settings(PLAIN, mine, no_proxy),
                        false => settings(mine, SECURE, no_proxy),
                    };
                    let to = Destination::new(tls, if local { "localhost" } else { "disco" }, 80);
                    let key = if tls { "proxy.https" } else { "proxy.http" };
                    let place = Source { key, origin: "/etc/c.toml:2:8".into() };
                    let expected = match (local, setting, listed) {
                        (true, _, _) => Choice::Direct { rule: Rule::Loopback },
                        (false, "", _) => Choice::Direct { rule: Rule::Unset(key) },
                        (false, "off", _) => Choice::Direct { rule: Rule::Off(place) },
                        (false, _, true) => {
                            let source = Source { key: "proxy.no-proxy", origin: "environment no_proxy".into() };
                            Choice::Direct { rule: Rule::Listed { entry: "disco".into(), source } }
                        }
                        (false, _, false) => {
                            Choice::Through { proxy: proxy.parse().expect("a proxy"), rule: Rule::Set(place) }
                        }
                    };
                    let choice = choose(&to, &settings);
                    assert_eq!(choice, expected, "{to} {settings:?}");
                    let through = match &choice {
                        Choice::Through { proxy, .. } => Some(proxy),
                        Choice::Direct { .. } => None,
                    };
                    assert_eq!(settings.proxy_for(&to), through, "the model agrees on {to}");
                }
            }
        }
    }
}

#[test]
fn a_url_is_explained_for_each_of_its_servers() {
    let settings = settings(PLAIN, "off", ".example,10.0.0.0/8");
    let plain = "goes through the proxy http://plain:1 (proxy.http, /etc/c.toml:2:8)";
    let off = "goes direct: proxy.https is off (/etc/c.toml:2:8)";
    for (url, said) in [
        ("http://disco:8970/v1/clusters/s3cret", vec![format!("http://disco:8970 {plain}")]),
        ("http://disco", vec![format!("http://disco:80 {plain}")]),
        ("http://disco/any/path", vec![format!("http://disco:80 {plain}")]),
        ("https://disco/v1/clusters/s3cret", vec![format!("https://disco:443 {off}")]),
        ("token://disco/v1/s3cret", vec![format!("https://disco:443 {off}")]),
        (
            "etcd://a,b.example,10.0.0.9,[::1]/team",
            vec![
                format!("http://a:2379 {plain}"),
                "http://b.example:2379 goes direct: proxy.no-proxy has `.example` (environment no_proxy)".into(),
                "http://10.0.0.9:2379 goes direct: proxy.no-proxy has `10.0.0.0/8` (environment no_proxy)".into(),
                "http://[::1]:2379 goes direct: it is on this host".into(),
            ],
        ),
        ("etcds://a", vec![format!("https://a:2379 {off}")]),
        ("consul://c", vec![format!("http://c:8500 {plain}")]),
        (
            "zk://z/p",
            vec![
                "zk://z:2181/p goes direct: ZooKeeper is not spoken to over HTTP and can't be reached through a proxy"
                    .into(),
            ],
        ),
        ("file:///etc/nodes", vec!["file:///etc/nodes goes direct: it is a list that nobody is asked for".into()]),
        ("a:2375", vec!["nodes://a:2375 goes direct: it is a list that nobody is asked for".into()]),
        ("embedded", vec!["embedded goes direct: it is the agent's own discovery server".into()]),
        (
            "unix:///run/docker.sock",
            vec!["unix:///run/docker.sock goes direct: a unix socket has no use for a proxy".into()],
        ),
    ] {
        let explained = explain(url, &settings).expect(url);
        assert_eq!(explained.iter().map(ToString::to_string).collect::<Vec<_>>(), said, "{url}");
    }
    for url in ["ftp://disco/s3cret", "s3cret", "", "http://u:s3cret@disco"] {
        let error = explain(url, &settings).expect_err(url);
        assert!(!error.contains("s3cret"), "{error}");
    }
}

#[test]
fn no_proxy_that_nobody_set_is_said_by_its_key() {
    let choice = choose(&Destination::new(true, "disco", 443), &ProxySettings::default());
    assert_eq!(choice.rule().to_string(), "neither proxy.https nor the environment names a proxy");
    assert_eq!((choice.rule().name(), choice.rule().source()), ("unset", None));
}
