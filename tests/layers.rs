//! The folders under src/ are layers: a file imports only from layers above its own, or from its own folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Folder and layer, the topmost first. Folders of one layer don't import each other.
const LAYERS: &[(&str, u8)] = &[
    ("model", 0),
    ("policy", 1),
    ("tls", 1),
    ("config", 1),
    ("discovery", 2),
    ("engine", 2),
    ("network", 2),
    ("systemd", 2),
    ("telemetry", 2),
    ("state", 2),
    ("http", 2),
    ("service", 3),
    ("discovery_server", 3),
    ("cluster", 3),
    ("agent", 4),
    ("cli", 5),
];

fn layer(folder: &str) -> Option<u8> {
    LAYERS.iter().find(|(name, _)| *name == folder).map(|(_, layer)| *layer)
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The top-level folders that a file names as `crate::FOLDER`, also in `use crate::{a, b}`.
fn imports(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for (at, _) in code.match_indices("crate::") {
            if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let rest = &code[at + "crate::".len()..];
            assert!(!rest.starts_with('{'), "line {}: write one `use crate::folder::…` per folder", number + 1);
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            found.push((number + 1, name));
        }
    }
    found
}

#[test]
fn no_file_imports_upwards() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    let mut wrong = Vec::new();
    let mut seen = BTreeMap::new();
    for file in files {
        let inside = file.strip_prefix(&src).unwrap();
        let folder = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
        if inside.components().count() == 1 {
            continue;
        }
        let own = layer(&folder).unwrap_or_else(|| panic!("src/{folder} has no layer: add it to LAYERS and design"));
        for (line, import) in imports(&fs::read_to_string(&file).unwrap()) {
            let Some(other) = layer(&import) else {
                panic!("{}:{line}: crate::{import} is no folder with a layer", inside.display());
            };
            *seen.entry(folder.clone()).or_insert(0) += 1;
            if import != folder && other >= own {
                wrong.push(format!(
                    "src/{}:{line}: {folder} (layer {own}) imports {import} (layer {other})",
                    inside.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen.contains_key("service") && seen.contains_key("agent"), "nothing was read: {seen:?}");
}

/// What the journal gets at level info and above is an event, with a MESSAGE_ID and a text in the catalog.
#[test]
fn whoever_has_something_to_say_emits_an_event() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    let (mut wrong, mut debugging) = (Vec::new(), 0);
    for file in files {
        let inside = file.strip_prefix(&src).unwrap().display().to_string();
        if inside.starts_with("telemetry/") || inside.ends_with("/tests.rs") || inside.contains("/tests/") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        for (number, line) in text.split("#[cfg(test)]").next().unwrap_or_default().lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            debugging += code.matches("debug!(").count();
            let loud = ["info!(", "warn!(", "error!(", "tracing::event!("].iter().any(|name| code.contains(name));
            if loud && !code.contains("compile_error!(") {
                wrong.push(format!("src/{inside}:{}: {}", number + 1, code.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "make it an event of src/telemetry/events:\n{}", wrong.join("\n"));
    assert!(debugging > 0, "nothing was read");
}

/// The runtime's clock can be paused in tests; the standard one can't. Printing belongs to the command line.
#[test]
fn tasks_use_the_runtimes_clock_and_only_the_command_line_prints() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    let mut wrong = Vec::new();
    for file in files {
        let inside = file.strip_prefix(&src).unwrap().display().to_string();
        if inside.ends_with("/tests.rs") || inside.contains("/tests/") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let production = text.split("#[cfg(test)]").next().unwrap_or_default();
        let timed = ["agent/", "service/", "policy/", "discovery/", "engine/", "systemd/"];
        for (number, line) in production.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let clock = timed.iter().any(|folder| inside.starts_with(folder)) && code.contains("std::time::Instant");
            let print =
                !inside.starts_with("cli/") && ["println!(", "eprintln!(", "print!("].iter().any(|p| code.contains(p));
            let sleep = code.contains("thread::sleep");
            let exit = code.contains("process::exit");
            if clock || print || sleep || exit {
                wrong.push(format!("src/{inside}:{}: {}", number + 1, code.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
