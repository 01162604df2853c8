//! ID tokens of OpenID Connect: a token by which a provider says who logged in there,
//! and that it was this login (OpenID Connect Core 1.0, 3.1.3.7).
//!
//! [`IdToken::believe`] is all of the verification. What the token says beyond its
//! subject is read from the [`IdToken`] that it returns, so that nobody reads a claim
//! that no signature vouches for.

use serde_json::{Map, Value};

use super::{KeySet, Policy, Refusal, Token, decode};

/// Longest ID token, in bytes. It comes in the body of a response, and may name all the
/// groups of a person, so that it may be longer than a token in a header.
pub const MAX_ID_TOKEN: usize = 64 * 1024;

/// What an ID token must say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected<'a> {
    /// The provider, letter by letter (`iss`).
    pub issuer: &'a str,
    /// Our client id at the provider (`aud`, `azp`).
    pub client: &'a str,
    /// The random text that was sent with this login (`nonce`).
    pub nonce: &'a str,
}

/// Why an ID token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdRefusal {
    /// It is refused as any token would be.
    #[error(transparent)]
    Token(#[from] Refusal),
    /// `azp` names another client, or is missing beside several audiences.
    #[error("the token was issued to another client (azp)")]
    Party,
    /// `nonce` is missing, or that of another login.
    #[error("the token belongs to another login (nonce)")]
    Nonce,
}

/// An ID token that is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdToken {
    /// The person's id at the provider (`sub`), as a written id ([`crate::ids::user`]).
    pub subject: String,
    claims: Map<String, Value>,
}

impl IdToken {
    /// Verifies an ID token.
    ///
    /// # Errors
    /// The first [`IdRefusal`].
    pub fn believe(
        text: &str,
        expected: Expected<'_>,
        keys: &KeySet,
        now_ms: u64,
    ) -> Result<Self, IdRefusal> {
        let policy = Policy {
            issuer: Some(expected.issuer.to_owned()),
            audiences: vec![expected.client.to_owned()],
            ..Policy::default()
        };
        let token = Token::read_within(text, &policy, now_ms, MAX_ID_TOKEN)?;
        token.verify(keys)?;
        let (_, payload) = token.signed.split_once('.').ok_or(Refusal::Malformed)?;
        let claims: Map<String, Value> = decode(payload)?;
        // A number is no subject: only buyers are named by numbers, too.
        if !claims.get("sub").is_some_and(Value::is_string) {
            return Err(Refusal::User.into());
        }
        let has_others = claims
            .get("aud")
            .and_then(Value::as_array)
            .is_some_and(|all| all.len() > 1);
        let is_ours = match claims.get("azp") {
            Some(party) => party.as_str() == Some(expected.client),
            None => !has_others,
        };
        if !is_ours {
            return Err(IdRefusal::Party);
        }
        if claims.get("nonce").and_then(Value::as_str) != Some(expected.nonce) {
            return Err(IdRefusal::Nonce);
        }
        Ok(Self {
            subject: token.user,
            claims,
        })
    }

    /// A claim that is a text.
    #[must_use]
    pub fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim).and_then(Value::as_str)
    }

    /// The e-mail address, if the provider says that it has verified it. Any other is
    /// what somebody typed.
    #[must_use]
    pub fn verified_email(&self) -> Option<&str> {
        let is_verified = self.claims.get("email_verified") == Some(&Value::Bool(true));
        self.text("email").filter(|_| is_verified)
    }

    /// The values of a claim that is a text or a list of texts. A name with dots is a
    /// claim of this name if there is one, and else a path: `realm_access.roles`.
    #[must_use]
    pub fn values(&self, claim: &str) -> Vec<&str> {
        match self.find(claim) {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    fn find(&self, claim: &str) -> Option<&Value> {
        if let Some(whole) = self.claims.get(claim) {
            return Some(whole);
        }
        let mut names = claim.split('.');
        let first = self.claims.get(names.next()?)?;
        names.try_fold(first, |value, name| value.get(name))
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use ring::hmac;
    use ring::rand::SystemRandom;
    use ring::signature::{Ed25519KeyPair, KeyPair as _};
    use serde_json::json;

    use super::*;

    const NOW_S: u64 = 1_795_000_000;
    const EXPECTED: Expected<'_> = Expected {
        issuer: "https://id.example.com",
        client: "console",
        nonce: "n-0S6_WzA2Mj",
    };

    fn claims() -> Value {
        json!({
            "iss": EXPECTED.issuer, "aud": "console", "sub": "u|1", "nonce": EXPECTED.nonce,
            "iat": NOW_S, "exp": NOW_S + 300,
        })
    }

    type Sign<'a> = dyn Fn(&[u8]) -> Vec<u8> + 'a;

    /// A key of the provider, and the keys that it publishes.
    fn provider() -> (Ed25519KeyPair, KeySet) {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
        let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        let keys = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "d1", "x": x }] });
        let keys = KeySet::parse_public(keys.to_string().as_bytes()).unwrap();
        (pair, keys)
    }

    fn assemble(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let parts = [header, claims].map(|part| encode(part.to_string().as_bytes()));
        let signed = parts.join(".");
        let signature = encode(&sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// What becomes of a token with these claims, signed by the provider.
    fn believed(claims: &Value) -> Result<IdToken, IdRefusal> {
        let (pair, keys) = provider();
        let text = assemble(&json!({ "alg": "EdDSA" }), claims, |signed| {
            pair.sign(signed).as_ref().to_vec()
        });
        IdToken::believe(&text, EXPECTED, &keys, NOW_S * 1_000)
    }

    fn with(name: &str, value: Value) -> Value {
        let mut all = claims();
        all[name] = value;
        all
    }

    #[test]
    fn a_login_is_believed_if_it_is_this_one_for_this_client() {
        assert_eq!(believed(&claims()).unwrap().subject, "u%7C1");
        let cases = [
            (
                with("iss", json!("https://id.example.com/")),
                Refusal::Issuer.into(),
            ),
            (with("aud", json!("shop")), Refusal::Audience.into()),
            (with("exp", json!(NOW_S - 60)), Refusal::Expired.into()),
            (with("iat", json!(NOW_S + 61)), Refusal::NotYetValid.into()),
            (with("nbf", json!(NOW_S + 61)), Refusal::NotYetValid.into()),
            (with("aud", json!([])), Refusal::Audience.into()),
            (with("aud", json!(["shop"])), Refusal::Audience.into()),
            (with("aud", json!("console ")), Refusal::Audience.into()),
            (with("sub", json!(7)), Refusal::User.into()),
            (with("sub", json!("")), Refusal::User.into()),
            (with("nonce", json!("another")), IdRefusal::Nonce),
            (with("nonce", Value::Null), IdRefusal::Nonce),
            (with("azp", json!("shop")), IdRefusal::Party),
            (with("aud", json!(["console", "shop"])), IdRefusal::Party),
        ];
        for (claims, refusal) in cases {
            assert_eq!(believed(&claims), Err(refusal), "{claims}");
        }
        let mut both = with("aud", json!(["console", "shop"]));
        both["azp"] = json!("console");
        assert!(believed(&both).is_ok());
        assert!(believed(&with("aud", json!(["console"]))).is_ok());
    }

    #[test]
    fn the_key_decides_the_algorithm_and_no_other_signature_counts() {
        let (pair, keys) = provider();
        let public = hmac::Key::new(hmac::HMAC_SHA256, pair.public_key().as_ref());
        let (stranger, _) = provider();
        let by_provider = |text: &[u8]| pair.sign(text).as_ref().to_vec();
        let by_stranger = |text: &[u8]| stranger.sign(text).as_ref().to_vec();
        let by_public_key = |text: &[u8]| hmac::sign(&public, text).as_ref().to_vec();
        let unsigned = |_: &[u8]| Vec::new();
        let header = |alg: &str| json!({ "alg": alg, "kid": "d1" });
        let token = |header: &Value, sign: &Sign<'_>| {
            IdToken::believe(
                &assemble(header, &claims(), sign),
                EXPECTED,
                &keys,
                NOW_S * 1_000,
            )
        };
        assert!(token(&header("EdDSA"), &by_provider).is_ok());
        let other_kid = json!({ "alg": "EdDSA", "kid": "d2" });
        let critical = json!({ "alg": "EdDSA", "kid": "d1", "crit": ["b64"] });
        let bad: [(Value, &Sign<'_>, Refusal); 8] = [
            (header("none"), &unsigned, Refusal::Algorithm),
            (header("none"), &by_provider, Refusal::Algorithm),
            (critical, &by_provider, Refusal::Algorithm),
            (header("HS256"), &by_public_key, Refusal::UnknownKey),
            (header("RS256"), &by_provider, Refusal::UnknownKey),
            (other_kid, &by_provider, Refusal::UnknownKey),
            (header("EdDSA"), &unsigned, Refusal::Signature),
            (header("EdDSA"), &by_stranger, Refusal::Signature),
        ];
        for (header, sign, refusal) in bad {
            assert_eq!(token(&header, sign), Err(refusal.into()), "{header}");
        }
    }

    #[test]
    fn a_person_of_many_groups_has_a_longer_token_than_a_header_holds() {
        let groups: Vec<String> = (0..300).map(|at| format!("group-{at:032}")).collect();
        let token = believed(&with("groups", json!(groups))).unwrap();
        assert_eq!(token.values("groups").len(), 300);
        let endless = believed(&with("pad", json!("x".repeat(MAX_ID_TOKEN))));
        assert_eq!(endless, Err(Refusal::TooLong.into()));
    }

    #[test]
    fn claims_are_found_by_name_and_by_path() {
        let mut all = claims();
        all["roles"] = json!("ops");
        all["groups"] = json!(["a", 7, "b"]);
        all["realm_access"] = json!({ "roles": ["boss"] });
        all["https://example.com/roles"] = json!(["c"]);
        let token = believed(&all).unwrap();
        assert_eq!(token.values("roles"), ["ops"]);
        assert_eq!(token.values("groups"), ["a", "b"]);
        assert_eq!(token.values("realm_access.roles"), ["boss"]);
        assert_eq!(token.values("https://example.com/roles"), ["c"]);
        for none in ["other", "realm_access", "realm_access.other", "roles.x", ""] {
            assert!(token.values(none).is_empty(), "{none}");
        }
    }

    #[test]
    fn an_address_counts_only_if_it_is_verified() {
        let mut all = with("email", json!("li@example.com"));
        assert_eq!(believed(&all).unwrap().verified_email(), None);
        for (verified, found) in [
            (json!("true"), None),
            (json!(false), None),
            (json!(true), Some("li@example.com")),
        ] {
            all["email_verified"] = verified;
            assert_eq!(believed(&all).unwrap().verified_email(), found);
        }
    }
}
