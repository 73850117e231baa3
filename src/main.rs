//! The `serin` binary, also installed as `kubectl-serin`.

use std::process::ExitCode;

fn main() -> ExitCode {
    serin::cli::run(std::env::args_os())
}
