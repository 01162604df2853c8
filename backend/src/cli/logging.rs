//! Log format and level. Lines go to standard error, so that what a command
//! prints can be piped on.

use std::io::{self, IsTerminal as _, Write};

use tracing_subscriber::EnvFilter;

use crate::config::{Config, LogFormat};

/// Starts logging as configured. Called once, before anything is logged; a
/// second call changes nothing.
pub(super) fn start(config: &Config) {
    let filter = EnvFilter::try_new(&config.log).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| ErrorOutput)
        // It would print to the same place, and panic there.
        .log_internal_errors(false);
    // An error means that logging runs already.
    let _ = match config.log_format {
        LogFormat::Human => lines
            .with_target(false)
            .with_ansi(io::stderr().is_terminal())
            .compact()
            .try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
}

/// Standard error, on which nothing depends: a line whose reader is gone (`tee`, `head`, a
/// closed terminal), or for which the disk has no room, is lost, and the shop goes on.
struct ErrorOutput;

impl Write for ErrorOutput {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let _ = io::stderr().write_all(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
