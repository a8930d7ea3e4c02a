//! Configuration and credentials, found where the SDK 0.31.0 finds them (protocol §1).
//!
//! [`Config::load`] is a pure function of the program's own flags and an [`Environment`] (variables,
//! home, current directory), so that tests hand it any situation. Every value carries the words
//! that say where it was found; keys never leave their [`Secret`].
//!
//! Order, first hit wins: flags, environment, workspace settings, global settings, defaults; for the
//! credential: `--api-key-file`, `WANDB_API_KEY` or `WANDB_IDENTITY_TOKEN_FILE` (both is an error),
//! netrc, `api_key` of a settings file.

pub mod api_key;
mod base_url;
mod credential;
mod identity_token;
mod ini;
mod netrc;
mod settings;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::{Authorization, ClientConfig, Purpose, http_client};
use crate::model::EntityName;
use crate::telemetry::Meter;

pub use base_url::{BaseUrl, BaseUrlError};
pub use credential::{Credential, CredentialError, CredentialKind};
pub use identity_token::IdentityToken;
use settings::Settings;

/// A value and, in words, where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// `environment variable WANDB_BASE_URL`, `settings file /…/settings`, `default`.
    pub source: String,
}

impl<T> Sourced<T> {
    /// A value found at `source`.
    pub fn new(value: T, source: impl Into<String>) -> Self {
        Self {
            value,
            source: source.into(),
        }
    }
}

/// What the process runs in, injected so that tests can make up any.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// Environment variables that are UTF-8.
    pub variables: BTreeMap<String, String>,
    /// Home directory, what `~` stands for.
    pub home: PathBuf,
    /// Current directory, where the workspace's settings are.
    pub current_dir: PathBuf,
}

impl Environment {
    /// That of this process. Without a home the root directory stands in.
    pub fn of_process() -> Self {
        let variables: BTreeMap<_, _> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self {
            home: std::env::home_dir().unwrap_or_else(|| PathBuf::from("/")),
            current_dir: std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
            variables,
        }
    }

    /// A variable, which may be the empty text.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// A path as a person writes it: `~` is home, relative ones begin at the current directory.
    pub fn expand(&self, path: &str) -> PathBuf {
        self.current_dir.join(expand_user(path, &self.home))
    }

    /// The user's cache directory (`$XDG_CACHE_HOME`, where absolute, or `~/.cache`).
    pub fn user_cache_dir(&self) -> PathBuf {
        self.xdg("XDG_CACHE_HOME", ".cache")
    }

    /// The user's state directory (`$XDG_STATE_HOME`, where absolute, or `~/.local/state`).
    pub fn user_state_dir(&self) -> PathBuf {
        self.xdg("XDG_STATE_HOME", ".local/state")
    }

    fn xdg(&self, variable: &str, fallback: &str) -> PathBuf {
        match self.get(variable).map(Path::new) {
            Some(path) if path.is_absolute() => path.to_owned(),
            _ => self.home.join(fallback),
        }
    }
}

/// What the program's own flags say; they win over everything.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Address of the API: the demo's own server.
    pub base_url: Option<String>,
    /// `--api-key-file`.
    pub api_key_file: Option<PathBuf>,
    /// `--cache-dir`.
    pub cache_dir: Option<PathBuf>,
}

/// The configuration of one run of the program.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address of the API.
    pub base_url: Sourced<BaseUrl>,
    /// Address of the app, without a slash at its end.
    pub app_url: String,
    /// Who asks, or why nobody knows. Browsing public projects needs none, so this is no error yet.
    pub credential: Result<Credential, CredentialError>,
    /// Default entity; the viewer's without.
    pub entity: Option<Sourced<String>>,
    /// Default project; `uncategorized` without.
    pub project: Option<Sourced<String>>,
    /// Organisation for registry paths.
    pub organization: Option<Sourced<String>>,
    /// Root of the cache that the SDK shares; artifacts live in its `artifacts`.
    pub cache_dir: Sourced<PathBuf>,
    /// Headers for every request to W&B. They may hold secrets.
    pub extra_headers: Vec<(String, String)>,
    /// Proxy for `http://`; `HTTP_PROXY` and `NO_PROXY` count without.
    pub http_proxy: Option<String>,
    /// Proxy for `https://`; `HTTPS_PROXY` and `NO_PROXY` count without.
    pub https_proxy: Option<String>,
    /// TLS certificates are not verified.
    pub insecure: bool,
    /// What was ignored on the way, in words for people.
    pub warnings: Vec<String>,
}

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A value that the SDK refuses too.
    #[error("{source_words}: {problem}")]
    Setting {
        /// Where it was found.
        source_words: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl Config {
    /// Finds every value.
    ///
    /// # Errors
    /// [`ConfigError`] for a value in a flag or the environment that makes no sense; one in a
    /// settings file only warns.
    pub fn load(overrides: &Overrides, environment: &Environment) -> Result<Self, ConfigError> {
        let settings = Settings::load(environment)?;
        let mut warnings = settings.warnings.clone();
        let configured = base_url_of_settings(&settings)?;
        let base_url = match &overrides.base_url {
            Some(text) => parse_base_url(&Sourced::new(text.clone(), "the command line"))?,
            None => configured.clone(),
        };
        let search = credential::Search {
            base_url: &base_url.value,
            configured: &configured.value,
            overrides,
            environment,
            settings: &settings,
        };
        let credential = search.run(&mut warnings);
        let text = |name: &str| settings.get(name).cloned();
        let app_url = text("app_url_override").map_or_else(
            || base_url.value.app_url(),
            |url| url.value.trim_end_matches('/').to_owned(),
        );
        Ok(Self {
            app_url,
            credential,
            entity: text("entity"),
            project: text("project"),
            organization: text("organization"),
            cache_dir: cache_dir(overrides, environment),
            extra_headers: text("x_extra_http_headers")
                .and_then(|json| settings::parse_headers(&json.value))
                .unwrap_or_default(),
            http_proxy: text("http_proxy").map(|url| url.value),
            https_proxy: text("https_proxy").map(|url| url.value),
            insecure: text("insecure_disable_ssl")
                .and_then(|flag| settings::parse_bool(&flag.value))
                .unwrap_or(false),
            base_url,
            warnings,
        })
    }

    /// Where the credential was found, or `none`.
    pub fn credential_source(&self) -> &str {
        self.credential
            .as_ref()
            .map_or("none", |credential| credential.source.as_str())
    }

    /// The client's half of this: how to reach and to sign, with `deadline` for each operation.
    /// Requests that exchange an identity token are counted in `meter`.
    ///
    /// # Errors
    /// [`ConfigError`] where an address that the SDK takes is none to us.
    pub fn client(
        &self,
        deadline: Duration,
        meter: Arc<Meter>,
    ) -> Result<ClientConfig, ConfigError> {
        let entity = self.entity.as_ref().map(|entity| entity.value.as_str());
        let mut client = ClientConfig {
            base_url: url(self.base_url.value.as_str(), &self.base_url.source)?,
            app_url: url(&self.app_url, "the app's address")?,
            authorization: Authorization::Anonymous,
            extra_headers: self.extra_headers.clone(),
            insecure: self.insecure,
            http_proxy: optional_url(self.http_proxy.as_deref(), "http_proxy")?,
            https_proxy: optional_url(self.https_proxy.as_deref(), "https_proxy")?,
            deadline,
            default_entity: entity.and_then(|entity| EntityName::new(entity).ok()),
            default_project: self.project.as_ref().map(|project| project.value.clone()),
        };
        client.authorization = self.authorization(&client, meter)?;
        Ok(client)
    }

    fn authorization(
        &self,
        client: &ClientConfig,
        meter: Arc<Meter>,
    ) -> Result<Authorization, ConfigError> {
        let Ok(credential) = &self.credential else {
            return Ok(Authorization::Anonymous);
        };
        Ok(match &credential.kind {
            CredentialKind::ApiKey(key) => Authorization::Basic(key.clone()),
            CredentialKind::IdentityToken {
                token_file,
                credentials_file,
            } => {
                let http =
                    http_client(client, Purpose::Api).map_err(|error| ConfigError::Setting {
                        source_words: "proxies and certificates".to_owned(),
                        problem: error.chain(),
                    })?;
                Authorization::Bearer(Arc::new(IdentityToken::new(
                    self.base_url.value.clone(),
                    token_file.clone(),
                    credentials_file.clone(),
                    http,
                    meter,
                )))
            }
        })
    }
}

fn base_url_of_settings(settings: &Settings) -> Result<Sourced<BaseUrl>, ConfigError> {
    match settings.get("base_url") {
        Some(text) => parse_base_url(text),
        None => parse_base_url(&Sourced::new(
            base_url::DEFAULT_BASE_URL.to_owned(),
            "default",
        )),
    }
}

fn parse_base_url(text: &Sourced<String>) -> Result<Sourced<BaseUrl>, ConfigError> {
    match BaseUrl::parse(&text.value) {
        Ok(url) => Ok(Sourced::new(url, text.source.clone())),
        Err(error) => Err(ConfigError::Setting {
            source_words: text.source.clone(),
            problem: error.to_string(),
        }),
    }
}

fn url(text: &str, source: &str) -> Result<Url, ConfigError> {
    Url::parse(text).map_err(|error| ConfigError::Setting {
        source_words: source.to_owned(),
        problem: format!("{text:?} is not an address: {error}"),
    })
}

fn optional_url(text: Option<&str>, source: &str) -> Result<Option<Url>, ConfigError> {
    text.map(|text| url(text, source)).transpose()
}

/// `--cache-dir`, `$WANDB_CACHE_DIR` (even empty, as the SDK takes it: the current directory), or
/// `wandb` in the user's cache directory.
fn cache_dir(overrides: &Overrides, environment: &Environment) -> Sourced<PathBuf> {
    let here = &environment.current_dir;
    if let Some(path) = &overrides.cache_dir {
        return Sourced::new(here.join(path), "--cache-dir");
    }
    match environment.get("WANDB_CACHE_DIR") {
        Some(path) => Sourced::new(here.join(path), "environment variable WANDB_CACHE_DIR"),
        None => Sourced::new(environment.user_cache_dir().join("wandb"), "default"),
    }
}

/// `~` and `~/…` with the home directory in front.
fn expand_user(path: &str, home: &Path) -> PathBuf {
    match path.strip_prefix('~') {
        Some("") => home.to_owned(),
        Some(rest) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
        _ => PathBuf::from(path),
    }
}

#[cfg(test)]
mod tests;
