//! Failures that were logged and have not ended since.

use redis::RedisResult;

use crate::{error_log, link};

/// What fails at the moment.
#[derive(Default)]
pub(super) struct Failing(Vec<&'static str>);

impl Failing {
    /// Logs an error reply of Redis, once until the command succeeds again. An error
    /// by which Redis is away is the connection's to log.
    ///
    /// # Errors
    /// The error of a connection that is of no use any more.
    pub(super) fn tolerate(
        &mut self,
        what: &'static str,
        result: RedisResult<()>,
    ) -> RedisResult<()> {
        match result {
            Ok(()) => self.0.retain(|failing| *failing != what),
            Err(error) if link::is_lost(&error) => return Err(error),
            Err(error) if link::judge(&error) => {}
            Err(error) if !self.0.contains(&what) => {
                error_log::warn(&format!("{what}: {}", link::text_of(&error)));
                self.0.push(what);
            }
            Err(_) => {}
        }
        Ok(())
    }
}
