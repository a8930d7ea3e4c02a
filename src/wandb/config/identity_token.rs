//! The exchange of an identity token (a JWT in a file) for access tokens, and their cache on disk.
//!
//! The cache is the SDK's own file: whoever of the two exchanged last has served both. It is 0600,
//! replaced by a rename, and entries for other servers in it are kept.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;

use super::BaseUrl;
use crate::model::{Error, ErrorKind};
use crate::telemetry::{Meter, RequestKind, RequestRecord};
use crate::wandb::{Secret, TokenSource};

/// A token with this much or less of its life left is exchanged anew (the SDK's rule).
const RENEW_BEFORE: SignedDuration = SignedDuration::from_mins(5);
/// Time of one attempt, of all together, how often one is repeated, and the waits between (the
/// SDK's rule: 1 to 5 s).
const ATTEMPT: Duration = Duration::from_secs(10);
const TOTAL: Duration = Duration::from_secs(60);
const RETRIES: u32 = 3;
const WAITS: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];
/// `expires_at` in the file, UTC.
const TIME_FORMAT: &str = "%Y-%m-%d %H:%M:%S";

/// Access tokens for one server, exchanged when needed. One exchange at a time.
#[derive(Debug)]
pub struct IdentityToken {
    base_url: BaseUrl,
    token_file: PathBuf,
    credentials_file: PathBuf,
    http: reqwest::Client,
    meter: Arc<Meter>,
    current: Mutex<Option<AccessToken>>,
}

#[derive(Debug, Clone)]
struct AccessToken {
    secret: Secret,
    expires: Timestamp,
}

impl AccessToken {
    fn is_fresh(&self) -> bool {
        self.expires.duration_since(Timestamp::now()) > RENEW_BEFORE
    }
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    expires_in: f64,
}

impl IdentityToken {
    /// A source of tokens for `base_url` from the JWT in `token_file`, cached in
    /// `credentials_file`. Nothing is read yet. Exchanges go through `http`, counted in `meter`.
    pub fn new(
        base_url: BaseUrl,
        token_file: PathBuf,
        credentials_file: PathBuf,
        http: reqwest::Client,
        meter: Arc<Meter>,
    ) -> Self {
        Self {
            base_url,
            token_file,
            credentials_file,
            http,
            meter,
            current: Mutex::new(None),
        }
    }

    async fn exchange(&self) -> Result<AccessToken, Error> {
        let jwt = std::fs::read_to_string(&self.token_file).map_err(|error| {
            let what = format!("identity token file {}", self.token_file.display());
            Error::caused_by(ErrorKind::NotSignedIn, what, "cannot be read", error)
        })?;
        let started = Instant::now();
        let mut attempt = 0;
        loop {
            let error = match self.attempt(jwt.trim()).await {
                Ok(token) => return Ok(token),
                Err(error) => error,
            };
            let wait = WAITS[attempt.min(RETRIES - 1) as usize];
            let may_repeat = error.kind() == ErrorKind::Network
                && attempt < RETRIES
                && started.elapsed() + wait < TOTAL;
            if !may_repeat {
                return Err(error);
            }
            attempt += 1;
            tokio::time::sleep(wait).await;
        }
    }

    async fn attempt(&self, jwt: &str) -> Result<AccessToken, Error> {
        let refused = |kind, why: String| Error::new(kind, self.base_url.as_str(), why);
        let started = Instant::now();
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("assertion", jwt),
        ];
        let sent = self
            .http
            .post(format!("{}/oidc/token", self.base_url))
            .timeout(ATTEMPT)
            .form(&form)
            .send()
            .await;
        let response = sent.map_err(|error| {
            self.record(0, 0, started);
            Error::caused_by(
                ErrorKind::Network,
                self.base_url.as_str(),
                "the identity token could not be exchanged",
                error.without_url(),
            )
        })?;
        let status = response.status();
        let body = response.bytes().await.unwrap_or_default();
        self.record(status.as_u16(), body.len(), started);
        if !status.is_success() {
            let final_refusal = status.is_client_error() && status.as_u16() != 429;
            let kind = if final_refusal {
                ErrorKind::NotSignedIn
            } else {
                ErrorKind::Network
            };
            return Err(refused(
                kind,
                format!("the identity token was refused ({status})"),
            ));
        }
        let answer: Answer = serde_json::from_slice(&body).map_err(|error| {
            let why = "the answer to the identity token makes no sense";
            Error::caused_by(ErrorKind::Network, self.base_url.as_str(), why, error)
        })?;
        let life = SignedDuration::try_from_secs_f64(answer.expires_in).unwrap_or_default();
        Ok(AccessToken {
            secret: Secret::new(answer.access_token),
            expires: Timestamp::now().saturating_add(life).unwrap_or_default(),
        })
    }

    fn record(&self, status: u16, bytes: usize, started: Instant) {
        self.meter.record_request(&RequestRecord {
            operation: "POST /oidc/token".into(),
            kind: RequestKind::Token,
            status,
            bytes: bytes as u64,
            elapsed: started.elapsed(),
        });
    }
}

#[async_trait]
impl TokenSource for IdentityToken {
    async fn token(&self) -> Result<Secret, Error> {
        let mut current = self.current.lock().await;
        if let Some(token) = current.as_ref().filter(|token| token.is_fresh()) {
            return Ok(token.secret.clone());
        }
        let cached = read_cache(&self.credentials_file, self.base_url.as_str());
        let token = match cached.filter(AccessToken::is_fresh) {
            Some(token) => token,
            None => {
                let token = self.exchange().await?;
                if let Err(error) =
                    write_cache(&self.credentials_file, self.base_url.as_str(), &token)
                {
                    tracing::warn!(file = %self.credentials_file.display(), %error, "access token not kept on disk");
                }
                token
            }
        };
        *current = Some(token.clone());
        Ok(token.secret)
    }
}

fn read_file(path: &Path) -> Map<String, Value> {
    std::fs::read(path)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default()
}

/// The entry of a server, where the file has one that makes sense.
fn read_cache(path: &Path, base_url: &str) -> Option<AccessToken> {
    let file = read_file(path);
    let entry = file.get("credentials")?.get(base_url)?;
    let secret = Secret::new(entry.get("access_token")?.as_str()?);
    let expires = DateTime::strptime(TIME_FORMAT, entry.get("expires_at")?.as_str()?).ok()?;
    let expires = expires.to_zoned(TimeZone::UTC).ok()?.timestamp();
    Some(AccessToken { secret, expires })
}

fn write_cache(path: &Path, base_url: &str, token: &AccessToken) -> std::io::Result<()> {
    let mut file = read_file(path);
    let all = file
        .entry("credentials")
        .or_insert_with(|| Value::Object(Map::new()));
    if !all.is_object() {
        *all = Value::Object(Map::new());
    }
    all[base_url] = json!({
        "access_token": token.secret.expose(),
        "expires_at": token.expires.strftime(TIME_FORMAT).to_string(),
    });
    let dir = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir)?;
    let mut temporary = tempfile::NamedTempFile::new_in(dir)?; // made with mode 0600
    temporary.write_all(&serde_json::to_vec(&file)?)?;
    temporary.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn token(minutes: i64) -> AccessToken {
        AccessToken {
            secret: Secret::new("t0ken"),
            expires: Timestamp::now() + SignedDuration::from_mins(minutes),
        }
    }

    #[test]
    fn the_cache_is_private_and_keeps_other_servers() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/credentials.json");
        write_cache(&path, "http://a", &token(60)).unwrap();
        write_cache(&path, "http://b", &token(60)).unwrap();
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(read_cache(&path, "http://a").unwrap().is_fresh());
        assert!(read_cache(&path, "http://b").unwrap().is_fresh());
        assert!(read_cache(&path, "http://c").is_none());
    }

    #[test]
    fn five_minutes_are_too_few() {
        assert!(!token(5).is_fresh());
        assert!(token(6).is_fresh());
    }

    #[test]
    fn the_sdks_file_is_understood_and_rubbish_is_not_fatal() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.json");
        std::fs::write(&path, r#"{"credentials":{"http://a":{"access_token":"x","expires_at":"2026-01-31 12:34:56"}}}"#).unwrap();
        let found = read_cache(&path, "http://a").unwrap();
        assert_eq!(found.expires.to_string(), "2026-01-31T12:34:56Z");
        std::fs::write(&path, "[]").unwrap();
        assert!(read_cache(&path, "http://a").is_none());
        write_cache(&path, "http://a", &token(60)).unwrap();
        assert!(read_cache(&path, "http://a").is_some());
    }
}
