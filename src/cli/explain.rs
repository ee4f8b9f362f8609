//! `swarm-agent check-config --explain-url URL`: how a URL is reached. And which proxies are set for nothing.

use super::check_config::Role;
use super::exit::{self, Failure};
use crate::config::settings::AgentSettings;
use crate::config::{ConfigError, ConfigErrors, Loaded, Sources, load_agent};
use crate::model::Discovery;
use crate::policy::proxy::{Choice, Explained, Rule, explain, without_http};
use serde_json::{Value, json};
use std::io::Write;

pub fn run(url: &str, role: Role, sources: &Sources, as_json: bool) -> Result<(), Failure> {
    if role == Role::Server {
        return Err(Failure::usage("the discovery server asks nobody: leave out --for server".to_owned()));
    }
    let settings = match load_agent(sources) {
        Ok(loaded) => loaded.settings,
        Err(errors) => return invalid(&errors, as_json),
    };
    let explained = explain(url, &settings.discovery.way.proxy)
        .map_err(|error| Failure::usage(format!("the URL can't be explained: {error}")))?;
    if as_json {
        let object: Vec<Value> = explained.iter().map(object).collect();
        return super::print(&format!("{:#}\n", Value::from(object)));
    }
    super::print(&explained.iter().map(|one| format!("{one}\n")).collect::<String>())
}

/// As `check-config` says it.
fn invalid(errors: &ConfigErrors, as_json: bool) -> Result<(), Failure> {
    if as_json {
        let errors: Vec<_> = errors.iter().map(ConfigError::complaint).collect();
        super::print(&format!("{:#}\n", json!({ "valid": false, "errors": errors })))?;
    } else {
        // bare lines, so that an editor can jump to their file:line:column
        let _ = writeln!(std::io::stderr(), "{errors}");
    }
    Err(Failure::said(exit::CONFIG))
}

fn object(explained: &Explained) -> Value {
    let rule = explained.choice.rule();
    let proxy = match &explained.choice {
        Choice::Through { proxy, .. } => Some(proxy.to_string()),
        Choice::Direct { .. } => None,
    };
    json!({
        "to": explained.to,
        "proxy": proxy,
        "rule": rule.name(),
        "key": rule.source().map(|source| source.key),
        "origin": rule.source().map(|source| source.origin.as_str()),
        "text": explained.to_string(),
    })
}

/// A proxy that was set for this agent, and its discovery service can't be reached through one.
pub fn notices(loaded: &Loaded<AgentSettings>) -> Vec<String> {
    let rule = match &loaded.settings.discovery.url {
        Discovery::Embedded => Some(Rule::Embedded),
        Discovery::At(url) => without_http(url),
    };
    let Some(rule) = rule else { return Vec::new() };
    let url = &loaded.settings.discovery.url;
    let notice = |source| format!("{source}: has no effect on discovery.url = {url}: {rule}");
    loaded.merged.own_proxies().iter().map(notice).collect()
}
