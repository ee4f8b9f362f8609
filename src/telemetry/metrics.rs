//! STUB
use std::time::Duration;
#[derive(Default)]
pub struct Metrics;
#[derive(Clone, Copy)]
pub enum Operation {
    Register,
    Deregister,
}
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
pub struct Sample {
    pub version: &'static str,
    pub started_at: f64,
    pub registered: bool,
    pub lease_left: Option<Duration>,
    pub ttl: Duration,
    pub heartbeat: Duration,
    pub last_renewal_at: Option<f64>,
    pub lease_at_risk: bool,
    pub engine_state: &'static str,
    pub containers_running: Option<u32>,
    pub advertised: Option<&'static str>,
    pub dbus_connected: bool,
    pub watchdog_margin: Duration,
    pub watchdog_timeout: Option<Duration>,
    pub config_valid: bool,
    pub config_loaded_at: f64,
    pub drained: bool,
    pub drain_ends_at: Option<f64>,
    pub hosting_failed: bool,
    pub log_dropped: u64,
    pub log_held: u64,
}
impl Metrics {
    pub fn request(&self, _: Operation, _: Duration, _: Option<&str>) {}
    pub fn probe(&self, _: Duration, _: Option<&str>) {}
    pub fn reload(&self, _: bool) {}
    pub fn render(&self, _: &Sample) -> Result<String, String> {
        Ok(String::new())
    }
}
