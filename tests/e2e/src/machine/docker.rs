//! Docker in it.

use anyhow::{Context, Result};

use super::Machine;

impl Machine {
    /// Makes the image `busybox` out of the static busybox of the machine, without any registry.
    pub fn docker_import_busybox(&self) -> Result<()> {
        let script = "
            d=$(mktemp -d)
            mkdir -p $d/bin $d/tmp
            cp /bin/busybox $d/bin/
            for name in $($d/bin/busybox --list); do [ $name = busybox ] || ln -s busybox $d/bin/$name; done
            tar -C $d -c . | docker import - busybox
            rm -rf $d";
        self.sh(script).map(drop).context("failed to import busybox into docker")
    }

    /// Starts a container that does nothing and ends at SIGTERM at once: one that ignores it makes every stop of Docker
    /// and of the machine slow. Answers with its ID.
    pub fn docker_run_idle(&self, name: &str, more: &[&str]) -> Result<String> {
        let mut args = vec!["docker", "run", "--detach", "--name", name];
        args.extend(more);
        args.extend(["busybox", "sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"]);
        self.ok(args).map(|id| id.trim().to_owned())
    }
}
