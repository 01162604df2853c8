//! The settings that begin with `captcha`.

use std::path::PathBuf;

/// What a buyer does for a captcha pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing: purchases need no pass.
    Off,
    /// Solve our puzzle.
    Slider,
    /// Solve the puzzle of a commercial service.
    Service(Brand),
}

/// The settings that begin with `captcha`.
#[derive(Debug, Clone)]
pub struct CaptchaSettings {
    /// What a buyer does for a captcha pass.
    pub kind: Kind,
    /// Zero bits of the proof of work of a first attempt.
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
}

/// A captcha service; pages load its widget by this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Brand {
    /// Cloudflare Turnstile.
    Turnstile,
    /// The service hCaptcha.
    Hcaptcha,
}

impl Brand {
    /// Its name in settings and to pages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Brand::Turnstile => "turnstile",
            Brand::Hcaptcha => "hcaptcha",
        }
    }

    /// Where it verifies.
    #[must_use]
    pub fn verify_url(self) -> &'static str {
        match self {
            Brand::Turnstile => "https://challenges.cloudflare.com/turnstile/v0/siteverify",
            Brand::Hcaptcha => "https://api.hcaptcha.com/siteverify",
        }
    }
}

/// What to do with a buyer whose solution the service cannot verify now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenAway {
    /// Refuse with `unavailable`: no purchase without a verdict.
    #[default]
    Refuse,
    /// Let them pass: rather sell to bots than to nobody.
    Pass,
}
