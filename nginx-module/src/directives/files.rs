//! Files that a directive names: keys, passwords, certificates.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use ngx::ffi::{NGX_OK, ngx_conf_full_name, ngx_int_t, ngx_str_t};
use seckill_core::gate::directive::{self, Password, Tls};
use seckill_core::signing::jwt::KeySet;

use super::reading::Reading;
use crate::conf::Login;
use seckill_tls::{SYSTEM_AUTHORITIES, TlsClient};

impl Reading<'_> {
    /// A file's name, relative to the folder of nginx's configuration, made absolute.
    pub(super) fn full_name(&self, name: &str) -> Result<String, String> {
        if name.is_empty() {
            return Err("\"\" must be the name of a file".to_owned());
        }
        // SAFETY: the name is copied into the pool; nginx makes it absolute there.
        unsafe {
            let mut name = ngx_str_t::from_str((*self.cf).pool, name);
            if ngx_conf_full_name((*self.cf).cycle, &mut name, 1) != NGX_OK as ngx_int_t {
                return Err("memory is short".to_owned());
            }
            Ok(name.to_str().unwrap_or_default().to_owned())
        }
    }

    /// A login with its password, which may be in a file.
    pub(super) fn login(&self, login: &directive::Login) -> Result<Login, String> {
        let password = match &login.password {
            None => None,
            Some(Password::Text(text)) => Some(text.clone()),
            Some(Password::File(name)) => {
                let path = self.full_name(name)?;
                let text = read_secret(&path)?;
                let password = text.trim_end_matches(['\r', '\n']);
                if password.is_empty() {
                    return Err(format!(
                        "file \"{path}\" is empty; write the password into it"
                    ));
                }
                Some(password.to_owned())
            }
        };
        Ok(Login {
            user: login.user.clone(),
            password,
        })
    }

    /// The files of TLS, read.
    pub(super) fn tls(&self, tls: &Tls) -> Result<TlsClient, String> {
        let read = |name: &str| {
            let path = self.full_name(name)?;
            fs::read(&path).map_err(|error| unreadable(&path, &error))
        };
        let ca = match &tls.ca {
            Some(name) => read(name)?,
            None => fs::read(SYSTEM_AUTHORITIES).map_err(|error| {
                format!(
                    "{SYSTEM_AUTHORITIES}: {error}; install ca-certificates, or name a file by ca="
                )
            })?,
        };
        let identity = match &tls.identity {
            Some((cert, key)) => {
                let key = read_secret(&self.full_name(key)?)?;
                Some((read(cert)?, key.into_bytes()))
            }
            None => None,
        };
        let identity = identity.as_ref().map(|(cert, key)| (&cert[..], &key[..]));
        TlsClient::new(&ca, identity, tls.name.as_deref())
    }
}

fn unreadable(path: &str, error: &std::io::Error) -> String {
    format!("file \"{path}\" cannot be read: {error}")
}

/// Reads a file that only its owner and group may read.
pub(super) fn read_secret(path: &str) -> Result<String, String> {
    let found = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if found.is_dir() {
        return Err(format!("\"{path}\" is a folder; name the file in it"));
    }
    let mode = found.permissions().mode();
    if mode & 0o007 != 0 {
        return Err(format!(
            "file \"{path}\" is open to others; run: chmod o= {path}"
        ));
    }
    fs::read_to_string(path).map_err(|error| unreadable(path, &error))
}

/// Reads a set of keys that verify tokens. Secrets among them must not be open to others.
pub(super) fn read_key_set(path: &str) -> Result<KeySet, String> {
    let text = fs::read(path).map_err(|error| unreadable(path, &error))?;
    let keys = KeySet::parse(&text).map_err(|error| format!("file \"{path}\": {error}"))?;
    if KeySet::parse_public(&text).is_err() {
        read_secret(path)?;
    }
    Ok(keys)
}
