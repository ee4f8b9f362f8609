//! `make bench`: what swarm-agent costs and how quickly it is, in a booted machine with a real Docker Engine.
//!
//! Four measurements, one after the other, in the same two machines (a discovery server, a node):
//!
//! | | |
//! | --- | --- |
//! | [`starts`] | from exec to the first request, without the engine's own answer time |
//! | [`steady`] | memory, threads and CPU of the service that beats each second |
//! | [`deaths`] | from the death of the engine to the list without the node |
//! | [`stores`] | memory and CPU with etcd, Consul, ZooKeeper, and our own server over TLS |
//!
//! Other things that run on the host make every figure worse than it is. So the first two measure a *baseline* as well
//! (`tests/bench/baseline`: the same crates doing only the beat), turn by turn or at the same time, and the ratio says more
//! than the figure.
//!
//! A target that is missed is no failure: the program fails only if it could not measure.

mod clock;
mod deaths;
mod ground;
mod http;
mod plan;
mod process;
mod report;
mod starts;
mod steady;
mod stores;
mod tap;
mod targets;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use ground::Ground;
use plan::Plan;
use report::{Figures, Measured};

/// Where the figures go.
const FOLDER: &str = "target/bench";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.split_first() {
        // inside the machine
        Some((first, command)) if first == starts::EXEC => starts::exec(command),
        Some(_) => Err(anyhow::anyhow!("usage: make bench, or BENCH_SHORT=1 make bench for a quick look")),
        None => measure(&Plan::from_environment()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: could not measure: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(plan: &Plan) -> Result<()> {
    println!("{plan}");
    let ground = Ground::prepare()?;
    println!("{}", ground.about);
    let starts = starts::measure(&ground, plan)?;
    let steady = steady::measure(&ground, plan)?;
    let deaths = deaths::measure(&ground, plan)?;
    let stores = stores::measure(&ground, plan)?;
    let sizes = ground.sizes()?;
    let figures = Figures::new(plan, &ground, sizes, Measured { starts, steady, deaths, stores });
    println!("\n{figures}");
    let file = figures.write(Path::new(FOLDER))?;
    println!("the figures: {}", file.display());
    Ok(())
}
