//! The purchase role: the buyer's HTTP API.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use seckill_core::signing::keyring::Keyring;

use super::running::Running;
use super::{Parts, Role, RoleError, read_keyring};
use crate::config::Config;
use crate::orders::form_file;
use crate::redis::RedisLink;
use crate::shop::captcha::{Captcha, setup};
use crate::shop::key_file::{self, Keys};
use crate::shop::tokens::{Reading, Tokens};
use crate::shop::{self, ShopState, SiteState};
use crate::stock::journal::{Journals, Limits};

/// Serves the API at `purchase_listen`.
///
/// # Errors
/// A key ring or the captcha's settings are wrong, or the address is taken.
pub(super) fn start(parts: &Parts<'_>, running: &mut Running) -> Result<(), RoleError> {
    let config = parts.config;
    let keyring = Arc::new(read_keyring(&config.keys)?);
    let keys = Arc::new(Keys::of_file(&keyring, &config.keys));
    let followed = keys.clone();
    running.spawn(Role::Purchase, move |stop| {
        key_file::follow(followed.clone(), stop)
    });
    let options = shop::Options {
        digest: config.digest,
        demo_login: config.demo_login,
        captcha: config.captcha.is_on(),
        remember_language: config.notify.smtp.is_some() || config.notify.webhook.is_some(),
        pay_within: Duration::from_secs(config.pay_within),
    };
    let state = ShopState::new(
        parts.redis.clone(),
        parts.segments.clone(),
        None,
        keyring,
        options,
    )
    // Connections of its own: no reading of order lists keeps the orders role, which may
    // run in the same process, from placing orders.
    .with_store(super::store_of(config))
    .with_keys(keys)
    .with_payments(super::payments(config)?)
    .with_order_form(form_file::read(&config.order_form)?)
    .with_login_keys(login_keys(config)?)
    .with_names(config.names.clone())
    .with_tokens(tokens(config, &parts.redis)?)
    .with_captcha(captcha(config, &parts.redis)?)
    .with_journals(parts.journals.clone())
    .with_fence(Some(Arc::clone(&parts.fence)));
    let state = match &config.site {
        Some(site) => state.with_site(Some(SiteState::new(site, &parts.redis))),
        None => state.alone(),
    };
    if let Some(journals) = parts.journals.clone() {
        let limits = Limits::megabytes(config.journal_max_mb);
        let replayer = state.replayer().adopting(config.journal_dir(), limits);
        running.spawn(Role::Purchase, move |stop| {
            replayer.clone().run(journals.clone(), stop)
        });
    }
    let ready = state.until_ready();
    let router = shop::router(state);
    running.serve_when(ready, Role::Purchase, &config.purchase_listen, router)
}

/// The journals for when Redis does not answer. Selling goes on without them.
pub(super) fn open_journals(config: &Config) -> Option<Journals> {
    if config.journal_max_mb == 0 {
        return None;
    }
    let limits = Limits::megabytes(config.journal_max_mb);
    match Journals::open(&config.journal_dir(), limits) {
        Ok(journals) => Some(journals),
        Err(error) => {
            tracing::error!(%error, "purchases are refused while Redis is away");
            None
        }
    }
}

/// The keys shared with the shop's servers that begin sessions; `None` without them.
fn login_keys(config: &Config) -> Result<Option<Arc<Keyring>>, RoleError> {
    match read_keyring(&config.login_keys) {
        Ok(keys) => Ok(Some(Arc::new(keys))),
        Err(RoleError::NoKeys { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// What verifies the tokens of the shop's own login; `None` if it has none.
fn tokens(config: &Config, redis: &RedisLink) -> Result<Option<Arc<Tokens>>, RoleError> {
    let Some(jwt) = config.jwt.clone() else {
        return Ok(None);
    };
    let reading = Reading::start(&jwt.jwks, redis.clone()).map_err(RoleError::Login)?;
    let tokens = Tokens::new(jwt, reading).map_err(|error| RoleError::Login(error.into()))?;
    Ok(Some(Arc::new(tokens)))
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
