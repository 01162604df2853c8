//! The payment providers that are set up, for the roles and the commands that use them.

use std::io;
use std::sync::Arc;

use seckill_core::signing::keyring::Keyring;

use super::{RoleError, read_keyring};
use crate::config::Config;
use crate::orders::payments::Payments;

/// The payment providers that are set up.
///
/// # Errors
/// The key ring or the settings of a provider are wrong.
pub(crate) fn payments(config: &Config) -> Result<Payments, RoleError> {
    let keys = payment_keys(config)?;
    let site = config.targets.site.as_deref();
    Ok(Payments::open(
        &config.payments,
        config.currency,
        keys,
        site,
    )?)
}

/// The keys shared with the payment provider; `None` for a shop without one.
fn payment_keys(config: &Config) -> Result<Option<Arc<Keyring>>, RoleError> {
    match read_keyring(&config.payment_keys) {
        Ok(keys) => Ok(Some(Arc::new(keys))),
        Err(RoleError::NoKeys { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            tracing::info!("no payment keys: a payment provider's notices are refused");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
