//! The certificates that an edge shows to its shoppers: one that has expired keeps every
//! browser out, and nothing else notices.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp};

use super::Finding;
use crate::http::der::element;
use crate::inspect::edges::Edge;

const SUBJECT: &str = "tls";
/// So long before the end a renewal is overdue: services renew a month before.
const OVERDUE: SignedDuration = SignedDuration::from_hours(14 * 24);

/// Looks at each of them.
pub(super) fn examine(edge: &Edge) -> Vec<Finding> {
    let named = edge.all("ssl_certificate");
    let files = named.filter_map(|it| edge.file(it.arguments.first()?));
    // Several servers may show the same one.
    let files: BTreeSet<_> = files.collect();
    let now = Timestamp::now();
    files.iter().map(|path| one(path, now)).collect()
}

fn one(path: &Path, now: Timestamp) -> Finding {
    let shown = path.display();
    let ends = match fs::read_to_string(path) {
        Ok(text) => expiry(&text),
        Err(error) => {
            return Finding::doubtful(
                SUBJECT,
                format!("the certificate {shown} cannot be read ({error})"),
                "run this as root",
            );
        }
    };
    let Some(ends) = ends else {
        return Finding::doubtful(
            SUBJECT,
            format!("the certificate {shown} does not say until when it is valid"),
            "look at it: openssl x509 -noout -dates -in FILE",
        );
    };
    let cure = "renew it, then: nginx -s reload";
    if ends <= now {
        let found = format!("the certificate {shown} expired at {ends}: browsers refuse the shop");
        Finding::wrong(SUBJECT, found, cure)
    } else if ends.duration_since(now) < OVERDUE {
        Finding::doubtful(
            SUBJECT,
            format!("the certificate {shown} expires at {ends}"),
            cure,
        )
    } else {
        Finding::fine(
            SUBJECT,
            format!("the certificate {shown} is valid until {ends}"),
        )
    }
}

/// When the first certificate of this file expires: that is the server's own.
fn expiry(pem: &str) -> Option<Timestamp> {
    let (_, rest) = pem.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, _) = rest.split_once("-----END CERTIFICATE-----")?;
    let body: String = body.split_whitespace().collect();
    let certificate = STANDARD.decode(body).ok()?;
    // RFC 5280, 4.1: Certificate { TBSCertificate { [0] version, serialNumber, signature,
    // issuer, validity { notBefore, notAfter }, … }, … }.
    let (_, certificate, _) = element(&certificate)?;
    let (_, mut fields, _) = element(certificate)?;
    if fields.first() == Some(&VERSION) {
        fields = element(fields)?.2;
    }
    for _ in ["serialNumber", "signature", "issuer"] {
        fields = element(fields)?.2;
    }
    let (_, validity, _) = element(fields)?;
    let (_, _, after) = element(validity)?;
    let (tag, ends, _) = element(after)?;
    time(tag, std::str::from_utf8(ends).ok()?)
}

/// Tags of DER.
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// A time of a certificate; years of two digits begin at 1950.
fn time(tag: u8, text: &str) -> Option<Timestamp> {
    let century = match (tag, text.get(..2)?.parse::<u8>().ok()?) {
        (UTC_TIME, 0..50) => "20",
        (UTC_TIME, _) => "19",
        (GENERALIZED_TIME, _) => "",
        _ => return None,
    };
    let time = DateTime::strptime("%Y%m%d%H%M%SZ", format!("{century}{text}")).ok()?;
    let time = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(time.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::doctor::Grade;

    #[test]
    fn a_certificate_is_judged_by_its_end() {
        // Valid until 2030-01-01T00:00:00Z; its key is nobody's.
        let path = Path::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/it/doctor/shop.pem"
        ));
        let grade = |now: &str| one(path, now.parse().unwrap()).grade;
        assert_eq!(grade("2029-12-01T00:00:00Z"), Grade::Fine);
        assert_eq!(grade("2029-12-20T00:00:00Z"), Grade::Doubtful);
        assert_eq!(grade("2030-01-01T00:00:01Z"), Grade::Wrong);
        assert_eq!(
            one(Path::new("/nowhere"), Timestamp::now()).grade,
            Grade::Doubtful
        );
    }

    #[test]
    fn both_kinds_of_time_are_read_and_what_is_none_is_not() {
        let shown = |tag, text| time(tag, text).map(|it| it.to_string());
        let at = |text: &str| Some(text.to_owned());
        assert_eq!(shown(UTC_TIME, "491231235959Z"), at("2049-12-31T23:59:59Z"));
        assert_eq!(shown(UTC_TIME, "500101000000Z"), at("1950-01-01T00:00:00Z"));
        assert_eq!(
            shown(GENERALIZED_TIME, "20500101000000Z"),
            at("2050-01-01T00:00:00Z")
        );
        assert_eq!(shown(UTC_TIME, "é"), None);
        assert_eq!(
            expiry("-----BEGIN CERTIFICATE-----MIIB-----END CERTIFICATE-----"),
            None
        );
    }
}
