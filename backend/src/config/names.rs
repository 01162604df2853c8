//! The names under which the shop's pages are served, and how sessions are set there.

/// Whether a browser sends the session cookie with requests that another site's page
/// makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SameSite {
    /// The browser sends it only when the shopper follows a link.
    #[default]
    Lax,
    /// The browser never sends it with them.
    Strict,
    /// The browser always sends it, and demands `Secure`.
    None,
}

impl SameSite {
    /// The attribute's value in a cookie.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lax => "Lax",
            Self::Strict => "Strict",
            Self::None => "None",
        }
    }
}

/// The names under which the shop's pages are served, and how sessions are set there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names {
    /// Origins, besides the edge's own, whose pages may post for a buyer.
    pub origins: Vec<String>,
    /// The domain of the session cookie; `None` for the host that sets it.
    pub cookie_domain: Option<String>,
    /// `SameSite` of the session cookie.
    pub same_site: SameSite,
    /// Whether the session cookie is `Secure`.
    pub secure: bool,
    /// Where the shop's own login is; `{return}` stands for the page to come back to.
    pub login_url: Option<String>,
    /// Where the shop logs out.
    pub logout_url: Option<String>,
}

impl Names {
    /// The attributes of the session cookie, after its value and lifetime.
    #[must_use]
    pub fn cookie_attributes(&self) -> String {
        let mut text = format!("Path=/; HttpOnly; SameSite={}", self.same_site.as_str());
        if self.secure || self.same_site == SameSite::None {
            text.push_str("; Secure");
        }
        if let Some(domain) = &self.cookie_domain {
            text.push_str(&format!("; Domain={domain}"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_for_other_sites_is_always_secure() {
        let names = Names {
            same_site: SameSite::None,
            cookie_domain: Some("example.com".to_owned()),
            ..Names::default()
        };
        assert_eq!(
            names.cookie_attributes(),
            "Path=/; HttpOnly; SameSite=None; Secure; Domain=example.com"
        );
        let plain = Names::default().cookie_attributes();
        assert_eq!(plain, "Path=/; HttpOnly; SameSite=Lax");
    }
}
