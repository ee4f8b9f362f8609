//! Writes `packaging/hot.ld`: which code the linker is to keep together, because the running agent uses it.
//!
//! `order BINARY TRACE BASE` (`make order`) takes a binary with its symbols, the list of the code that was executed as
//! `qemu-x86_64 -d in_asm` writes it, and the address that the binary was loaded at; it prints the linker script.
//!
//! Symbols (mangled as v0 does, see `.cargo/config.toml`) carry hashes that each build may change, and a next version has
//! other functions in the same modules. So hashes are left open, and what begins alike (`_RNvMs_NtNtCs*_5tokio7runtime4`)
//! is named at once where most of its code is used.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

/// What begins alike is named at once if at least this part of its code is used.
const MOST: f64 = 0.95;

const HEAD: &str = "/* Keeps the code that `swarm-agent run` uses together, in front of the rest (the discovery server with its store, the
   operator's commands, TLS, ...). The kernel maps what lies around each page that is touched, so that code in between
   counts as the agent's memory. Made by `make order` from a run of the agent over plain HTTP; a name that matches nothing
   does no harm, and code that is not named costs as much as lies around it. */
SECTIONS
{
  .text.hot : {
    *crt1.o(.text .text.*)
    /* ring's hash, of which the id of the node is made, has no sections for its functions */
    *:*sha256-*-elf.o(.text)
";
const FOOT: &str = "  }
}
INSERT AFTER .fini;

/* tables that only a handshake of TLS looks into */
SECTIONS
{
  .rodata.cold : {
    *(.rodata.*nistz256_precomputed .rodata.*k25519Precomp)
  }
}
INSERT AFTER .rodata;
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let script = match &arguments[..] {
        [binary, trace, base] => script(binary, trace, base),
        _ => Err(anyhow::anyhow!("usage: order BINARY TRACE BASE")),
    };
    match script {
        Ok(script) => {
            print!("{script}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("order: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn script(binary: &str, trace: &str, base: &str) -> Result<String> {
    let base = u64::from_str_radix(base.trim_start_matches("0x"), 16).context("BASE is no hexadecimal number")?;
    let functions = functions(binary)?;
    let used = used(&fs::read_to_string(trace).context(trace.to_owned())?, base);
    let (mut root, mut others) = (Path::default(), BTreeSet::new());
    for function in &functions {
        let size = function.end - function.start;
        let hot = used.range(function.start..function.end).next().is_some();
        if function.name.starts_with("_R") {
            root.add(&parts(&function.name), size, if hot { size } else { 0 });
        } else if hot {
            others.insert(function.name.clone());
        }
    }
    if root.used == 0 {
        bail!("nothing of {binary} is in the trace: is {base:#x} where it was loaded?");
    }
    let mut names = Vec::new();
    root.name(String::new(), &mut names);
    let mut script = HEAD.to_owned();
    for name in &others {
        writeln!(script, "    *(.text.{name} .text.*.{name})")?;
    }
    for name in &names {
        writeln!(script, "    *(.text.*{name})")?;
    }
    script.push_str(FOOT);
    eprintln!("{} of {} bytes of code are used; {} names", root.used, root.all, names.len());
    Ok(script)
}

struct Function {
    start: u64,
    end: u64,
    name: String,
}

/// As `nm` knows them.
fn functions(binary: &str) -> Result<Vec<Function>> {
    let output = Command::new("nm").args(["--print-size", "--defined-only", binary]).output().context("nm")?;
    if !output.status.success() {
        bail!("nm {binary}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let function = |line: &str| {
        let mut words = line.split_whitespace();
        let start = u64::from_str_radix(words.next()?, 16).ok()?;
        let size = u64::from_str_radix(words.next()?, 16).ok()?;
        let code = matches!(words.next()?, "t" | "T" | "w" | "W");
        let name = words.next()?.to_owned();
        code.then_some(Function { start, end: start + size, name })
    };
    let functions: Vec<_> = text.lines().filter_map(function).collect();
    if functions.is_empty() { bail!("{binary} has no symbols: was it stripped?") } else { Ok(functions) }
}

/// The addresses of what was executed.
fn used(trace: &str, base: u64) -> BTreeSet<u64> {
    let address = |line: &str| u64::from_str_radix(line.strip_prefix("0x")?.split_once(':')?.0, 16).ok();
    trace.lines().filter_map(address).filter_map(|address| address.checked_sub(base)).collect()
}

/// The parts of a symbol, each with the name that it ends with: `_RNvMNtCs*_4core`, `4time`, `NtB*_8Duration`. What the
/// optimiser put behind it is left out.
fn parts(symbol: &str) -> Vec<String> {
    let name = symbol.split(['.', '@']).next().unwrap_or(symbol);
    let mut parts = vec![String::new()];
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let open = ["Cs", "B"].into_iter().find_map(|tag| {
            let hash = rest.strip_prefix(tag)?;
            let end = hash.find(|c: char| !c.is_ascii_alphanumeric()).filter(|end| hash[*end..].starts_with('_'))?;
            Some((tag, tag.len() + end))
        });
        let (part, length) = match (open, rest[..digits].parse::<usize>()) {
            (_, Ok(length)) if rest.is_char_boundary(digits + length) => {
                (rest[..digits + length].to_owned(), digits + length)
            }
            (Some((tag, length)), _) => (format!("{tag}*"), length),
            _ => (first.to_string(), first.len_utf8()),
        };
        rest = &rest[length..];
        let ends = part.len() > 1 && digits > 0;
        parts.last_mut().expect("one at least").push_str(&part);
        if ends {
            parts.push(String::new());
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// Code below one path of names.
#[derive(Default)]
struct Path {
    all: u64,
    used: u64,
    below: BTreeMap<String, Path>,
}

impl Path {
    fn add(&mut self, parts: &[String], all: u64, used: u64) {
        self.all += all;
        self.used += used;
        if let Some((first, rest)) = parts.split_first() {
            self.below.entry(first.clone()).or_default().add(rest, all, used);
        }
    }

    fn name(&self, prefix: String, names: &mut Vec<String>) {
        let most = self.used as f64 >= MOST * self.all as f64;
        if self.used == 0 {
        } else if !prefix.is_empty() && (most || self.below.is_empty()) {
            names.push(format!("{prefix}*"));
        } else {
            self.below.iter().for_each(|(part, path)| path.name(format!("{prefix}{part}"), names));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_has_its_parts_and_no_hash() {
        assert_eq!(
            parts("_RNvNtCs4X4t9plMPHF_5alloc5boxed14box_new_uninit.899"),
            ["_RNvNtCs*_5alloc", "5boxed", "14box_new_uninit"]
        );
        assert_eq!(
            parts("_RNvMNtCsgEmfK2I1SDS_4core4timeNtB2_8Duration3newB1v_"),
            ["_RNvMNtCs*_4core", "4time", "NtB*_8Duration", "3new", "B*_"]
        );
    }

    #[test]
    fn a_path_is_named_where_most_of_it_is_used() {
        let mut root = Path::default();
        for (parts, all, used) in [
            (["a", "b", "c"], 95, 95),
            (["a", "b", "d"], 5, 0),
            (["a", "e", "f"], 10, 10),
            (["a", "e", "g"], 90, 0),
            (["a", "h", "i"], 50, 0),
        ] {
            root.add(&parts.map(str::to_owned), all, used);
        }
        let mut names = Vec::new();
        root.name(String::new(), &mut names);
        assert_eq!(names, ["ab*", "aef*"]);
    }
}
