//! What `make bench` measures the agent against: a bare loop of the same crates that does only the beat.
//!
//! It POSTs an address to a URL each second over one kept connection, by the same client that the agent builds (rustls
//! set up, and no roots for plain HTTP), holds a connection to the system bus, logs to journald, and tells systemd that
//! it is ready and alive. It reads no configuration, watches no engine, decides nothing and retries nothing.
//!
//! It is written out here and shares no code with the agent, so that fat in the agent's code is not in both.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Client;
use reqwest::header::CONTENT_TYPE;
use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};
use tracing_subscriber::layer::SubscriberExt;

const HEARTBEAT: Duration = Duration::from_secs(1);
/// As often as the agent pings systemd's watchdog.
const BEATS_PER_PING: u32 = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(address)) = (arguments.next(), arguments.next()) else {
        return Err("usage: baseline URL ADDRESS".into());
    };
    let subscriber = tracing_subscriber::registry().with(tracing_journald::layer()?);
    tracing::subscriber::set_global_default(subscriber)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(beat(&url, &address))
}

async fn beat(url: &str, address: &str) -> Result<(), Box<dyn Error>> {
    let bus = zbus::connection::Builder::system().build().await?;
    let client = client()?;
    tracing::info!("beating");
    sd_notify::notify(&[NotifyState::Ready])?;
    let mut beats = interval(HEARTBEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Skip);
    for count in 0_u32.. {
        beats.tick().await;
        let request = client.post(url).header(CONTENT_TYPE, "application/json").body(address.to_owned());
        let answer = request.send().await?.error_for_status()?;
        answer.bytes().await?;
        if count % BEATS_PER_PING == 0 {
            sd_notify::notify(&[NotifyState::Watchdog])?;
        }
    }
    drop(bus);
    Ok(())
}

/// The agent's client, see `src/discovery/web.rs`.
fn client() -> Result<Client, Box<dyn Error>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let client = Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent("baseline")
        .connect_timeout(Duration::from_secs(3))
        .timeout(Duration::from_secs(10))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .http1_only()
        .pool_max_idle_per_host(1)
        .pool_idle_timeout(None)
        .tcp_keepalive(Duration::from_secs(30))
        .build()?;
    Ok(client)
}
