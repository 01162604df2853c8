//! An authority that nobody knows.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// An authority (`ca.pem`), and the certificate that it signed for "localhost" and
/// 127.0.0.1 (`cert.pem`, `key.pem`).
pub struct Authority {
    folder: TempDir,
}

impl Authority {
    pub fn new() -> Self {
        let authority = Self {
            folder: TempDir::new().unwrap(),
        };
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        authority.openssl(&format!(
            "req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=Nobody"
        ));
        authority.openssl(&format!(
            "req {key} -keyout key.pem -out request.pem -subj /CN=localhost"
        ));
        let names = "subjectAltName=DNS:localhost,IP:127.0.0.1\n";
        fs::write(authority.file("names"), names).unwrap();
        authority.openssl(
            "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
             -out cert.pem -extfile names",
        );
        authority
    }

    fn openssl(&self, arguments: &str) {
        let output = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(self.folder.path())
            .output()
            .expect("openssl is installed");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments}: {said}");
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
