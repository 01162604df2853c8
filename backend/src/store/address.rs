//! Addresses of databases: what kind is meant, what the driver is given, and what to do
//! when a database cannot be opened.

use std::borrow::Cow;
use std::io;
use std::path::Path;

/// The kind of database; SQL that differs is chosen by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Sqlite,
    Mysql,
    Postgres,
}

impl Kind {
    /// The kind of the database at this address.
    pub(super) fn of(url: &str) -> Option<Self> {
        match url.split_once(':')?.0 {
            "sqlite" => Some(Self::Sqlite),
            "mysql" | "mariadb" => Some(Self::Mysql),
            "postgres" | "postgresql" => Some(Self::Postgres),
            _ => None,
        }
    }
}

/// The address as the driver is given it.
///
/// A SQLite file is created unless the address says how to open it. A connection to MySQL
/// or MariaDB is encrypted only if the address says so: by itself the driver would try it
/// with every server that offers TLS, and fail at those whose TLS is of another age.
pub(super) fn for_driver(url: &str) -> Cow<'_, str> {
    let (parameters, missing): (&[&str], _) = match Kind::of(url) {
        Some(Kind::Sqlite) => (&["mode"], "mode=rwc"),
        Some(Kind::Mysql) => (&["ssl-mode", "sslmode"], "ssl-mode=disabled"),
        Some(Kind::Postgres) | None => return Cow::Borrowed(url),
    };
    let Some((_, query)) = url.split_once('?') else {
        return Cow::Owned(format!("{url}?{missing}"));
    };
    let mut names = query.split('&').filter_map(|it| it.split('=').next());
    match names.any(|name| parameters.contains(&name)) {
        true => Cow::Borrowed(url),
        false => Cow::Owned(format!("{url}&{missing}")),
    }
}

/// What an operator should do about a database that could not be opened for this reason.
pub(super) fn cure(kind: Kind, url: &str, reason: &sqlx::Error) -> &'static str {
    match (kind, trouble(reason)) {
        (Kind::Sqlite, _) => sqlite_cure(url, reason),
        (Kind::Postgres, Trouble::Certificate) => {
            "name the file with the authority that signed the server's certificate by \
             sslrootcert=/path/to/ca.pem, and the server by a name in that certificate"
        }
        (Kind::Mysql, Trouble::Certificate) => {
            "name the file with the authority that signed the server's certificate by \
             ssl-ca=/path/to/ca.pem, and the server by a name in that certificate"
        }
        (_, Trouble::Password) => {
            "MySQL takes such a password on an encrypted connection alone: add ?ssl-mode=required to \
             the address"
        }
        (_, Trouble::NoTls) => {
            "turn TLS on at the server, or leave it out of the address (a socket has none)"
        }
        (_, Trouble::File) => {
            "check that the socket, and each file that the address names, exists and can be read"
        }
        (_, Trouble::Other) => {
            "check that the server runs there, and that this user may use the database"
        }
    }
}

fn sqlite_cure(url: &str, reason: &sqlx::Error) -> &'static str {
    let path = url.trim_start_matches("sqlite:").split('?').next();
    let path = path.map(|path| path.strip_prefix("//").unwrap_or(path));
    if path.is_some_and(|path| Path::new(path).is_dir()) {
        return "this is a folder; name a file in it";
    }
    match sqlite_code(reason) {
        Some(SQLITE_CORRUPT | SQLITE_NOTADB) => {
            "this file is no database of SQLite, or a damaged one; name another, or restore a \
             backup"
        }
        Some(SQLITE_IOERR | SQLITE_FULL) => "check that its disk works and has room",
        _ => "check that its folder exists and can be written to",
    }
}

/// Result codes of SQLite (sqlite.org/rescode.html), without what extends them.
const SQLITE_BUSY: u32 = 5;
const SQLITE_LOCKED: u32 = 6;
const SQLITE_IOERR: u32 = 10;
const SQLITE_CORRUPT: u32 = 11;
const SQLITE_FULL: u32 = 13;
const SQLITE_NOTADB: u32 = 26;

fn sqlite_code(reason: &sqlx::Error) -> Option<u32> {
    let code = reason.as_database_error()?.code()?;
    let code: u32 = code.parse().ok()?;
    Some(code & 0xff)
}

/// Whether another process keeps a SQLite file for the moment.
pub(super) fn is_busy(reason: &sqlx::Error) -> bool {
    matches!(sqlite_code(reason), Some(SQLITE_BUSY | SQLITE_LOCKED))
}

/// What a server cannot be reached by.
enum Trouble {
    /// Its certificate is not trusted, or is another's.
    Certificate,
    /// It does not do TLS.
    NoTls,
    /// It wants a password that is not sent in the clear.
    Password,
    /// A file is missing or closed: a socket, or the authority's certificate.
    File,
    Other,
}

fn trouble(reason: &sqlx::Error) -> Trouble {
    match reason {
        error if wants_secrecy(error) => Trouble::Password,
        sqlx::Error::Tls(error) if error.to_string().contains("not support TLS") => Trouble::NoTls,
        sqlx::Error::Tls(_) => Trouble::Certificate,
        // What rustls finds wrong in a handshake.
        sqlx::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            Trouble::Certificate
        }
        sqlx::Error::Io(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
            ) =>
        {
            Trouble::File
        }
        _ => Trouble::Other,
    }
}

/// Whether the server asked for the password of a user with `caching_sha2_password`, the
/// default from MySQL 8 on, on a connection that is not encrypted. The driver could encrypt
/// the password alone, by a key that anybody in between may have sent.
fn wants_secrecy(reason: &sqlx::Error) -> bool {
    let sqlx::Error::Configuration(error) = reason else {
        return false;
    };
    error.to_string().contains("RSA auth backend disabled")
}

/// The reason as an operator reads it, where the driver speaks of how it was built.
pub(super) fn in_words(reason: sqlx::Error) -> sqlx::Error {
    match wants_secrecy(&reason) {
        true => sqlx::Error::Configuration(UNSENT.into()),
        false => reason,
    }
}

const UNSENT: &str = "the server asks for the password itself (caching_sha2_password), which is not sent in the clear";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_that_is_not_sent_in_the_clear_names_the_cure_and_not_the_build() {
        let said = "RSA auth backend disabled; enable feature `mysql-rsa` or use TLS.";
        let reason = sqlx::Error::Configuration(said.into());
        let cure = cure(Kind::Mysql, "mysql://h/d", &reason);
        assert!(cure.ends_with("add ?ssl-mode=required to the address"));
        let told = in_words(reason).to_string();
        assert!(told.contains("caching_sha2_password") && !told.contains("feature"));
    }

    #[test]
    fn what_an_address_does_not_say_is_added_and_what_it_says_stays() {
        let cases = [
            ("sqlite:/s.db", "sqlite:/s.db?mode=rwc"),
            (
                "sqlite:/s.db?cache=shared",
                "sqlite:/s.db?cache=shared&mode=rwc",
            ),
            ("sqlite:/s.db?mode=ro", "sqlite:/s.db?mode=ro"),
            ("mysql://h/d", "mysql://h/d?ssl-mode=disabled"),
            ("mariadb://h/d", "mariadb://h/d?ssl-mode=disabled"),
            (
                "mysql://h/d?socket=/run/ssl-mode",
                "mysql://h/d?socket=/run/ssl-mode&ssl-mode=disabled",
            ),
            (
                "mysql://h/d?ssl-mode=required",
                "mysql://h/d?ssl-mode=required",
            ),
            (
                "mysql://h/d?ssl-ca=/c&sslmode=verify_ca",
                "mysql://h/d?ssl-ca=/c&sslmode=verify_ca",
            ),
            ("postgres://h/d", "postgres://h/d"),
        ];
        for (written, given) in cases {
            assert_eq!(for_driver(written), given);
        }
    }
}
