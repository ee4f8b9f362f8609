use std::process::ExitCode;

fn main() -> ExitCode {
    swarm_agent::cli::main()
}
