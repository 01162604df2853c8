//! Other sites that sell the same rounds: a part of the relay role.

use std::sync::Arc;

use super::running::Running;
use super::{Parts, Role, RoleError, read_keyring};
use crate::stock::sites::{Sites, api, watch};

/// Listens for the other sites, and moves items; does nothing if this site sells alone.
///
/// # Errors
/// [`RoleError`]: the shared keys cannot be read, or the address is taken.
pub(super) fn start(parts: &Parts<'_>, running: &mut Running) -> Result<(), RoleError> {
    let Some(settings) = &parts.config.site else {
        return Ok(());
    };
    let keys = read_keyring(&settings.keys).map_err(|error| match error {
        RoleError::NoKeys { path, source } => RoleError::Sites(format!(
            "site is set, but its keys {} cannot be read: {source}; write one line \"kid secret\", \
             the same at every site, and see site_keys",
            path.display()
        )),
        other => other,
    })?;
    let own = (
        parts.redis.clone(),
        parts.segments.clone(),
        parts.store.clone(),
    );
    let sites = Sites::new(settings.clone(), Arc::new(keys), own).map_err(|error| {
        RoleError::Sites(format!(
            "site_peers needs this machine's certificates, which cannot be read: {error}; install \
             ca-certificates, or name a file with authorities to trust in SSL_CERT_FILE"
        ))
    })?;
    let sites = Arc::new(sites);
    let watched = Arc::clone(&sites);
    running.spawn(Role::Relay, move |stop| {
        watch::run(Arc::clone(&watched), stop)
    });
    running.serve(Role::Relay, &settings.listen, api::router(sites), None)
}
