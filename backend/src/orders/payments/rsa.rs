//! RSA signatures with SHA-256 (PKCS #1 v1.5), which Alipay calls RSA2 and WeChat Pay
//! SHA256-RSA2048; and the keys for them, in PEM.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey,
};

use crate::http::der;

/// Tags of ASN.1 DER (ITU-T X.690).
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// A key of ours.
pub struct PrivateKey(RsaKeyPair);

/// A key of the provider.
#[derive(Clone)]
pub struct PublicKey(Vec<u8>);

impl PrivateKey {
    /// Reads PEM, `PRIVATE KEY` (PKCS #8) or `RSA PRIVATE KEY` (PKCS #1), or base64 alone.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let der = from_pem(text)?;
        let key = RsaKeyPair::from_pkcs8(&der).or_else(|_| RsaKeyPair::from_der(&der));
        let wrong = |error| format!("it is no RSA private key of 2,048 bits or more: {error}");
        key.map(Self).map_err(wrong)
    }

    /// The signature of a text, as base64.
    #[must_use]
    pub fn sign(&self, text: &[u8]) -> String {
        let mut signature = vec![0; self.0.public().modulus_len()];
        // It fails only if the system has no randomness, and then nothing is signed.
        let signed = self.0.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            text,
            &mut signature,
        );
        signed.map_or_else(|_| String::new(), |()| STANDARD.encode(signature))
    }
}

impl PublicKey {
    /// Reads PEM, `PUBLIC KEY`, `RSA PUBLIC KEY` or `CERTIFICATE`, or base64 alone.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let der = from_pem(text)?;
        let key = if text.contains("BEGIN CERTIFICATE") {
            key_of_certificate(&der)
        } else {
            key_of_info(&der).or_else(|| is_bare_key(&der).then(|| der.clone()))
        };
        let wrong = "it is no RSA public key; write PEM that begins with PUBLIC KEY or CERTIFICATE";
        key.map(Self).ok_or_else(|| wrong.to_owned())
    }

    /// Whether this is the signature, in base64, of the text.
    #[must_use]
    pub fn verifies(&self, text: &[u8], signature: &str) -> bool {
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.0);
        let signature = STANDARD.decode(signature);
        signature.is_ok_and(|signature| key.verify(text, &signature).is_ok())
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("******")
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a public key of {} bytes", self.0.len())
    }
}

/// The bytes of PEM; providers' consoles also show the base64 alone.
fn from_pem(text: &str) -> Result<Vec<u8>, String> {
    let lines = text.lines().map(str::trim);
    let base64: String = lines.filter(|line| !line.starts_with("-----")).collect();
    let decoded = STANDARD.decode(&base64);
    match decoded {
        Ok(bytes) if !bytes.is_empty() => Ok(bytes),
        _ => Err("it is no PEM".to_owned()),
    }
}

/// The first element if it has this tag: its contents, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, contents, after) = der::element(der)?;
    (found == tag).then_some((contents, after))
}

/// The key in a SubjectPublicKeyInfo (RFC 5280): a sequence of the algorithm and the bits.
fn key_of_info(der: &[u8]) -> Option<Vec<u8>> {
    let (info, _) = element(der, SEQUENCE)?;
    let (_, after_algorithm) = element(info, SEQUENCE)?;
    let (bits, _) = element(after_algorithm, BIT_STRING)?;
    let (&unused, key) = bits.split_first()?;
    (unused == 0 && is_bare_key(key)).then(|| key.to_vec())
}

/// Whether this is an RSAPublicKey (RFC 8017): a sequence of modulus and exponent.
fn is_bare_key(der: &[u8]) -> bool {
    let key = element(der, SEQUENCE);
    let modulus = key.and_then(|(key, _)| element(key, INTEGER));
    modulus.is_some_and(|(_, exponent)| element(exponent, INTEGER).is_some())
}

/// The key of a certificate (RFC 5280), which follows its subject.
fn key_of_certificate(der: &[u8]) -> Option<Vec<u8>> {
    let (certificate, _) = element(der, SEQUENCE)?;
    let (mut rest, _) = element(certificate, SEQUENCE)?;
    if let Some((_, after)) = element(rest, VERSION) {
        rest = after;
    }
    let (_, mut rest) = element(rest, INTEGER)?;
    // Signature algorithm, issuer, validity, subject.
    for _ in 0..4 {
        (_, rest) = element(rest, SEQUENCE)?;
    }
    key_of_info(rest)
}

#[cfg(test)]
pub(super) mod tests {
    use std::process::Command;

    use super::*;

    /// A key that was made just now.
    pub(in crate::orders::payments) fn new_key() -> PrivateKey {
        let arguments = [
            "genpkey",
            "-algorithm",
            "RSA",
            "-pkeyopt",
            "rsa_keygen_bits:2048",
        ];
        let made = Command::new("openssl").args(arguments).output();
        let pem = made.expect("openssl is installed").stdout;
        PrivateKey::parse(&String::from_utf8(pem).unwrap()).unwrap()
    }

    /// A key with its signature of "source", and the same key in a certificate: as
    /// published with the tests of WeChat Pay's SDK for Go.
    const KEY: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA2VCTd91fnUn73Xy9DLvt
/V62TVxRTEEstVdeRaZ3B3leO0pldE806mXO4RwdHXagHQ4vGeZN0yqm++rDsGK+
U3AH7kejyD2pXshNP9Cq5YwbptiLGtjcquw4HNxJQUOmDeJf2vg6byms9RUipiq4
SzbJKqJFlUpbuIPDpSpWz10PYmyCNeDGUUK65E5h2B834uxl1zNLYQCrkdBzb8oU
xwYeP5a2DNxmjL5lsJML7DGr5znsevnoqGRwTm9fxCGfy8wus7hwKz6clt3Whmmd
a7UAdb1c08hEQFVRbF14AR73xbnd8N0obCWJPCbzMCtkaSef4FdEEgEXJiw0VAJT
8wIDAQAB
-----END PUBLIC KEY-----";
    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIDVzCCAj+gAwIBAgIJAPV2V1YAL913MA0GCSqGSIb3DQEBCwUAMEIxCzAJBgNV
BAYTAlhYMRUwEwYDVQQHDAxEZWZhdWx0IENpdHkxHDAaBgNVBAoME0RlZmF1bHQg
Q29tcGFueSBMdGQwHhcNMjEwNDI3MDg0MDMyWhcNMzEwNDI1MDg0MDMyWjBCMQsw
CQYDVQQGEwJYWDEVMBMGA1UEBwwMRGVmYXVsdCBDaXR5MRwwGgYDVQQKDBNEZWZh
dWx0IENvbXBhbnkgTHRkMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA
2VCTd91fnUn73Xy9DLvt/V62TVxRTEEstVdeRaZ3B3leO0pldE806mXO4RwdHXag
HQ4vGeZN0yqm++rDsGK+U3AH7kejyD2pXshNP9Cq5YwbptiLGtjcquw4HNxJQUOm
DeJf2vg6byms9RUipiq4SzbJKqJFlUpbuIPDpSpWz10PYmyCNeDGUUK65E5h2B83
4uxl1zNLYQCrkdBzb8oUxwYeP5a2DNxmjL5lsJML7DGr5znsevnoqGRwTm9fxCGf
y8wus7hwKz6clt3Whmmda7UAdb1c08hEQFVRbF14AR73xbnd8N0obCWJPCbzMCtk
aSef4FdEEgEXJiw0VAJT8wIDAQABo1AwTjAdBgNVHQ4EFgQUT1c7nd/SUO76HSoZ
umNUJv1R5PwwHwYDVR0jBBgwFoAUT1c7nd/SUO76HSoZumNUJv1R5PwwDAYDVR0T
BAUwAwEB/zANBgkqhkiG9w0BAQsFAAOCAQEAM+tslqBxYwqL9fdvGG6hfy69sjfX
UhBtBLWYugKKQCOWWLeq5dDWm3i5Cx2Rgiy9uc7RfmJNxQfIKlcoCNP85BjDoG1B
YnVc6znlcrT9uHgseha3987WwZsFAQbcy8TLUYHzVB8gmDgq8O08xdIe0eczatI8
t3Rg8WXO6Gs66JJ4JR+rD01o3FiSOQCRWhn19NSyDydsgPlOR2t9B9L+MkJwlsMG
Krn85TnwL3qcInzRnU8X86faXXJrI0IJi44tECKw8ftngCl6vyNwNNKPDwdkcuuV
8y3iBixO5IuKxEKEp2wGPV/4W1AXO73Z3Gb7z/1oxdgeO0hVqz1hBasTCQ==
-----END CERTIFICATE-----";
    const SIGNATURE: &str = "BKyAfU4iMCuvXMXS0Wzam3V/cnxZ+JaqigPM5OhljS2iOT95OO6Fsuml2JkFANJU9K6q9bLlDhPXuoVz+pp4hAm6pHU4ld815U4jsKu1RkyaII+1CYBUYC8TK0XtJ8FwUXXz8vZHh58rrAVN1XwNyvD1vfpxrMT4SL536GLwvpUHlCqIMzoZUguLli/K8V29QiOhuH6IEqLNJn8e9b3nwNcQ7be3CzYGpDAKBfDGPCqCv8Rw5zndhlffk2FEA70G4hvMwe51qMN/RAJbknXG23bSlObuTCN7Ndj1aJGH6/L+hdwfLpUtJm4QYVazzW7DFD27EpSQEqA8bX9+8m1rLg==";

    #[test]
    fn a_published_signature_holds_for_its_text_by_key_and_by_certificate() {
        let bare: String = KEY.lines().filter(|line| !line.starts_with('-')).collect();
        for text in [KEY, CERTIFICATE, &bare] {
            let key = PublicKey::parse(text).unwrap();
            assert!(key.verifies(b"source", SIGNATURE));
            assert!(!key.verifies(b"wrong source", SIGNATURE));
            for bad in ["", "zz", &SIGNATURE[..340]] {
                assert!(!key.verifies(b"source", bad));
            }
        }
    }

    #[test]
    fn what_we_sign_is_verified_by_our_public_key() {
        let key = new_key();
        let public = PublicKey(key.0.public().as_ref().to_vec());
        let signature = key.sign("支付".as_bytes());
        assert!(public.verifies("支付".as_bytes(), &signature));
        assert!(!public.verifies(b"other", &signature));
    }

    #[test]
    fn what_is_no_key_is_refused_however_it_is_cut() {
        let der = from_pem(CERTIFICATE).unwrap();
        for cut in 0..der.len() {
            let text = format!(
                "-----BEGIN CERTIFICATE-----\n{}\n",
                STANDARD.encode(&der[..cut])
            );
            assert!(PublicKey::parse(&text).is_err(), "{cut}");
        }
        for bad in [
            "",
            "nonsense",
            "-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----",
        ] {
            assert!(
                PublicKey::parse(bad).is_err() && PrivateKey::parse(bad).is_err(),
                "{bad}"
            );
        }
    }
}
