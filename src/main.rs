//! The `accesspoint` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    accesspoint::cli::run()
}
