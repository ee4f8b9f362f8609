//! This host: who it is, and a folder of it that can be changed without a trace.

pub mod affinity;
pub mod overlay;
pub mod processes;

use crate::model::HostIdentity;
use ring::hmac;
use std::fs;
use std::io;

/// What makes the node's id another one than that of other programs: random, made for swarm-agent once.
const APPLICATION: [u8; 16] =
    [0x6b, 0x1f, 0x0e, 0x52, 0x9a, 0xc4, 0x4d, 0x3f, 0x8e, 0x27, 0x51, 0xd0, 0x7c, 0x93, 0xb6, 0x18];

const MACHINE: &str = "/etc/machine-id";
const BOOT: &str = "/proc/sys/kernel/random/boot_id";
const PROCESSES: &str = "/proc/self/ns/pid";
/// What that is outside of all containers; part of the kernel's interface (`linux/nsfs.h`).
const ALL_PROCESSES: &str = "pid:[4026531836]";

/// Fails on a machine that has no id yet, or whose id can't be read.
pub fn identity() -> io::Result<HostIdentity> {
    let machine = fs::read_to_string(MACHINE)?;
    let boot = fs::read_to_string(BOOT)?;
    let processes = fs::read_link(PROCESSES)?;
    let node = node_id(machine.trim()).ok_or_else(|| io::Error::other(format!("{MACHINE} holds no machine id")))?;
    Ok(HostIdentity { node, boot: boot_id(boot.trim(), &processes.to_string_lossy()) })
}

/// The kernel's, which a container shares with its host and with all others there: in one, together with its processes'
/// namespace, that lives as long as its PID 1.
fn boot_id(kernel: &str, processes: &str) -> String {
    if processes == ALL_PROCESSES {
        return kernel.replace('-', "");
    }
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, kernel.as_bytes()), processes.as_bytes());
    tag.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// As `sd_id128_get_machine_app_specific` has it: the machine's id is a secret of the machine, a keyed hash of it is not.
fn node_id(machine: &str) -> Option<String> {
    let digits = machine.len() == 32 && machine.bytes().all(|b| b.is_ascii_hexdigit());
    let bytes = digits.then(|| u128::from_str_radix(machine, 16).ok()).flatten()?.to_be_bytes();
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &bytes), &APPLICATION);
    let mut id = [0; 16];
    id.copy_from_slice(tag.as_ref().get(..16)?);
    // marked as a random UUID, as systemd does
    id[6] = (id[6] & 0x0f) | 0x40;
    id[8] = (id[8] & 0x3f) | 0x80;
    Some(format!("{:032x}", u128::from_be_bytes(id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_id_is_steady_and_tells_nothing_of_the_machine_id() {
        let machine = "0123456789abcdef0123456789abcdef";
        let id = node_id(machine).expect("an id");
        assert_eq!(node_id(machine).as_ref(), Some(&id));
        assert_ne!(node_id("0123456789abcdef0123456789abcdee").as_ref(), Some(&id));
        assert_eq!((id.len(), id.contains("0123")), (32, false));
        assert_eq!(&id[12..13], "4");
    }

    #[test]
    fn containers_of_one_host_have_boots_of_their_own() {
        let kernel = "fec1cfd7-6901-4ee6-9bba-19f25da07125";
        assert_eq!(boot_id(kernel, ALL_PROCESSES), "fec1cfd769014ee69bba19f25da07125");
        let one = boot_id(kernel, "pid:[4026532201]");
        assert_eq!((one.len(), &one), (32, &boot_id(kernel, "pid:[4026532201]")));
        assert_ne!(one, boot_id(kernel, "pid:[4026532202]"));
        assert_ne!(one, boot_id("0aae52f3-b200-427e-8e16-f73d5405c220", "pid:[4026532201]"));
    }

    #[test]
    fn a_machine_without_an_id_has_no_identity() {
        for text in ["", "uninitialized", "0123456789abcdef", "0123456789abcdef0123456789abcdeg"] {
            assert_eq!(node_id(text), None, "{text}");
        }
    }
}
