//! Log lines: what is written, and how.
//!
//! They go to standard error, one line each; standard output is for data alone.

use std::ffi::OsStr;
use std::io::{self, IsTerminal};

use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::EnvFilter;

/// The variable that chooses what is logged, for example `info,accesspoint::request=debug`.
pub const FILTER_VARIABLE: &str = "ACCESSPOINT_LOG";

/// What the gateway logs where the variable is not set.
pub const SERVING: &str = "info,hyper=error,tower_sessions=warn";
/// What a single command logs where the variable is not set: it tells its errors itself.
pub const COMMAND: &str = "error";

/// The variable does not hold a filter.
#[derive(Debug, thiserror::Error)]
#[error("{FILTER_VARIABLE} is no filter such as \"info,accesspoint::request=debug\"")]
pub struct BadFilter;

/// Starts to write log lines; a second call changes nothing. They are written beside the work, and
/// where nobody takes them they are lost rather than waited for. What is answered writes the last ones
/// when it is dropped.
///
/// # Errors
///
/// The variable is set and cannot be understood.
pub fn start(filter_default: &str) -> Result<WorkerGuard, BadFilter> {
    let variable = std::env::var_os(FILTER_VARIABLE);
    let filter = filter(variable.as_deref(), filter_default)?;
    let (writer, written) = tracing_appender::non_blocking(io::stderr());
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false);
    // Another start in the same process, as tests make them, keeps the first.
    drop(lines.try_init());
    Ok(written)
}

fn filter(variable: Option<&OsStr>, filter_default: &str) -> Result<EnvFilter, BadFilter> {
    let text = match variable {
        None => filter_default,
        Some(text) if text.is_empty() => filter_default,
        Some(text) => text.to_str().ok_or(BadFilter)?,
    };
    EnvFilter::try_new(text).map_err(|_| BadFilter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_goes_before_the_default() {
        let text = |variable: Option<&str>| {
            let filter = filter(variable.map(OsStr::new), SERVING);
            filter.map(|filter| filter.to_string()).ok()
        };
        assert!(text(None).unwrap().contains("hyper=error"));
        assert_eq!(text(Some("")), text(None));
        assert_eq!(text(Some("debug")).unwrap(), "debug");
        assert_eq!(text(Some("info,accesspoint=loudly")), None);
    }
}
