//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};
use e2e::Suite;

/// Boots real systemd machines with Docker Engine on this host, without virtualisation.
///
/// Machines of one cluster reach each other (10.99.0.1, 10.99.0.2, ...) and nothing else. They stay until `machines rm`.
/// Needs root. The first `up` builds a Debian image, which takes a minute or three.
#[derive(Debug, Parser)]
#[command(
    name = "machines",
    after_help = "Environment:
  SWARM_E2E_CACHE  where images and disks are (default: /var/cache/swarm-agent-e2e)
  SWARM_E2E_SUITE  bullseye, bookworm, trixie or sid (default: one that runs what this host builds)"
)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, ClapArgs)]
pub struct ClusterName {
    /// The cluster of the machines.
    #[arg(long, default_value = "demo", value_name = "NAME")]
    pub cluster: String,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Boot machines, new ones or ones that are off, and wait until Docker is active in them.
    Up {
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        #[command(flatten)]
        cluster: ClusterName,
        /// Make new machines from this Debian release.
        #[arg(long)]
        suite: Option<Suite>,
        /// Make new machines without Docker; its packages are in /var/cache/docker-debs there.
        #[arg(long)]
        without_docker: bool,
    },
    /// Run a command in a machine; its exit status is ours. `machines exec NAME bash` gives a shell.
    Exec {
        name: String,
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
        command: Vec<OsString>,
        #[command(flatten)]
        cluster: ClusterName,
    },
    /// Copy a file into a machine, with its mode; missing folders are made.
    Copy {
        name: String,
        source: PathBuf,
        /// The path in the machine; with a slash at the end, the folder.
        destination: String,
        #[command(flatten)]
        cluster: ClusterName,
    },
    /// Print the address of a machine.
    Ip {
        name: String,
        #[command(flatten)]
        cluster: ClusterName,
    },
    /// Run a host command in the network of a cluster (with the address 10.99.0.254), such as curl.
    Net {
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
        command: Vec<OsString>,
        #[command(flatten)]
        cluster: ClusterName,
    },
    /// List the machines of all clusters, those of running tests included.
    List,
    /// Remove machines with their disks, or a whole cluster.
    Rm {
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        #[command(flatten)]
        cluster: ClusterName,
        /// All machines of the cluster, and its network.
        #[arg(long, conflicts_with = "names")]
        all: bool,
    },
    /// Build the image that machines are made of, if it is not there, and print its path.
    Image {
        #[arg(long)]
        suite: Option<Suite>,
        #[arg(long)]
        without_docker: bool,
        /// Build it anew, for newer packages. No machine may be on that uses it.
        #[arg(long)]
        rebuild: bool,
    },
    /// Say what this host lacks, and how to get it.
    Doctor,
    /// Print the Debian or Ubuntu packages that the host needs, one a line.
    HostPackages,
    /// Remove what tests left that were killed together with their janitor.
    Gc,
    #[command(hide = true)]
    Janitor { cluster: PathBuf },
    #[command(hide = true)]
    Supervise { machine: PathBuf },
    #[command(hide = true)]
    Launch { machine: PathBuf },
    #[command(hide = true)]
    EnterNet {
        cluster: PathBuf,
        netns: PathBuf,
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
}
