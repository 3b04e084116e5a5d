//! The `fba` command. Everything is in the library, so that tests and examples use the same code.

use std::process::ExitCode;

fn main() -> ExitCode {
    fba_server::cli::main()
}
