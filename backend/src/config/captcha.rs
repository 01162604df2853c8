//! How buyers show that they are people: what is configured, and building it.

use std::path::PathBuf;
use std::sync::Arc;

use crate::captcha::Way;
use crate::captcha::pool::Pool;
use crate::captcha::service::{Brand, Service, Siteverify, WhenAway};

/// What a buyer does for his pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing: none is needed.
    Off,
    /// Our puzzle.
    Slider,
    /// A commercial service's.
    Service(Brand),
}

/// The settings that begin with `captcha`.
#[derive(Debug, Clone)]
pub struct CaptchaSettings {
    /// What a buyer does for his pass.
    pub kind: Kind,
    /// Zero bits of a first try's work.
    pub work_bits: u32,
    /// Redis of the puzzles, if they have one of their own.
    pub redis_url: Option<String>,
    /// The public key of a service.
    pub site_key: String,
    /// The file with the secret of a service.
    pub secret: PathBuf,
    /// Where a service verifies, if not where it usually does.
    pub verify_url: Option<String>,
    /// What happens while a service is away.
    pub when_away: WhenAway,
}

impl CaptchaSettings {
    /// Whether a purchase needs a pass.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.kind != Kind::Off
    }

    /// Makes ready what is configured; `None` if nothing is needed.
    ///
    /// # Errors
    /// A sentence that names the setting and the cure.
    pub fn way(&self) -> Result<Option<Way>, String> {
        match self.kind {
            Kind::Off => Ok(None),
            Kind::Slider => {
                let pool = Pool::open().map_err(|error| error.to_string())?;
                Ok(Some(Way::Puzzle {
                    pool,
                    work_bits: self.work_bits,
                }))
            }
            Kind::Service(brand) => Ok(Some(Way::Service(Arc::new(self.service(brand)?)))),
        }
    }

    fn service(&self, brand: Brand) -> Result<Service, String> {
        let name = brand.as_str();
        if self.site_key.is_empty() {
            return Err(format!(
                "captcha = \"{name}\" needs captcha_site_key, the public key that the service gave you"
            ));
        }
        let path = self.secret.display();
        let secret = std::fs::read_to_string(&self.secret).map_err(|error| {
            format!("captcha = \"{name}\" needs the service's secret in {path}, which cannot be read: {error}; captcha_secret names another file")
        })?;
        let secret = secret.trim();
        if secret.is_empty() {
            return Err(format!(
                "{path} is empty; write the secret that {name} gave you into it"
            ));
        }
        let url = self.verify_url.as_deref().unwrap_or(brand.verify_url());
        let verifier = Siteverify::new(url, secret).map_err(|error| {
            format!(
                "{name} cannot be asked over HTTPS ({error}); install the package ca-certificates"
            )
        })?;
        Ok(Service {
            brand,
            site_key: self.site_key.clone(),
            when_away: self.when_away,
            verifier: Box::new(verifier),
        })
    }
}
