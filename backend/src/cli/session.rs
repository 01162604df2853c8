//! `seckill session …`: sessions of buyers, made, judged and revoked by hand.

use std::io::Read as _;

use anyhow::Context as _;
use clap::Subcommand;
use clap::builder::NonEmptyStringValueParser;
use seckill_core::ids;
use seckill_core::signing::keyring::Keyring;
use seckill_core::signing::session::{self, Session};
use serde_json::json;

use super::audited::AuditLog;
use super::bans::whoever_runs_this;
use super::say;
use super::texts::MARK;
use crate::config::Config;
use crate::edges::bans::parse_time;
use crate::edges::sessions::{self, Named, Revocation, RevokeError};
use crate::now_ms;
use crate::redis::RedisLink;
use crate::store::Done;
use crate::time::rfc3339;

#[derive(Debug, Subcommand)]
pub(crate) enum SessionCommand {
    /// Print a session for a buyer, signed with the first key of the key ring
    ///
    /// The value of the cookie seckill_session. Whoever has it is that buyer.
    Mint {
        /// The buyer, as your login names them
        #[arg(value_name = "USER")]
        user: String,
        /// For how long, such as 30s, 15m, 1h, 7d; 30d at most
        #[arg(long = "for", value_name = "TIME", default_value = "1d", value_parser = parse_time)]
        time_ms: u64,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Say whose session this is and until when; the exit status is 1 if it is not valid
    Verify {
        /// The session; "-" reads it from standard input
        #[arg(value_name = "SESSION")]
        session: String,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Refuse a session or token from now on, at every edge within a second
    ///
    /// Whoever was logged out by mistake logs in again; nothing brings a session back.
    Revoke(RevokeArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct RevokeArgs {
    /// A session, or a token of your login; "-" reads it from standard input
    #[arg(value_name = "SESSION", required_unless_present_any = ["user", "jti"])]
    session: Option<String>,
    /// All that this buyer was issued until now, named as your login names them
    #[arg(long, value_name = "USER", value_parser = NonEmptyStringValueParser::new(), conflicts_with_all = ["session", "jti"])]
    user: Option<String>,
    /// The token of your login with this jti
    #[arg(long, value_name = "JTI", value_parser = NonEmptyStringValueParser::new(), conflicts_with = "session")]
    jti: Option<String>,
    /// How long that token still lasts, such as 15m, 1h, 7d
    #[arg(
        long = "for", value_name = "TIME", requires = "jti", default_value = "30d",
        value_parser = parse_time
    )]
    time_ms: u64,
    /// As JSON, for programs
    #[arg(long)]
    json: bool,
}

impl RevokeArgs {
    fn read(&self, now_ms: u64) -> anyhow::Result<Revocation> {
        if let Some(user) = &self.user {
            let written = ids::user::given(user).filter(|written| ids::is_user(written));
            return written
                .and_then(|written| Revocation::of_user(&written, None, now_ms))
                .ok_or_else(|| anyhow::anyhow!("\"{user}\" is no user; write 1 to 255 bytes"));
        }
        if let Some(jti) = &self.jti {
            return Ok(Revocation::of_jti(jti, Some(now_ms + self.time_ms), now_ms));
        }
        let text = given(self.session.as_deref().unwrap_or_default())?;
        Revocation::of_session(text.trim(), now_ms).ok_or_else(|| {
            anyhow::anyhow!(
                "this is no session, USER.EXPIRES-ISSUED.KID.DIGEST, and no token that ends, \
                 HEADER.PAYLOAD.SIGNATURE"
            )
        })
    }
}

/// An argument, or standard input for "-".
fn given(argument: &str) -> anyhow::Result<String> {
    if argument != "-" {
        return Ok(argument.to_owned());
    }
    let mut text = String::new();
    let read = std::io::stdin().take(16_384).read_to_string(&mut text);
    read.context("standard input cannot be read")?;
    Ok(text.strip_prefix(MARK).unwrap_or(&text).to_owned())
}

/// Runs one of the commands.
///
/// # Errors
/// The key ring cannot be read, the session is not valid, or Redis is away.
pub(crate) async fn run(config: &Config, command: SessionCommand) -> anyhow::Result<()> {
    match command {
        SessionCommand::Mint {
            user,
            time_ms,
            json,
        } => say(&mint(&keys(config)?, &user, time_ms, json)?),
        SessionCommand::Verify { session, json } => say(&verify(
            &keys(config)?,
            given(&session)?.trim(),
            now_ms(),
            json,
        )?),
        SessionCommand::Revoke(arguments) => revoke(config, &arguments).await,
    }
}

fn keys(config: &Config) -> anyhow::Result<Keyring> {
    let path = config.keys.display();
    let text = std::fs::read_to_string(&config.keys).map_err(|error| {
        anyhow::anyhow!("the key ring {path} cannot be read: {error}; SECKILL_KEYS names another")
    })?;
    Keyring::parse(&text).map_err(|error| anyhow::anyhow!("the key ring {path} is wrong: {error}"))
}

async fn revoke(config: &Config, arguments: &RevokeArgs) -> anyhow::Result<()> {
    let now_ms = now_ms();
    let revocation = arguments.read(now_ms)?;
    let redis = RedisLink::connect(&config.redis_url).await?;
    let target = match &revocation.named {
        // Not the session itself: whoever has it is that buyer.
        Named::Session(_) => revocation.named.as_str().to_owned(),
        Named::SessionsOf(user) => format!("user:{user}"),
    };
    let done = Done {
        action: "session.revoke",
        target,
        detail: json!({ "until_ms": revocation.until_ms }),
    };
    // One that has ended by itself is left alone.
    let detail = (revocation.until_ms > now_ms).then(|| done.detail.clone());
    let act = async {
        let mut conn = redis.conn().await?;
        sessions::revoke(&mut conn, &revocation, &whoever_runs_this(), now_ms).await?;
        Ok(((), detail))
    };
    let log = AuditLog::open(config).await;
    let revoked = log
        .recorded(done, act, RevokeError::may_have_happened)
        .await;
    log.close().await;
    revoked?;
    if arguments.json {
        let body = json!({
            "revoked": revocation.named.as_str(),
            "until_ms": revocation.until_ms,
        });
        return say(&format!("{body}\n"));
    }
    let until = rfc3339(revocation.until_ms);
    say(&match &revocation.named {
        _ if revocation.until_ms <= now_ms => format!("It ended by itself at {until}.\n"),
        Named::Session(_) => format!("Revoked until {until}, when it would have ended.\n"),
        Named::SessionsOf(user) => format!(
            "Revoked: all that {} was issued until now. The next login counts.\n",
            ids::user::name(user)
        ),
    })
}

fn mint(ring: &Keyring, user: &str, time_ms: u64, json: bool) -> anyhow::Result<String> {
    let written = ids::user::write(user.as_bytes())
        .ok_or_else(|| anyhow::anyhow!("\"{user}\" is no user; write 1 to 255 bytes"))?;
    if time_ms > session::MAX_LIFE_MS {
        anyhow::bail!("a session lasts 30d at most");
    }
    let issued_ms = now_ms();
    let expires_ms = issued_ms + time_ms;
    let token = session::issue(ring.first(), &written, issued_ms, expires_ms);
    Ok(if json {
        let body = json!({ "user": user, "session": token, "expires_ms": expires_ms });
        format!("{body}\n")
    } else {
        format!("{token}\n")
    })
}

fn verify(ring: &Keyring, text: &str, now_ms: u64, json: bool) -> anyhow::Result<String> {
    let session = Session::parse(text).ok_or_else(|| {
        anyhow::anyhow!(
            "this is no session: it has the form USER.EXPIRES-ISSUED.KID.DIGEST, USER percent-encoded"
        )
    })?;
    let user = ids::user::name(session.user);
    let until = rfc3339(session.expires_ms);
    if !session.is_valid(ring, 0) {
        anyhow::bail!("the session of {user} was not signed with a key of the key ring");
    }
    if !session.is_valid(ring, now_ms) {
        anyhow::bail!("the session of {user} ended at {until}");
    }
    Ok(if json {
        let body = json!({ "user": user, "expires_ms": session.expires_ms });
        format!("{body}\n")
    } else {
        format!("{user}, until {until}\n")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(secret: &str) -> Keyring {
        Keyring::parse(&format!("k1 {}", secret.repeat(32))).unwrap()
    }

    #[test]
    fn what_is_minted_is_verified() {
        let token = mint(&ring("s"), "auth0|5f7c", 60_000, false).unwrap();
        let said = verify(&ring("s"), token.trim(), now_ms(), false).unwrap();
        assert!(said.starts_with("auth0|5f7c, until "), "{said}");
        assert!(mint(&ring("s"), "", 1, false).is_err());
        assert!(mint(&ring("s"), "li", session::MAX_LIFE_MS + 1, false).is_err());
    }

    #[test]
    fn a_refusal_says_why() {
        let token = mint(&ring("s"), "li", 60_000, false).unwrap();
        let token = token.trim();
        let later = now_ms() + 3_600_000;
        for (ring, text, now_ms, said) in [
            (ring("s"), "li", 0, "no session"),
            (ring("x"), token, 0, "not signed with a key"),
            (ring("s"), token, later, "ended at"),
        ] {
            let error = verify(&ring, text, now_ms, false).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
