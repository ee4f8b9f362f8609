//! The network of a cluster: one namespace with a bridge, and one per machine, joined by a veth pair each. Nothing here
//! touches the host's own network, so the addresses can be the same in every cluster.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::process::host_tool;

const NETNS_FOLDER: &str = "/run/netns";
/// Cluster and machine follow, with a dot between; neither holds one.
const PREFIX: &str = "swe2e.";

/// The address of the bridge, which is also where host processes in the cluster's namespace can be reached.
pub const BRIDGE_IP: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 254);

pub fn machine_ip(index: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 99, 0, index)
}

/// The namespace of a cluster's bridge.
pub fn bridge_netns(cluster: &str) -> String {
    format!("{PREFIX}{cluster}")
}

pub fn machine_netns(cluster: &str, machine: &str) -> String {
    format!("{PREFIX}{cluster}.{machine}")
}

pub fn netns_path(name: &str) -> PathBuf {
    Path::new(NETNS_FOLDER).join(name)
}

fn port(index: u8) -> String {
    format!("port{index}")
}

/// Makes the bridge's namespace, unless it is there.
pub fn create_bridge(cluster: &str) -> Result<()> {
    let ns = bridge_netns(cluster);
    if netns_path(&ns).exists() {
        return Ok(());
    }
    host_tool("ip", &["netns", "add", &ns])?;
    ip(&ns, "link set lo up")?;
    ip(&ns, "link add br0 type bridge")?;
    ip(&ns, &format!("addr add {BRIDGE_IP}/24 dev br0"))?;
    ip(&ns, "link set br0 up")
}

/// Gives a machine a fresh namespace, as a boot gives a fresh kernel: what Docker left there at a power cut is gone.
/// The address of the card stays the same, as it does in a real machine.
pub fn plug_in(cluster: &str, machine: &str, index: u8, connected: bool) -> Result<()> {
    let (bridge, own, port) = (bridge_netns(cluster), machine_netns(cluster, machine), port(index));
    // The namespace goes away in the background, the port must be gone now.
    let _ = ip(&bridge, &format!("link del {port}"));
    if netns_path(&own).exists() {
        host_tool("ip", &["netns", "del", &own])?;
    }
    host_tool("ip", &["netns", "add", &own])?;
    ip(&own, "link set lo up")?;
    let mac = format!("02:99:00:00:00:{index:02x}");
    ip(&bridge, &format!("link add {port} type veth peer name eth0 address {mac} netns {own}"))?;
    ip(&bridge, &format!("link set {port} master br0"))?;
    set_connected(cluster, index, connected)?;
    ip(&own, &format!("addr add {}/24 dev eth0", machine_ip(index)))?;
    ip(&own, "link set eth0 up")?;
    ip(&own, &format!("route add default via {BRIDGE_IP}"))
}

/// Pulls a machine's cable, or puts it back.
pub fn set_connected(cluster: &str, index: u8, connected: bool) -> Result<()> {
    let state = if connected { "up" } else { "down" };
    ip(&bridge_netns(cluster), &format!("link set {} {state}", port(index)))
}

pub fn remove_machine(cluster: &str, machine: &str, index: u8) -> Result<()> {
    let _ = ip(&bridge_netns(cluster), &format!("link del {}", port(index)));
    remove(&machine_netns(cluster, machine))
}

/// Removes every namespace of a cluster.
pub fn remove_all(cluster: &str) -> Result<()> {
    let of_cluster = |name: &&String| name.split('.').nth(1) == Some(cluster);
    ours().iter().filter(of_cluster).try_for_each(|name| remove(name))
}

/// The clusters that have a namespace now, whichever store they belong to.
pub fn clusters() -> Vec<String> {
    let mut found: Vec<String> = ours().iter().filter_map(|n| n.split('.').nth(1)).map(str::to_owned).collect();
    found.sort();
    found.dedup();
    found
}

fn ours() -> Vec<String> {
    let entries = std::fs::read_dir(NETNS_FOLDER).into_iter().flatten().flatten();
    entries.filter_map(|e| e.file_name().into_string().ok()).filter(|n| n.starts_with(PREFIX)).collect()
}

fn remove(netns: &str) -> Result<()> {
    if netns_path(netns).exists() {
        host_tool("ip", &["netns", "del", netns])?;
    }
    Ok(())
}

fn ip(netns: &str, command: &str) -> Result<()> {
    let mut args = vec!["-n", netns];
    args.extend(command.split(' '));
    host_tool("ip", &args).map(drop)
}
