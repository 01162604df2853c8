//! The lock under which the document of the day is assembled.

use super::Call;

scripts! {
    UNLOCK = "day/unlock.lua";
}

/// Releases a lock that was set to `token`; `false` if it is somebody else's by now.
#[must_use]
pub fn unlock(lock: &str, token: &str) -> Call<bool> {
    Call::new(&UNLOCK, 1).arg(lock).arg(token)
}
