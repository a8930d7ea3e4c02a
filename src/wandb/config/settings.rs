//! Settings as the SDK layers them: environment over the workspace's file over the global file.
//!
//! Each value remembers where it was found, in words. One value that the SDK would not accept makes
//! it put *both* files aside with a warning, and so do we; in the environment such a value is an
//! error. Settings this program has no use for are not looked at.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::base_url::{BaseUrl, strict};
use super::{ConfigError, Environment, Sourced, ini};

/// Settings that this program uses, by the SDK's names.
const USED: [&str; 11] = [
    "api_key",
    "app_url_override",
    "base_url",
    "credentials_file",
    "entity",
    "http_proxy",
    "https_proxy",
    "insecure_disable_ssl",
    "organization",
    "project",
    "x_extra_http_headers",
];

/// The layered values, as text, and what was wrong on the way.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    values: BTreeMap<&'static str, Sourced<String>>,
    pub(crate) warnings: Vec<String>,
}

impl Settings {
    /// Reads both files and the environment.
    pub(crate) fn load(environment: &Environment) -> Result<Self, ConfigError> {
        let mut settings = Self::default();
        let files = [global_file(environment), workspace_file(environment)];
        let mut layered = BTreeMap::new();
        for file in files {
            match read(&file) {
                Ok(values) => layered.extend(used(values, &file)),
                Err(why) => settings.warnings.push(format!(
                    "settings file {} is ignored: {why}",
                    file.display()
                )),
            }
        }
        match layered
            .iter()
            .find_map(|(name, value)| check(name, value).err())
        {
            Some(error) => settings
                .warnings
                .push(format!("all settings files are ignored: {error}")),
            None => settings.values = layered,
        }
        for (variable, text) in &environment.variables {
            let Some(name) = setting_of(variable) else {
                continue;
            };
            let value = Sourced::new(text.clone(), format!("environment variable {variable}"));
            check(name, &value)?;
            settings.values.insert(name, value);
        }
        Ok(settings)
    }

    /// A value and where it was found; the empty text counts as none.
    pub(crate) fn get(&self, name: &str) -> Option<&Sourced<String>> {
        self.values
            .get(name)
            .filter(|value| !value.value.is_empty())
    }
}

/// The setting that an environment variable stands for, if it is one of ours.
fn setting_of(variable: &str) -> Option<&'static str> {
    let rest = variable.strip_prefix("WANDB_")?;
    let name = match (rest, rest.strip_prefix('_')) {
        ("APP_URL", _) => "app_url_override".to_owned(),
        (_, Some(private)) => format!("x_{}", private.to_lowercase()),
        (public, None) => public.to_lowercase(),
    };
    USED.into_iter().find(|used| *used == name)
}

/// Refuses what the SDK refuses. The value of a key is never part of the message.
fn check(name: &str, value: &Sourced<String>) -> Result<(), ConfigError> {
    let text = value.value.as_str();
    let problem = match name {
        "base_url" => BaseUrl::parse(text).err().map(|e| e.to_string()),
        "http_proxy" | "https_proxy" => strict(text)
            .err()
            .map(|_| format!("{name} is not an http or https address")),
        "api_key" if text.trim() != text => {
            Some("the API key begins or ends with white space".to_owned())
        }
        "insecure_disable_ssl" => parse_bool(text)
            .is_none()
            .then(|| format!("{text:?} is neither true nor false")),
        "x_extra_http_headers" => parse_headers(text)
            .is_none()
            .then(|| "the extra headers are not a JSON object of texts".to_owned()),
        _ => None,
    };
    problem.map_or(Ok(()), |problem| {
        Err(ConfigError::Setting {
            source_words: value.source.clone(),
            problem,
        })
    })
}

/// A truth value in any of the spellings that the SDK takes.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "t" | "yes" | "y" | "on" => Some(true),
        "0" | "false" | "f" | "no" | "n" | "off" => Some(false),
        _ => None,
    }
}

/// The extra headers, in the order written.
pub(crate) fn parse_headers(text: &str) -> Option<Vec<(String, String)>> {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).ok()?;
    object
        .into_iter()
        .map(|(name, value)| Some((name, value.as_str()?.to_owned())))
        .collect()
}

fn used(
    values: BTreeMap<String, String>,
    file: &Path,
) -> impl Iterator<Item = (&'static str, Sourced<String>)> {
    let source = format!("settings file {}", file.display());
    values.into_iter().filter_map(move |(key, text)| {
        let key = match key.strip_prefix('_') {
            Some(private) => format!("x_{private}"),
            None => key,
        };
        let name = USED.into_iter().find(|used| *used == key)?;
        Some((name, Sourced::new(text, source.clone())))
    })
}

fn read(file: &Path) -> Result<BTreeMap<String, String>, String> {
    match std::fs::read(file) {
        Ok(bytes) => {
            let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
            ini::default_section(&text).map_err(|error| error.to_string())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => Ok(BTreeMap::new()),
        Err(error) => Err(error.to_string()),
    }
}

/// `$WANDB_CONFIG_DIR/settings`, or `~/.config/wandb/settings`.
fn global_file(environment: &Environment) -> PathBuf {
    match environment.get("WANDB_CONFIG_DIR") {
        Some(dir) if !dir.is_empty() => environment.expand(dir).join("settings"),
        _ => environment.home.join(".config/wandb/settings"),
    }
}

/// `./wandb/settings`, or `./.wandb/settings` where there is a `.wandb`.
fn workspace_file(environment: &Environment) -> PathBuf {
    let hidden = environment.current_dir.join(".wandb");
    let dir = if hidden.exists() {
        hidden
    } else {
        environment.current_dir.join("wandb")
    };
    dir.join("settings")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_map_to_settings_by_the_sdks_rules() {
        assert_eq!(setting_of("WANDB_BASE_URL"), Some("base_url"));
        assert_eq!(setting_of("WANDB_APP_URL"), Some("app_url_override"));
        for spelling in ["WANDB_X_EXTRA_HTTP_HEADERS", "WANDB__EXTRA_HTTP_HEADERS"] {
            assert_eq!(setting_of(spelling), Some("x_extra_http_headers"));
        }
        assert_eq!(setting_of("WANDB_NAME"), None);
        assert_eq!(setting_of("BASE_URL"), None);
    }

    #[test]
    fn headers_must_be_texts() {
        assert_eq!(
            parse_headers(r#"{"A":"1","B":"2"}"#),
            Some(vec![("A".into(), "1".into()), ("B".into(), "2".into())])
        );
        assert_eq!(parse_headers(r#"{"A":1}"#), None);
        assert_eq!(parse_headers("[]"), None);
    }
}
