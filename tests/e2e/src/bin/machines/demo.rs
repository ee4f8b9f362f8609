//! What the commands do.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::store::{MachineDir, Store};
use e2e::{Cluster, Image, Suite, default_suite, doctor, enter, helper};

use crate::args::Command;

const COPY_TIMEOUT: Duration = Duration::from_secs(600);

pub fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Up { names, cluster, suite, without_docker } => {
            up(&cluster.cluster, &names, &image(suite, without_docker)?)?
        }
        Command::Exec { name, command, cluster } => exec(&machine(&cluster.cluster, &name)?, &command)?,
        Command::Copy { name, source, destination, cluster } => {
            copy(&machine(&cluster.cluster, &name)?, &source, &destination)?
        }
        Command::Ip { name, cluster } => println!("{}", machine(&cluster.cluster, &name)?.spec()?.ip()),
        Command::Net { command, cluster } => net(&cluster.cluster, &command)?,
        Command::List => list()?,
        Command::Rm { names, cluster, all } => remove(&cluster.cluster, &names, all)?,
        Command::Image { suite, without_docker, rebuild } => build(&image(suite, without_docker)?, rebuild)?,
        Command::Doctor => return diagnose(),
        Command::HostPackages => doctor::HOST_PACKAGES.iter().for_each(|p| println!("{p}")),
        Command::Gc => collect()?,
        Command::Janitor { cluster } => helper::janitor(&cluster)?,
        Command::Supervise { machine } => helper::supervise(&machine)?,
        Command::Launch { machine } => helper::launch(&machine)?,
        Command::EnterNet { cluster, netns, command } => helper::enter_netns(&cluster, &netns, &command)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn image(suite: Option<Suite>, without_docker: bool) -> Result<Image> {
    let suite = suite.map_or_else(default_suite, Ok)?;
    Ok(if without_docker { Image::without_docker_of(suite) } else { Image::base_of(suite) })
}

fn machine(cluster: &str, name: &str) -> Result<MachineDir> {
    let dir = Store::open()?.cluster(cluster).machine(name);
    ensure!(dir.path().exists(), "there is no machine {name} in the cluster {cluster}; `machines list` shows all");
    Ok(dir)
}

fn up(cluster: &str, names: &[String], image: &Image) -> Result<()> {
    let cluster = Cluster::persistent(cluster)?;
    for machine in cluster.take_up(names, image)? {
        println!("{} {}", machine.name(), machine.ip());
    }
    Ok(())
}

/// Becomes the command, so that the terminal, signals and the exit status are its own.
fn exec(dir: &MachineDir, args: &[OsString]) -> Result<()> {
    let mut command = enter(dir.live_leader()?);
    if let (true, Ok(term)) = (std::io::stdin().is_terminal(), std::env::var("TERM")) {
        command.arg(format!("TERM={term}"));
    }
    Err(command.args(args).exec()).context("failed to run nsenter")
}

fn copy(dir: &MachineDir, source: &Path, destination: &str) -> Result<()> {
    let mut destination = destination.to_owned();
    if destination.ends_with('/') {
        let name = source.file_name().and_then(|n| n.to_str()).context("the source has no name")?;
        destination.push_str(name);
    }
    e2e::copy_in(dir.live_leader()?, source, &destination, COPY_TIMEOUT)
}

fn net(cluster: &str, command: &[OsString]) -> Result<()> {
    let dir = Store::open()?.cluster(cluster);
    let netns = dir.netns();
    ensure!(netns.exists(), "there is no cluster {cluster}; `machines up NAME` makes one");
    helper::enter_netns(dir.path(), &netns, command)
}

fn list() -> Result<()> {
    println!("{:<36} {:<12} {:<12} STATE", "CLUSTER", "MACHINE", "ADDRESS");
    for cluster in Store::open()?.all_clusters()? {
        for machine in cluster.machines()? {
            // A machine that is just being made has no description yet.
            let Ok(spec) = machine.spec() else { continue };
            println!("{:<36} {:<12} {:<12} {}", cluster.id(), machine.name(), spec.ip().to_string(), machine.phase());
        }
    }
    Ok(())
}

fn remove(cluster: &str, names: &[String], all: bool) -> Result<()> {
    ensure!(all || !names.is_empty(), "name the machines to remove, or say --all");
    let store = Store::open()?;
    let _lock = store.lock()?;
    let dir = store.cluster(cluster);
    if all {
        let clean = !dir.path().exists() || dir.persistent_mark().exists();
        ensure!(clean, "the cluster {cluster} belongs to a running test, which removes it itself");
        return helper::remove_cluster(&dir);
    }
    names.iter().try_for_each(|name| helper::remove_machine(&machine(cluster, name)?))
}

fn build(image: &Image, rebuild: bool) -> Result<()> {
    doctor::require(&doctor::problems())?;
    if rebuild {
        image.forget()?;
    }
    println!("{}", image.ensure()?.display());
    Ok(())
}

fn diagnose() -> Result<ExitCode> {
    let mut problems = doctor::problems();
    problems.extend(doctor::build_problems());
    doctor::require(&problems)?;
    println!("this host has what it takes; machines will be made of Debian {}", default_suite()?);
    Ok(ExitCode::SUCCESS)
}

fn collect() -> Result<()> {
    let store = Store::open()?;
    let _lock = store.lock()?;
    helper::collect_garbage(&store)?.iter().for_each(|id| println!("removed {id}"));
    Ok(())
}
