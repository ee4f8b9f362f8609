//! `swarm-agent completion`: shell completion, made from the definitions of the commands themselves.

use super::exit::Failure;
use clap::{Command, ValueEnum};
use clap_complete::aot::{Shell, generate};

/// Print the completion of a shell
#[derive(clap::Args)]
#[command(long_about = "Print the completion of a shell.

    swarm-agent completion bash > /etc/bash_completion.d/swarm-agent
    swarm-agent completion zsh > /usr/local/share/zsh/site-functions/_swarm-agent
    swarm-agent completion fish > ~/.config/fish/completions/swarm-agent.fish")]
pub struct Completion {
    /// The shell
    #[arg(value_enum)]
    shell: KnownShell,
}

#[derive(Clone, Copy, ValueEnum)]
enum KnownShell {
    Bash,
    Zsh,
    Fish,
}

impl Completion {
    pub fn run(self, mut command: Command) -> Result<(), Failure> {
        let shell = match self.shell {
            KnownShell::Bash => Shell::Bash,
            KnownShell::Zsh => Shell::Zsh,
            KnownShell::Fish => Shell::Fish,
        };
        let mut script = Vec::new();
        generate(shell, &mut command, "swarm-agent", &mut script);
        super::print(&String::from_utf8_lossy(&script))
    }
}
