//! The cure when the certificate of a service is refused. The TLS library's own
//! message names issuers and names, and not where an operator configures whom to
//! trust.

/// How rustls begins a message about a certificate.
const REFUSED: &str = "invalid peer certificate";

/// The failure, followed by the cure if a certificate was refused.
pub(crate) fn with_cure(failure: String) -> String {
    if !failure.contains(REFUSED) {
        return failure;
    }
    let cure = if failure.contains("UnknownIssuer") {
        "add the authority that signed it to those that this machine trusts \
         (update-ca-certificates), or name a file that holds it in SSL_CERT_FILE, which then \
         takes the place of the machine's own list"
    } else if failure.contains("NotValidForName") || failure.contains("not valid for name") {
        "write the receiver's address with a name that its certificate bears"
    } else if failure.contains("Expired") || failure.contains("expired") {
        "have the receiver renew it, and check this machine's clock"
    } else {
        "have the receiver use a valid certificate"
    };
    format!("{failure}; {cure}")
}

#[cfg(test)]
mod tests {
    use super::with_cure;

    #[test]
    fn a_refused_certificate_comes_with_its_cure_and_other_failures_stay_as_they_are() {
        let unknown = with_cure("client error: invalid peer certificate: UnknownIssuer".to_owned());
        assert!(unknown.contains("SSL_CERT_FILE"), "{unknown}");
        let name = with_cure(
            "invalid peer certificate: certificate not valid for name \"a\"; certificate is only \
             valid for DnsName(\"b\")"
                .to_owned(),
        );
        assert!(name.contains("name that its certificate bears"), "{name}");
        let old = with_cure("invalid peer certificate: certificate expired: …".to_owned());
        assert!(old.contains("clock"), "{old}");
        let away = "tcp connect error: Connection refused".to_owned();
        assert_eq!(with_cure(away.clone()), away);
    }
}
