//! `swarm-agent token`: bearer tokens for the clients of a discovery server.

use super::exit::{self, Failure};
use super::show_config::quoted;
use crate::config::ConfigError;
use crate::config::tokens::{self, HASHED};
use crate::discovery_server::new_bearer;
use crate::model::Digest;
use crate::model::permission::{Clusters, RIGHTS, Rules};
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use nix::unistd::Group;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

/// Make bearer tokens for a discovery server
#[derive(Args)]
pub struct Token {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    New(New),
}

/// Make a bearer token and print it: it is kept nowhere
#[derive(Args)]
#[command(long_about = "Make a bearer token and print it: it is kept nowhere, so it can't be printed again.

With --file its hash and what it allows are added to that file, which server.tokens-file of the discovery server names, and \
the token alone goes to stdout:

    swarm-agent token new --name fleet --right register --right list --cluster '*' \\
        --file /etc/swarm-agent/tokens.toml > fleet.token
    systemctl reload swarm-discovery

Without it the token is the first line, and what to add to the file follows.

Rights: register (an agent: put entries and drain marks in and take them out), list (read), admin (both, and make and \
remove clusters; to make them it takes --cluster '*').")]
struct New {
    /// What to call it: no secret, and shown to its holder if something is not allowed
    #[arg(long)]
    name: String,
    /// What it allows (more than once if need be)
    #[arg(long = "right", value_name = "RIGHT", required = true, value_parser = PossibleValuesParser::new(RIGHTS))]
    rights: Vec<String>,
    /// Where: the token of a cluster, sha256:HEX of one, or * for every cluster (more than once if need be)
    #[arg(long = "cluster", value_name = "CLUSTER", required = true)]
    clusters: Vec<String>,
    /// Add it to this file, which is made if it is missing
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Print {"token": …, "sha256": …, "toml": …}
    #[arg(long)]
    json: bool,
}

impl Token {
    pub fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::New(new) => new.run(),
        }
    }
}

impl New {
    fn run(self) -> Result<(), Failure> {
        let token = new_bearer().map_err(Failure::other)?;
        let digest = Digest::of(token.as_bytes());
        let toml = self.toml(digest)?;
        if let Some(path) = &self.file {
            add(path, &self.name, &toml)?;
        }
        if self.json {
            let object = serde_json::json!({ "token": token, "sha256": digest.to_string(), "toml": toml });
            return super::print(&format!("{object}\n"));
        }
        match &self.file {
            None => super::print(&format!("{token}\n\n# for the file that server.tokens-file names:\n{toml}")),
            Some(_) => {
                super::print(&format!("{token}\n"))?;
                if io::stderr().is_terminal() {
                    super::remark("to put it in force: systemctl reload swarm-discovery");
                }
                Ok(())
            }
        }
    }

    /// As the tokens file has it. A cluster's token is a secret, so its hash stands there.
    fn toml(&self, digest: Digest) -> Result<String, Failure> {
        let rights: Vec<String> = self.rights.iter().map(|right| quoted(right)).collect();
        let mut clusters = Vec::new();
        for cluster in &self.clusters {
            match tokens::cluster(cluster) {
                Some(Clusters::All) => clusters.push(quoted("*")),
                Some(Clusters::Some(digests)) => {
                    clusters.extend(digests.iter().map(|digest| quoted(&format!("{HASHED}{digest}"))));
                }
                // it may be a secret with a slip of the pen in it
                None => {
                    let what = "--cluster takes the token of a cluster, sha256:HEX of one, or *";
                    return Err(Failure::usage(what.to_owned()));
                }
            }
        }
        let (name, rights, clusters) = (quoted(&self.name), rights.join(", "), clusters.join(", "));
        let toml =
            format!("[[token]]\nname = {name}\nsha256 = \"{digest}\"\nrights = [{rights}]\nclusters = [{clusters}]\n");
        match tokens::parse(Path::new(""), &toml) {
            Ok(_) => Ok(toml),
            // all but the name is ours
            Err(errors) => {
                let what = errors.first().map(ConfigError::message).unwrap_or_default();
                Err(Failure::usage(format!("--name {what}")))
            }
        }
    }
}

/// What stands there already.
fn read(path: &Path, text: &str) -> Result<Rules, Failure> {
    tokens::parse(path, text).map_err(|errors| {
        // bare lines, so that an editor can jump to their file:line:column
        for error in &errors {
            let _ = writeln!(io::stderr(), "{error}");
        }
        Failure::said(exit::CONFIG)
    })
}

/// Behind what stands there, which keeps its comments.
fn add(path: &Path, name: &str, toml: &str) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::other(format!("{}: {error}", path.display()));
    let old = match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        text => Some(text.map_err(failed)?),
    };
    let (before, is_new) = (old.as_deref().unwrap_or_default(), old.is_none());
    let gap = match before {
        "" => "",
        text if text.ends_with('\n') => "\n",
        _ => "\n\n",
    };
    if !before.is_empty() && read(path, before)?.0.iter().any(|grant| grant.name == name) {
        return Err(Failure::usage(format!("{} has a token of that name already", path.display())));
    }
    let added = format!("{gap}{toml}");
    let mut file = OpenOptions::new().append(true).create(true).mode(0o640).open(path).map_err(failed)?;
    if is_new {
        give_to_server(path);
    }
    file.write_all(added.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}

/// The service runs as a user of its own.
fn give_to_server(path: &Path) {
    let group = Group::from_name("swarm-discovery").ok().flatten();
    let given = group.is_some_and(|group| chown(path, None, Some(group.gid.as_raw())).is_ok());
    // whatever the umask was; a file that can't be changed is told below
    let readable = fs::set_permissions(path, fs::Permissions::from_mode(0o640)).is_ok();
    if !given || !readable {
        let path = path.display();
        super::remark(&format!("the service must be able to read it: chgrp swarm-discovery {path}; chmod 640 {path}"));
    }
}
