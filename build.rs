//! What the linker is told in release builds, where it pays: the order of the code (packaging/hot.ld), and to take the
//! unwinder, which only a panic's backtrace uses, from its archive: a library of its own costs each process 0.1 MiB.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=packaging/hot.ld");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    if is("PROFILE", "release") && is("CARGO_CFG_TARGET_OS", "linux") {
        let folder = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{folder}/packaging/hot.ld");
        if !env::var("CARGO_ENCODED_RUSTFLAGS").is_ok_and(|flags| flags.contains("symbol-mangling-version=v0")) {
            println!(
                "cargo::warning=packaging/hot.ld names v0 symbols, and RUSTFLAGS replaces .cargo/config.toml: the agent \
                 will take 2 MiB more; add -Csymbol-mangling-version=v0"
            );
        }
        if is("CARGO_CFG_TARGET_ENV", "gnu") {
            println!("cargo::rustc-link-lib=static:+whole-archive,-bundle=gcc_eh");
        }
    }
}
