//! The search for the credential (protocol §1.3).

use std::path::{Path, PathBuf};

use super::api_key::{self, ApiKeyError};
use super::netrc::{self, Netrc};
use super::settings::Settings;
use super::{BaseUrl, Environment, Overrides};
use crate::wandb::Secret;

const API_KEY: &str = "WANDB_API_KEY";
const TOKEN_FILE: &str = "WANDB_IDENTITY_TOKEN_FILE";

/// A credential and where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// What it is.
    pub kind: CredentialKind,
    /// In words: `environment variable WANDB_API_KEY`, `netrc /home/a/.netrc (machine h:1)`.
    pub source: String,
}

/// What a credential is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialKind {
    /// A key, of valid syntax.
    ApiKey(Secret),
    /// A file with a JWT that is exchanged for access tokens.
    IdentityToken {
        /// The file; read again for each exchange.
        token_file: PathBuf,
        /// Cache of access tokens, shared with the SDK.
        credentials_file: PathBuf,
    },
}

/// Why there is no credential. Names sources, never keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// No source has one.
    #[error("no credential for {base_url} was found")]
    None {
        /// The server that one is needed for.
        base_url: String,
        /// The netrc file that was looked at.
        netrc: String,
        /// Host and port: what a netrc entry has to be called.
        machine: String,
    },
    /// A source holds something that cannot be a key.
    #[error("{source_words}: {problem}")]
    Malformed {
        /// Where it was found.
        source_words: String,
        /// What is wrong.
        problem: ApiKeyError,
    },
    /// Two credentials at once.
    #[error("both {API_KEY} and {TOKEN_FILE} are set, which is not allowed")]
    Both,
    /// The file of `--api-key-file`.
    #[error("--api-key-file {path}: {problem}")]
    KeyFile {
        /// The file.
        path: String,
        /// What is wrong.
        problem: String,
    },
}

/// What the search looks at.
pub(crate) struct Search<'a> {
    pub(crate) base_url: &'a BaseUrl,
    /// The base URL of environment and settings, for which a settings file's key was meant.
    pub(crate) configured: &'a BaseUrl,
    pub(crate) overrides: &'a Overrides,
    pub(crate) environment: &'a Environment,
    pub(crate) settings: &'a Settings,
}

impl Search<'_> {
    /// The first hit.
    pub(crate) fn run(&self, warnings: &mut Vec<String>) -> Result<Credential, CredentialError> {
        if let Some(path) = &self.overrides.api_key_file {
            return self.key_file(path);
        }
        if let Some(found) = self.environment_credential() {
            return found;
        }
        let netrc = netrc::locate(self.environment.get("NETRC"), &self.environment.home);
        let netrc = self.environment.current_dir.join(netrc);
        if let Some(found) = self.netrc_credential(&netrc, warnings) {
            return found;
        }
        if let Some(key) = self.settings.get("api_key")
            && self.configured == self.base_url
        {
            return key_credential(&key.value, key.source.clone());
        }
        Err(CredentialError::None {
            base_url: self.base_url.to_string(),
            netrc: netrc.display().to_string(),
            machine: self.base_url.netloc().to_owned(),
        })
    }

    fn key_file(&self, path: &Path) -> Result<Credential, CredentialError> {
        let path = self.environment.current_dir.join(path);
        let text = std::fs::read_to_string(&path).map_err(|error| CredentialError::KeyFile {
            path: path.display().to_string(),
            problem: error.to_string(),
        })?;
        key_credential(text.trim(), format!("--api-key-file {}", path.display()))
    }

    fn environment_credential(&self) -> Option<Result<Credential, CredentialError>> {
        let set = |name| self.environment.get(name).filter(|text| !text.is_empty());
        match (set(API_KEY), set(TOKEN_FILE)) {
            (Some(_), Some(_)) => Some(Err(CredentialError::Both)),
            (Some(key), None) => Some(key_credential(
                key,
                format!("environment variable {API_KEY}"),
            )),
            (None, Some(file)) => Some(Ok(Credential {
                kind: CredentialKind::IdentityToken {
                    token_file: self.environment.current_dir.join(file),
                    credentials_file: self.credentials_file(),
                },
                source: format!("environment variable {TOKEN_FILE}"),
            })),
            (None, None) => None,
        }
    }

    fn credentials_file(&self) -> PathBuf {
        match self.settings.get("credentials_file") {
            Some(path) => self.environment.current_dir.join(&path.value),
            None => self.environment.home.join(".config/wandb/credentials.json"),
        }
    }

    fn netrc_credential(
        &self,
        path: &Path,
        warnings: &mut Vec<String>,
    ) -> Option<Result<Credential, CredentialError>> {
        let file = match Netrc::read(path) {
            Ok(file) => file?,
            Err(error) => {
                let cause = std::error::Error::source(&error)
                    .map_or_else(String::new, |cause| format!(": {cause}"));
                warnings.push(format!(
                    "netrc {} is ignored: {error}{cause}",
                    path.display()
                ));
                return None;
            }
        };
        let own = self.base_url.netloc();
        let machines = [Some(own), self.base_url.upstream_netloc()];
        let (machine, (password, is_default)) = machines
            .into_iter()
            .flatten()
            .find_map(|machine| Some((machine, file.password(machine)?)))?;
        if password.expose().is_empty() {
            warnings.push(format!(
                "netrc {} has an entry for {machine} without a password",
                path.display()
            ));
            return None;
        }
        let entry = if is_default {
            "default".to_owned()
        } else {
            format!("machine {machine}")
        };
        let source = format!("netrc {} ({entry})", path.display());
        Some(key_credential(password.expose(), source))
    }
}

fn key_credential(key: &str, source: String) -> Result<Credential, CredentialError> {
    match api_key::check(key) {
        Ok(()) => Ok(Credential {
            kind: CredentialKind::ApiKey(Secret::new(key)),
            source,
        }),
        Err(problem) => Err(CredentialError::Malformed {
            source_words: source,
            problem,
        }),
    }
}
