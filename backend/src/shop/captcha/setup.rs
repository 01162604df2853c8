//! Builds the captcha that is configured.

use std::sync::Arc;

use super::Way;
use super::pool::Pool;
use super::service::{Service, Siteverify};
use crate::config::captcha::{Brand, CaptchaSettings, Kind};

/// Builds the captcha that is configured; `None` if it is off.
///
/// # Errors
/// A sentence that names the setting and the cure.
pub fn way(settings: &CaptchaSettings) -> Result<Option<Way>, String> {
    match settings.kind {
        Kind::Off => Ok(None),
        Kind::Slider => {
            let pool = Pool::open().map_err(|error| error.to_string())?;
            Ok(Some(Way::Puzzle {
                pool,
                work_bits: settings.work_bits,
            }))
        }
        Kind::Service(brand) => Ok(Some(Way::Service(Arc::new(service(settings, brand)?)))),
    }
}

fn service(settings: &CaptchaSettings, brand: Brand) -> Result<Service, String> {
    let name = brand.as_str();
    if settings.site_key.is_empty() {
        return Err(format!(
            "captcha = \"{name}\" needs captcha_site_key, the public key that the service gave you"
        ));
    }
    let path = settings.secret.display();
    let secret = std::fs::read_to_string(&settings.secret).map_err(|error| {
        format!("captcha = \"{name}\" needs the service's secret in {path}, which cannot be read: {error}; captcha_secret names another file")
    })?;
    let secret = secret.trim_start_matches('\u{feff}').trim();
    if secret.is_empty() {
        return Err(format!(
            "{path} is empty; write the secret that {name} gave you into it"
        ));
    }
    let url = settings.verify_url.as_deref().unwrap_or(brand.verify_url());
    let verifier = Siteverify::new(url, secret).map_err(|error| {
        format!("{name} cannot be called over HTTPS ({error}); install the package ca-certificates")
    })?;
    Ok(Service {
        brand,
        site_key: settings.site_key.clone(),
        when_away: settings.when_away,
        verifier: Box::new(verifier),
    })
}
