//! Notifications to buyers: a task a channel, in the orders role.

use std::sync::Arc;

use super::running::Running;
use super::{Parts, Role, RoleError, read_keyring};
use crate::config::Notify;
use crate::orders::notifications;
use crate::orders::notifications::Notifier;
use crate::orders::notifications::email::Email;
use crate::orders::notifications::webhook::Webhook;
use crate::store::Store;

/// Starts a task for each channel that is set up.
///
/// # Errors
/// [`RoleError::Notify`]: a setting of a channel is missing or wrong.
pub(super) fn start(
    parts: &Parts<'_>,
    store: &Store,
    running: &mut Running,
) -> Result<(), RoleError> {
    let config = parts.config;
    let Notify { webhook, smtp, .. } = &config.notify;
    let notifier = Notifier {
        store: store.clone(),
        redis: parts.redis.clone(),
        language: config.notify.language,
        zone: config.time_zone.clone(),
        currency: config.currency,
    };
    if let Some(to) = webhook {
        let keys = read_keyring(&config.notify.keys).map_err(|error| match error {
            RoleError::NoKeys { path, source } => RoleError::Notify(format!(
                "notify_webhook is set, but its keys {} cannot be read: {source}; write one \
                 line \"kid secret\" that its receiver has too, and see notify_keys",
                path.display()
            )),
            other => other,
        })?;
        let keys = Arc::new(keys);
        let messenger = Webhook::new(to.clone(), keys).map_err(|error| {
            RoleError::Notify(format!("notify_webhook needs this machine's certificates, which cannot be read: {error}; install ca-certificates, or name a file with authorities to trust in SSL_CERT_FILE"))
        })?;
        let (notifier, messenger) = (notifier.clone(), Arc::new(messenger));
        running.spawn(Role::Orders, move |stop| {
            notifications::run(notifier.clone(), messenger.clone(), stop)
        });
    }
    if let Some(url) = smtp {
        let from = config.notify.from.clone().ok_or_else(|| {
            RoleError::Notify("notify_smtp is set, but not who e-mails are from; set notify_from, such as \"Shop <shop@example.com>\"".to_owned())
        })?;
        let messenger = Email::new(url, from, &config.notify.email).map_err(|error| {
            RoleError::Notify(format!("notify_smtp is no mail server: {error}"))
        })?;
        let messenger = Arc::new(messenger);
        running.spawn(Role::Orders, move |stop| {
            notifications::run(notifier.clone(), messenger.clone(), stop)
        });
    }
    Ok(())
}
