//! The purchase role: the buyer's HTTP API.

use std::io;
use std::sync::Arc;

use seckill_core::signing::keyring::Keyring;

use super::running::Running;
use super::{Parts, Role, RoleError, read_keyring};
use crate::config::Config;
use crate::redis::RedisLink;
use crate::shop::captcha::{Captcha, setup};
use crate::shop::{self, ShopState};

/// Serves the API at `purchase_listen`.
///
/// # Errors
/// A key ring or the captcha's settings are wrong, or the address is taken.
pub(super) fn start(parts: &Parts<'_>, running: &mut Running) -> Result<(), RoleError> {
    let config = parts.config;
    let keyring = Arc::new(read_keyring(&config.keys)?);
    let options = shop::Options {
        demo_login: config.demo_login,
        captcha: config.captcha.is_on(),
        remember_language: config.notify.smtp.is_some() || config.notify.webhook.is_some(),
        ..shop::Options::default()
    };
    let state = ShopState::new(
        parts.redis.clone(),
        parts.segments.clone(),
        parts.store.clone(),
        keyring,
        options,
    )
    .with_payment_keys(payment_keys(config)?)
    .with_captcha(captcha(config, &parts.redis)?);
    let router = shop::router(state);
    running.serve(Role::Purchase, &config.purchase_listen, router)
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

/// What hands out captcha passes; `None` if the captcha is off.
fn captcha(config: &Config, redis: &RedisLink) -> Result<Option<Captcha>, RoleError> {
    let settings = &config.captcha;
    let own = settings
        .redis_url
        .as_deref()
        .map(RedisLink::lazy)
        .transpose()?;
    let way = setup::way(settings).map_err(RoleError::Captcha)?;
    Ok(way.map(|way| Captcha::new(way, own.unwrap_or_else(|| redis.clone()))))
}
