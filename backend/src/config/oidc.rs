//! The settings of single sign-on at the console, which begin with `console_oidc`.

use std::fmt;

/// A secret, which no debug print shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("******")
    }
}

/// Single sign-on at the console, by OpenID Connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oidc {
    /// The provider, letter by letter as its tokens name it.
    pub issuer: String,
    /// The console's client id there.
    pub client_id: String,
    /// The console's secret there; `None` for a public client.
    pub client_secret: Option<Secret>,
    /// What the button on the login page calls the provider.
    pub name: String,
    /// The scopes that are requested, separated by spaces.
    pub scope: String,
    /// Which claim gives which role.
    pub roles: RoleClaim,
    /// Whether a person's first login makes an account.
    pub creates: bool,
    /// Whether logging out at the console logs out at the provider too.
    pub logs_out: bool,
    /// Whether passwords are off.
    pub only: bool,
    /// The account whose password works nevertheless.
    pub break_glass: Option<String>,
}

/// Which claim of the provider's gives which role at the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleClaim {
    /// The claim, or a path of names with dots.
    pub claim: String,
    /// Values of which each makes a supervisor.
    pub supervisors: Vec<String>,
    /// Values of which each makes an operator.
    pub operators: Vec<String>,
}

impl RoleClaim {
    /// Whether the provider decides roles at all.
    #[must_use]
    pub fn decides(&self) -> bool {
        !self.supervisors.is_empty() || !self.operators.is_empty()
    }
}

/// Whether a URL of a provider may be used: over TLS, or on this machine.
#[must_use]
pub fn is_trusted(url: &str) -> bool {
    let Ok(uri) = url.parse::<axum::http::Uri>() else {
        return false;
    };
    let Some(host) = uri.host().filter(|host| !host.is_empty()) else {
        return false;
    };
    let has_user = uri.authority().is_some_and(|it| it.as_str().contains('@'));
    match uri.scheme_str() {
        Some("https") => !has_user,
        Some("http") => !has_user && matches!(host, "localhost" | "127.0.0.1" | "[::1]"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_reached_over_tls_or_on_this_machine() {
        for good in [
            "https://id.example.com",
            "https://id.example.com:8443/realms/shop",
            "http://localhost:8080/",
            "http://127.0.0.1:8080",
            "http://[::1]:8080",
        ] {
            assert!(is_trusted(good), "{good}");
        }
        for bad in [
            "http://id.example.com",
            "http://localhost.example.com",
            "http://127.0.0.1@example.com",
            "https://u:p@id.example.com",
            "https://",
            "ftp://localhost",
            "id.example.com",
            "",
        ] {
            assert!(!is_trusted(bad), "{bad}");
        }
    }

    #[test]
    fn no_secret_is_printed() {
        assert_eq!(format!("{:?}", Secret("s3cret".to_owned())), "******");
    }
}
