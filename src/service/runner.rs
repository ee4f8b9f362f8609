//! Runs a command for each change of a list, which it finds on its stdin: one run at a time, and one more with the newest
//! list for all that changed meanwhile.

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::future::pending;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

/// How long a run may take to end by itself when it is to end.
const GRACE: Duration = Duration::from_secs(10);

pub struct Runner {
    program: OsString,
    args: Vec<OsString>,
    output: Output,
    /// The list of the next run.
    next: Option<Arc<str>>,
    running: Option<Running>,
}

/// Where what the command prints goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Where ours goes.
    Ours,
    /// To our stderr: our stdout is for a program.
    Stderr,
}

struct Running {
    child: Child,
    /// A command need not read its list: neither its end nor ours waits for that.
    _feeding: Option<AbortOnDropHandle<()>>,
}

impl Runner {
    pub fn new(program: OsString, args: Vec<OsString>, output: Output) -> Self {
        Self { program, args, output, next: None, running: None }
    }

    /// There is to be a run with this list, in place of one that is due and has not begun.
    pub fn changed(&mut self, list: Arc<str>) {
        self.next = Some(list);
    }

    /// Waits for the end of the run that goes on or is due; for ever if there is none. The error is of a command that
    /// can't be run. Cancel-safe: a run goes on, and the next call waits for its end.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        if self.running.is_none() {
            let Some(list) = self.next.take() else { return pending().await };
            self.running = Some(self.start(list)?);
        }
        let Some(running) = &mut self.running else { return pending().await };
        let status = running.child.wait().await;
        self.running = None;
        status
    }

    /// Ends the run that goes on, and everything it started that has not left its process group.
    pub async fn end(&mut self) {
        self.next = None;
        let Some(Running { mut child, .. }) = self.running.take() else { return };
        send(&child, Signal::SIGTERM);
        if timeout(GRACE, child.wait()).await.is_err() {
            send(&child, Signal::SIGKILL);
            // killed, so it ends; its status says nothing that is not known
            let _ = child.wait().await;
        }
    }

    fn start(&self, list: Arc<str>) -> io::Result<Running> {
        let mut command = Command::new(&self.program);
        command.args(&self.args).stdin(Stdio::piped()).process_group(0).kill_on_drop(true);
        if self.output == Output::Stderr {
            command.stdout(io::stderr());
        }
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", self.program.display()));
        let mut child = command.spawn().map_err(named)?;
        let feeding = child.stdin.take().map(|mut stdin| {
            AbortOnDropHandle::new(tokio::spawn(async move {
                // a command that has read enough is no failure
                let _ = stdin.write_all(list.as_bytes()).await;
            }))
        });
        Ok(Running { child, _feeding: feeding })
    }
}

/// To the whole group: a shell does not pass signals on.
fn send(child: &Child, signal: Signal) {
    if let Some(id) = child.id().and_then(|id| i32::try_from(id).ok()) {
        // one that has ended meanwhile needs no signal
        let _ = killpg(Pid::from_raw(id), signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error;
    use std::fs;
    use std::path::Path;

    /// A shell script in a folder.
    fn script(folder: &Path, text: &str) -> Runner {
        let args = ["-c", &format!("cd '{}'; {text}", folder.display())].map(OsString::from);
        Runner::new("sh".into(), args.to_vec(), Output::Ours)
    }

    fn list(text: &str) -> Arc<str> {
        Arc::from(text)
    }

    async fn until(there: impl Fn() -> bool) {
        for _ in 0..6000 {
            if there() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it does not happen");
    }

    #[tokio::test]
    async fn what_changes_during_a_run_is_one_more_run_with_the_newest_list() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let mut runner = script(folder.path(), "cat >> runs; echo . >> runs; until [ -e go ]; do sleep 0.01; done");
        runner.changed(list("a\n"));
        let runs = || fs::read_to_string(folder.path().join("runs")).unwrap_or_default();
        tokio::select! {
            _ = runner.ended() => panic!("it waits"),
            () = until(|| runs() == "a\n.\n") => {}
        }
        runner.changed(list("b\n"));
        runner.changed(list("c\n"));
        fs::write(folder.path().join("go"), "")?;
        assert!(runner.ended().await?.success() && runner.ended().await?.success());
        assert_eq!(runs(), "a\n.\nc\n.\n");
        assert!(timeout(Duration::from_millis(50), runner.ended()).await.is_err(), "nothing is due");
        Ok(())
    }

    #[tokio::test]
    async fn a_command_that_reads_nothing_or_can_not_be_run_is_no_trouble() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        // more than a pipe holds; and one that leaves somebody with the pipe behind
        let long = list(&"a:1\n".repeat(100_000));
        for text in ["exit 3", "sleep 60 & exit 3"] {
            let mut runner = script(folder.path(), text);
            runner.changed(Arc::clone(&long));
            assert_eq!(runner.ended().await?.code(), Some(3), "{text}");
        }
        let mut runner = Runner::new("/nowhere/command".into(), Vec::new(), Output::Stderr);
        runner.changed(long);
        assert!(runner.ended().await.is_err_and(|error| error.kind() == io::ErrorKind::NotFound));
        assert!(timeout(Duration::from_millis(50), runner.ended()).await.is_err(), "said once");
        Ok(())
    }

    #[tokio::test]
    async fn an_end_ends_the_run_and_its_children() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        // the child says itself that it is there: a shell that was just forked may still swallow a signal
        let child = "sh -c 'echo $$ > child; exec sleep 60' &";
        let mut runner = script(folder.path(), &format!("trap 'echo bye > said; exit' TERM; {child} wait"));
        runner.changed(list(""));
        let child = || fs::read_to_string(folder.path().join("child")).unwrap_or_default();
        tokio::select! {
            _ = runner.ended() => panic!("it waits"),
            () = until(|| child().ends_with('\n')) => {}
        }
        runner.changed(list("never"));
        runner.end().await;
        assert_eq!(fs::read_to_string(folder.path().join("said"))?, "bye\n", "it was waited for");
        let ended = || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", child().trim())).unwrap_or_default();
            // gone, or dead and not collected by whoever is its parent now
            stat.is_empty() || stat.contains(") Z ")
        };
        until(ended).await;
        Ok(())
    }
}
