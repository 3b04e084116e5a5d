//! The `fba` command, built inside this package so that process tests find it with `CARGO_BIN_EXE_…`.

use std::process::ExitCode;

fn main() -> ExitCode {
    fba_server::cli::main()
}
