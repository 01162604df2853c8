//! The shop's own inventory, for the roles and the commands that use it.

use std::sync::Arc;
use std::time::Duration;

use super::running::Running;
use super::{Parts, Role, RoleError, read_keyring};
use crate::config::Config;
use crate::sale::inventory::HttpInventory;
use crate::sale::inventory::holds::{self, Sweep};
use crate::store::Store;

/// How long after a round's end an order message may still be on its way.
const ON_ITS_WAY: Duration = Duration::from_secs(600);

/// The inventory, if one is set up.
///
/// # Errors
/// [`RoleError::Notify`]: its keys or this machine's certificates cannot be read.
pub(crate) fn inventory(config: &Config) -> Result<Option<HttpInventory>, RoleError> {
    let Some(url) = &config.inventory_url else {
        return Ok(None);
    };
    let keys = read_keyring(&config.inventory_keys).map_err(|error| match error {
        RoleError::NoKeys { path, source } => RoleError::Notify(format!(
            "inventory_url is set, but its keys {} cannot be read: {source}; write one line \
             \"kid secret\" that the inventory has too, and see inventory_keys",
            path.display()
        )),
        other => other,
    })?;
    let inventory = HttpInventory::new(&url.to_string(), Arc::new(keys)).map_err(|error| {
        RoleError::Notify(format!("inventory_url needs this machine's certificates, which cannot be read: {error}; install ca-certificates, or name a file with authorities to trust in SSL_CERT_FILE"))
    })?;
    Ok(Some(inventory))
}

/// Starts returning what is unsold, in the orders role.
///
/// # Errors
/// See [`inventory`].
pub(super) fn start(
    parts: &Parts<'_>,
    store: &Store,
    running: &mut Running,
) -> Result<(), RoleError> {
    let config = parts.config;
    let Some(inventory) = inventory(config)? else {
        return Ok(());
    };
    let (store, inventory) = (store.clone(), Arc::new(inventory));
    let wait_s = config.pay_within + config.pay_grace + ON_ITS_WAY.as_secs();
    let sweep = Sweep {
        after_end_ms: wait_s * 1000,
        refund_stock: config.refund_stock,
    };
    running.spawn(Role::Orders, move |stop| {
        holds::run(store.clone(), Arc::clone(&inventory), sweep, stop)
    });
    Ok(())
}
