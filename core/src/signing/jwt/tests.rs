use proptest::prelude::*;
use ring::rand::SystemRandom;
use ring::signature::{
    EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair, RsaPublicKeyComponents,
};
use ring::{hmac, signature};
use serde_json::json;

use super::*;

/// Which key of a set verifies, and which keys a set takes.
mod key_sets;

/// 2026-11-28, in seconds.
const NOW_S: u64 = 1_795_000_000;
const NOW_MS: u64 = NOW_S * 1000;
/// A key of these tests alone: PKCS#8 in base64.
const RSA: &str = include_str!("tests/rsa.txt");
const SECRET: &[u8] = b"a secret of thirty-two bytes and more";

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Signs as a provider would, by an implementation of its own.
type Sign = Box<dyn Fn(&[u8]) -> Vec<u8>>;

fn rsa_file() -> Vec<u8> {
    let text: String = RSA.split_whitespace().collect();
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .unwrap()
}

fn rsa() -> (Value, Sign) {
    let pair = RsaKeyPair::from_pkcs8(&rsa_file()).unwrap();
    let public: RsaPublicKeyComponents<Vec<u8>> = pair.public().into();
    let jwk = json!({
        "kty": "RSA", "use": "sig", "alg": "RS256", "kid": "r1",
        "n": encode(&public.n),
        "e": encode(&public.e),
    });
    let sign = move |message: &[u8]| {
        let mut text = vec![0; pair.public().modulus_len()];
        let padding = &signature::RSA_PKCS1_SHA256;
        pair.sign(padding, &SystemRandom::new(), message, &mut text)
            .unwrap();
        text
    };
    (jwk, Box::new(sign))
}

fn ec() -> (Value, Sign) {
    let random = SystemRandom::new();
    let algorithm = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
    let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap();
    let point = pair.public_key().as_ref();
    let jwk = json!({
        "kty": "EC", "crv": "P-256", "kid": "e1",
        "x": encode(&point[1..33]), "y": encode(&point[33..]),
    });
    let sign = move |message: &[u8]| {
        pair.sign(&SystemRandom::new(), message)
            .unwrap()
            .as_ref()
            .to_vec()
    };
    (jwk, Box::new(sign))
}

fn ed() -> (Value, Sign) {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
    let jwk = json!({
        "kty": "OKP", "crv": "Ed25519", "kid": "d1", "x": encode(pair.public_key().as_ref()),
    });
    (
        jwk,
        Box::new(move |message| pair.sign(message).as_ref().to_vec()),
    )
}

fn hs() -> (Value, Sign) {
    let jwk = json!({ "kty": "oct", "kid": "h1", "k": encode(SECRET) });
    (jwk, Box::new(|message| hs256(SECRET, message)))
}

fn hs256(secret: &[u8], message: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    hmac::sign(&key, message).as_ref().to_vec()
}

fn set(keys: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

fn token(header: &Value, claims: &Value, sign: &Sign) -> String {
    let signed = format!(
        "{}.{}",
        encode(header.to_string().as_bytes()),
        encode(claims.to_string().as_bytes())
    );
    let signature = encode(&sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

fn claims() -> Value {
    json!({ "sub": "auth0|5f7c", "exp": NOW_S + 600, "iat": NOW_S })
}

fn with(name: &str, value: Value) -> Value {
    let mut all = claims();
    all[name] = value;
    all
}

fn policy() -> Policy {
    Policy {
        issuer: Some("https://login.example.com/".to_owned()),
        audiences: vec!["shop".to_owned(), "app".to_owned()],
        ..Policy::default()
    }
}

/// Reads and verifies: the user, or why not.
fn user_of(text: &str, keys: &KeySet, policy: &Policy, now_ms: u64) -> Result<String, Refusal> {
    let token = Token::read(text, policy, now_ms)?;
    token.verify(keys)?;
    Ok(token.user)
}

/// The same for claims signed by the secret, without demands on issuer and audience.
fn judged(claims: &Value, policy: &Policy) -> Result<String, Refusal> {
    let (jwk, sign) = hs();
    let text = token(&json!({ "alg": "HS256", "kid": "h1" }), claims, &sign);
    user_of(&text, &set(&[jwk]), policy, NOW_MS)
}

#[test]
fn each_of_the_four_algorithms_names_the_buyer() {
    for (alg, (jwk, sign)) in [
        ("RS256", rsa()),
        ("ES256", ec()),
        ("EdDSA", ed()),
        ("HS256", hs()),
    ] {
        let header = json!({ "alg": alg, "kid": jwk["kid"], "typ": "JWT" });
        let text = token(&header, &claims(), &sign);
        let found = user_of(&text, &set(&[jwk]), &Policy::default(), NOW_MS);
        assert_eq!(found.as_deref(), Ok("auth0%7C5f7c"), "{alg}");
    }
}

#[test]
fn an_algorithm_that_is_none_or_unknown_is_refused() {
    let (jwk, sign) = rsa();
    for alg in ["none", "None", "", "RS512", "PS256", "HS512"] {
        let text = token(&json!({ "alg": alg, "kid": "r1" }), &claims(), &sign);
        let refusal = user_of(
            &text,
            &set(std::slice::from_ref(&jwk)),
            &Policy::default(),
            NOW_MS,
        );
        assert_eq!(refusal, Err(Refusal::Algorithm), "{alg}");
    }
    let header = json!({ "alg": "RS256", "kid": "r1", "crit": ["b64"] });
    let text = token(&header, &claims(), &sign);
    let refusal = user_of(&text, &set(&[jwk]), &Policy::default(), NOW_MS);
    assert_eq!(refusal, Err(Refusal::Algorithm));
}

/// The classic confusion: who knows the public key signs by HS256 with it as secret, in
/// whichever form a verifier may have it.
#[test]
fn the_public_key_is_no_secret() {
    let (jwk, _) = rsa();
    let modulus = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    let forms = [modulus, jwk.to_string().into_bytes(), rsa_file()];
    for secret in forms {
        let forge: Sign = Box::new(move |message| hs256(&secret, message));
        for header in [
            json!({ "alg": "HS256", "kid": "r1" }),
            json!({ "alg": "HS256" }),
        ] {
            let text = token(&header, &claims(), &forge);
            let refusal = user_of(
                &text,
                &set(std::slice::from_ref(&jwk)),
                &Policy::default(),
                NOW_MS,
            );
            assert_eq!(refusal, Err(Refusal::UnknownKey));
        }
    }
}

#[test]
fn a_token_ends_and_begins_with_a_minute_for_clocks_that_differ() {
    let cases = [
        ("exp", NOW_S - 59, None),
        ("exp", NOW_S - 60, Some(Refusal::Expired)),
        ("exp", 0, Some(Refusal::Expired)),
        ("nbf", NOW_S + 60, None),
        ("nbf", NOW_S + 61, Some(Refusal::NotYetValid)),
        ("iat", NOW_S + 60, None),
        ("iat", NOW_S + 61, Some(Refusal::NotYetValid)),
    ];
    for (name, seconds, refusal) in cases {
        let found = judged(&with(name, json!(seconds)), &Policy::default());
        assert_eq!(found.err(), refusal, "{name} {seconds}");
    }
}

#[test]
fn a_time_that_is_none_or_missing_is_refused() {
    for value in [json!("tomorrow"), json!(-1), json!(null), json!([])] {
        let refusal = judged(&with("exp", value.clone()), &Policy::default());
        assert_eq!(refusal, Err(Refusal::Malformed), "{value}");
    }
    let mut endless = claims();
    endless.as_object_mut().unwrap().remove("exp");
    assert_eq!(judged(&endless, &Policy::default()), Err(Refusal::Endless));
    for value in [json!(1e300), json!(NOW_S as f64 + 0.5)] {
        assert!(judged(&with("exp", value), &Policy::default()).is_ok());
    }
}

#[test]
fn another_issuer_or_audience_is_refused() {
    let ours = |issuer: Value, audience: Value| {
        let mut all = with("iss", issuer);
        all["aud"] = audience;
        judged(&all, &policy())
    };
    let issuer = json!("https://login.example.com/");
    for audience in [json!("shop"), json!(["other", "app"])] {
        assert!(ours(issuer.clone(), audience).is_ok());
    }
    for other in [
        json!("https://login.example.com"),
        json!(null),
        json!(["x"]),
    ] {
        assert_eq!(ours(other, json!("shop")), Err(Refusal::Issuer));
    }
    for other in [
        json!("Shop"),
        json!([]),
        json!(null),
        json!(["x"]),
        json!({"shop": 1}),
    ] {
        assert_eq!(ours(issuer.clone(), other), Err(Refusal::Audience));
    }
    assert_eq!(judged(&claims(), &policy()), Err(Refusal::Issuer));
}

#[test]
fn the_buyer_is_named_by_the_claim_that_was_chosen() {
    let by = |claim: &str, value: Value| {
        let policy = Policy {
            claim: claim.to_owned(),
            ..Policy::default()
        };
        judged(&with(claim, value), &policy)
    };
    assert_eq!(
        by("member", json!("张三")).as_deref(),
        Ok("%E5%BC%A0%E4%B8%89")
    );
    assert_eq!(by("id", json!(4711)).as_deref(), Ok("4711"));
    let wrong = [
        json!(""),
        json!(1.5),
        json!(-1),
        json!(null),
        json!({}),
        json!("x".repeat(256)),
    ];
    for value in wrong {
        assert_eq!(by("sub", value.clone()), Err(Refusal::User), "{value}");
    }
}

#[test]
fn a_huge_token_is_refused_before_it_is_read() {
    let (jwk, sign) = hs();
    let header = json!({ "alg": "HS256" });
    let fits = |length: usize| token(&header, &with("pad", json!("x".repeat(length))), &sign);
    let keys = set(&[jwk]);
    assert!(user_of(&fits(5_000), &keys, &Policy::default(), NOW_MS).is_ok());
    let huge = fits(1_000_000);
    let refusal = user_of(&huge, &keys, &Policy::default(), NOW_MS);
    assert_eq!(refusal, Err(Refusal::TooLong));
}

#[test]
fn what_is_no_token_is_malformed() {
    let texts = [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c",
        "....",
        "e30.e30.",
        "e30.e30.e30.e30",
        "null.null.null",
        "bGk.bGk.bGk",
        "eyJhbGciOiJSUzI1NiJ9.W10.",
        "+/==.+/==.+/==",
    ];
    for text in texts {
        let refusal = Token::read(text, &Policy::default(), NOW_MS).unwrap_err();
        assert_eq!(refusal, Refusal::Malformed, "{text:?}");
    }
    // Nested as deep as it will go: the parser has a limit of its own.
    let deep = encode("[".repeat(3_000).as_bytes());
    let header = encode(br#"{"alg":"RS256"}"#);
    let deep = format!("{header}.{deep}.AA");
    assert_eq!(
        Token::read(&deep, &Policy::default(), NOW_MS),
        Err(Refusal::Malformed)
    );
}

#[test]
fn a_token_has_one_mark_whatever_its_signature_and_one_of_its_jti() {
    let (jwk, sign) = ec();
    let header = json!({ "alg": "ES256", "kid": "e1" });
    let all = with("jti", json!("7"));
    // ES256 signs with a random number: two texts of one token.
    let [one, two] = [token(&header, &all, &sign), token(&header, &all, &sign)];
    assert_ne!(one, two);
    let read = |text| Token::read(text, &Policy::default(), NOW_MS).unwrap();
    let marks = read(&one).marks;
    assert_eq!(read(&two).marks, marks);
    assert_eq!(marks.jti, Some(Mark::of_jti("7")));
    assert_eq!(marks.issued_ms, Some(NOW_MS));
    let until_ms = NOW_MS + 600_000 + CLOCKS_MS;
    assert_eq!(to_revoke(&one), Some((marks.own, until_ms)));
    assert!(user_of(&one, &set(&[jwk]), &Policy::default(), NOW_MS).is_ok());
    let other = token(&header, &with("jti", json!("8")), &sign);
    assert_ne!(read(&other).marks.own, marks.own);
    let undated = json!({ "sub": "li", "exp": NOW_S + 600 });
    let undated = token(&header, &undated, &sign);
    assert_eq!(
        (read(&undated).marks.jti, read(&undated).marks.issued_ms),
        (None, None)
    );
    let endless = token(&header, &json!({ "sub": "li" }), &sign);
    let long = format!("{one}{}", "A".repeat(MAX_TOKEN));
    for none in ["", "a.b.c", "li.1.k1.d", &endless, &long] {
        assert_eq!(to_revoke(none), None);
    }
}

#[test]
fn a_token_is_told_from_a_session_and_found_in_its_header() {
    assert!(is_token("a.b.c") && !is_token("li.17.k1.digest") && !is_token("li"));
    assert_eq!(bearer(b"Bearer a.b.c"), Some("a.b.c"));
    assert_eq!(bearer(b"bearer  a.b.c "), Some("a.b.c"));
    assert_eq!(bearer(b"Basic YTpi"), None);
    assert_eq!(bearer(b"Bearer \xff"), Some(""));
    assert_eq!(bearer(b""), None);
}

proptest! {
    #[test]
    fn no_byte_can_be_changed(index in any::<prop::sample::Index>(), byte in 0x21u8..0x7f) {
        let (jwk, sign) = hs();
        let text = token(&json!({ "alg": "HS256", "kid": "h1" }), &claims(), &sign);
        let index = index.index(text.len());
        let mut bytes = text.into_bytes();
        if bytes[index] != byte {
            bytes[index] = byte;
            let forged = String::from_utf8(bytes).unwrap();
            let found = user_of(&forged, &set(&[jwk]), &Policy::default(), NOW_MS);
            prop_assert!(found.is_err(), "{forged}");
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[ -~]{0,200}") {
        let _ = Token::read(&text, &policy(), NOW_MS);
    }
}
