//! The file with the providers' settings, `payments.toml`: a table for each provider that
//! is set up. It holds secrets, so that nobody but its owner and group may read it, as a key
//! ring: where a platform mounts secrets, they are the group's.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use seckill_core::orders::payment::ProviderName;
use seckill_core::signing::keyring::Keyring;
use serde::Deserialize;

use super::alipay::{Alipay, Application, Page};
use super::call::Secret;
use super::rsa::{PrivateKey, PublicKey};
use super::signed::Signed;
use super::stripe::Stripe;
use super::wechat::{Merchant, Trade, WeChat};
use super::{AnyProvider, Currency, Provider as _, Site};

/// Why the providers cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("the payment settings {} cannot be read: {source}; setting \"payments\" names the file", path.display())]
    Unreadable {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Others may read the file.
    #[error("the payment settings {} hold secrets, and others may read them; run \"chmod o= {}\"", path.display(), path.display())]
    Open {
        /// Its path.
        path: PathBuf,
    },
    /// The file is not what it should be.
    #[error("the payment settings {} are wrong: {reason}", path.display())]
    Wrong {
        /// Its path.
        path: PathBuf,
        /// What is wrong, and what would be right.
        reason: String,
    },
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct File {
    /// The provider that buyers are sent to; without it, the first of those below.
    default: Option<String>,
    signed: Option<SignedTable>,
    stripe: Option<StripeTable>,
    alipay: Option<AlipayTable>,
    wechat: Option<WeChatTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignedTable {
    pay_url: Option<String>,
    api: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StripeTable {
    secret_key: Secret,
    /// One, or several while one replaces another.
    webhook_secrets: Vec<Secret>,
    #[serde(default = "stripe_api")]
    api: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AlipayTable {
    app_id: String,
    seller_id: Option<String>,
    private_key: PathBuf,
    alipay_public_key: PathBuf,
    #[serde(default = "alipay_gateway")]
    gateway: String,
    #[serde(default)]
    page: Page,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WeChatTable {
    appid: String,
    mchid: String,
    serial: String,
    private_key: PathBuf,
    api_v3_key: Secret,
    platform_keys: HashMap<String, PathBuf>,
    #[serde(default = "wechat_api")]
    api: String,
    #[serde(default)]
    trade: Trade,
}

fn stripe_api() -> String {
    "https://api.stripe.com".to_owned()
}

fn alipay_gateway() -> String {
    "https://openapi.alipay.com/gateway.do".to_owned()
}

fn wechat_api() -> String {
    "https://api.mch.weixin.qq.com".to_owned()
}

/// The providers of the file, the one that buyers are sent to first. Without a file there
/// is only the signed one, if there are keys for it.
pub(super) fn open(
    path: &Path,
    currency: Currency,
    keys: Option<Arc<Keyring>>,
    site: Option<&str>,
) -> Result<Vec<AnyProvider>, SettingsError> {
    let wrong = |reason: String| SettingsError::Wrong {
        path: path.to_owned(),
        reason,
    };
    let file: File = match read(path)? {
        Some(text) => toml::from_str(&text).map_err(|error| wrong(plain(&error, &text)))?,
        None => File::default(),
    };
    let builder = Builder {
        folder: path.parent().unwrap_or(Path::new(".")),
        currency,
        site: site.map(Site::new),
    };
    let default = file.default.clone();
    let mut providers = builder.providers(file, keys).map_err(wrong)?;
    let Some(default) = default else {
        return Ok(providers);
    };
    let place = providers
        .iter()
        .position(|it| it.name().as_str() == default);
    let Some(place) = place else {
        let reason = format!("default = \"{default}\", and there is no table [{default}]");
        return Err(wrong(reason));
    };
    let first = providers.remove(place);
    providers.insert(0, first);
    Ok(providers)
}

/// The file's text; `None` if there is no such file.
fn read(path: &Path) -> Result<Option<String>, SettingsError> {
    let unreadable = |source| SettingsError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    if metadata.permissions().mode() & 0o007 != 0 {
        let path = path.to_owned();
        return Err(SettingsError::Open { path });
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    // Nobody sees the mark that some editors put in front.
    Ok(Some(text.trim_start_matches('\u{feff}').to_owned()))
}

/// What is wrong with the file, without the line itself, which may hold a secret.
fn plain(error: &toml::de::Error, text: &str) -> String {
    let at = error.span().map_or(0, |span| span.start);
    let before = text.get(..at).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let message = error.message();
    // These quote the value.
    let quotes = ["invalid type: ", "invalid value: ", "unknown variant "];
    if !quotes.iter().any(|it| message.starts_with(it)) {
        return format!("line {line}: {message}");
    }
    let written = before.lines().next_back().unwrap_or_default();
    let setting = match written.split_once('=') {
        Some((name, _)) => name.trim(),
        None => "a value",
    };
    let right = match message.rsplit_once("expected ") {
        Some((_, "a sequence")) => "write a list, [\"…\"]".to_owned(),
        Some((_, right)) => format!("write {right}"),
        None => "see docs/payment.md".to_owned(),
    };
    format!("line {line}: {setting} is wrong; {right}")
}

/// Makes providers of their tables.
struct Builder<'a> {
    /// Relative paths start here.
    folder: &'a Path,
    currency: Currency,
    site: Option<Site>,
}

impl Builder<'_> {
    fn providers(
        &self,
        file: File,
        keys: Option<Arc<Keyring>>,
    ) -> Result<Vec<AnyProvider>, String> {
        let mut made = Vec::new();
        let signed_has_page = file.signed.as_ref().is_some_and(|it| it.pay_url.is_some());
        let signed = self.signed(file.signed, keys)?;
        let (mut first, mut last) = (signed, None);
        // A service without a page is none that buyers could be sent to.
        if !signed_has_page {
            std::mem::swap(&mut first, &mut last);
        }
        made.extend(first);
        if let Some(table) = file.stripe {
            made.push(self.stripe(table)?);
        }
        if let Some(table) = file.alipay {
            made.push(self.alipay(table)?);
        }
        if let Some(table) = file.wechat {
            made.push(self.wechat(table)?);
        }
        made.extend(last);
        Ok(made)
    }

    fn signed(
        &self,
        table: Option<SignedTable>,
        keys: Option<Arc<Keyring>>,
    ) -> Result<Option<AnyProvider>, String> {
        let Some(keys) = keys else {
            return match table {
                None => Ok(None),
                Some(_) => Err(
                    "[signed] needs the key ring of the setting \"payment_keys\", \
                                which is not there; write one line \"kid secret\""
                        .to_owned(),
                ),
            };
        };
        let mut signed = Signed::new(keys, self.currency);
        if let Some(table) = table {
            if let Some(template) = &table.pay_url {
                if !template.contains("{order}") {
                    return Err(format!(
                        "[signed] pay_url ({} characters, which are not shown) does not say for which order; write {{order}} where its number belongs",
                        template.chars().count()
                    ));
                }
                signed = signed.with_page(template, self.site(ProviderName::Signed)?);
            }
            if let Some(api) = &table.api {
                signed = signed.with_api(api).map_err(certificates)?;
            }
        }
        Ok(Some(AnyProvider::Signed(signed)))
    }

    fn stripe(&self, table: StripeTable) -> Result<AnyProvider, String> {
        if table.webhook_secrets.is_empty() {
            return Err("[stripe] webhook_secrets is empty; write the secret of the webhook's endpoint, \"whsec_…\"".to_owned());
        }
        let site = self.site(ProviderName::Stripe)?;
        let StripeTable {
            secret_key,
            webhook_secrets,
            api,
        } = table;
        let stripe = Stripe::new(&api, secret_key, webhook_secrets, site);
        stripe.map(AnyProvider::Stripe).map_err(certificates)
    }

    fn alipay(&self, table: AlipayTable) -> Result<AnyProvider, String> {
        let application = Application {
            app_id: table.app_id,
            seller_id: table.seller_id,
            key: self.key(
                "[alipay] private_key",
                &table.private_key,
                PrivateKey::parse,
            )?,
            alipay_key: self.key(
                "[alipay] alipay_public_key",
                &table.alipay_public_key,
                PublicKey::parse,
            )?,
            page: table.page,
        };
        let site = self.site(ProviderName::Alipay)?;
        let alipay = Alipay::new(&table.gateway, application, site);
        alipay.map(AnyProvider::Alipay).map_err(certificates)
    }

    fn wechat(&self, table: WeChatTable) -> Result<AnyProvider, String> {
        let length = table.api_v3_key.text().len();
        if length != 32 {
            return Err(format!("[wechat] api_v3_key has {length} bytes; it has 32"));
        }
        let mut platform_keys = HashMap::new();
        for (serial, path) in table.platform_keys {
            let place = format!("[wechat.platform_keys] {serial}");
            let key = self.key(&place, &path, PublicKey::parse)?;
            platform_keys.insert(serial, key);
        }
        let merchant = Merchant {
            appid: table.appid,
            mchid: table.mchid,
            serial: table.serial,
            key: self.key(
                "[wechat] private_key",
                &table.private_key,
                PrivateKey::parse,
            )?,
            api_v3_key: table.api_v3_key,
            platform_keys,
            trade: table.trade,
        };
        let site = self.site(ProviderName::WeChat)?;
        let wechat = WeChat::new(&table.api, merchant, site);
        wechat.map(AnyProvider::WeChat).map_err(certificates)
    }

    fn site(&self, provider: ProviderName) -> Result<Site, String> {
        let name = provider.as_str();
        let missing = || {
            format!(
                "[{name}] has to know where buyers return to, and where its notices go; set site_url to the shop's address, such as https://shop.example.com"
            )
        };
        self.site.clone().ok_or_else(missing)
    }

    fn key<T>(
        &self,
        place: &str,
        path: &Path,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, String> {
        let path = self.folder.join(path);
        let wrong = |reason: String| format!("{place}: {}: {reason}", path.display());
        let text = std::fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
        parse(&text).map_err(wrong)
    }
}

fn certificates(error: io::Error) -> String {
    format!(
        "this machine's certificates cannot be read: {error}; install ca-certificates, or name a file with authorities to trust in SSL_CERT_FILE"
    )
}

#[cfg(test)]
mod tests;
