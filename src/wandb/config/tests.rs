//! Situations: an environment made up, a home in a temporary directory, and what must be found.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use super::*;
use crate::wandb::Secret;

struct Situation {
    home: tempfile::TempDir,
    environment: Environment,
    overrides: Overrides,
}

fn key(letter: char) -> String {
    letter.to_string().repeat(40)
}

impl Situation {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let current_dir = home.path().join("work");
        std::fs::create_dir(&current_dir).unwrap();
        Self {
            environment: Environment {
                variables: BTreeMap::new(),
                home: home.path().to_owned(),
                current_dir,
            },
            home,
            overrides: Overrides::default(),
        }
    }

    fn var(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.variables.insert(name.into(), value.into());
        self
    }

    fn file(self, path: &str, text: impl AsRef<[u8]>) -> Self {
        let path = self.home.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    fn load(&self) -> Config {
        Config::load(&self.overrides, &self.environment).unwrap()
    }

    fn path(&self, path: &str) -> String {
        self.home.path().join(path).display().to_string()
    }
}

fn found(config: &Config) -> (&str, &str) {
    let Credential { kind, source } = config.credential.as_ref().unwrap();
    match kind {
        CredentialKind::ApiKey(key) => (key.expose(), source),
        CredentialKind::IdentityToken { token_file, .. } => (token_file.to_str().unwrap(), source),
    }
}

#[test]
fn nothing_at_all_is_the_default_server_and_no_credential() {
    let config = Situation::new().load();
    assert_eq!(
        config.base_url.value.as_str(),
        "https://api.forge.coreweave.com"
    );
    assert_eq!(config.base_url.source, "default");
    assert_eq!(config.credential_source(), "none");
}

#[test]
fn environment_wins_over_workspace_over_global() {
    let situation = Situation::new()
        .file(
            ".config/wandb/settings",
            "[default]\nbase_url = http://global:1\nentity = g\nproject = g\n",
        )
        .file("work/wandb/settings", "[default]\nentity = w\n")
        .var("WANDB_PROJECT", "e");
    let config = situation.load();
    assert_eq!(config.base_url.value.as_str(), "http://global:1");
    assert_eq!(
        config.base_url.source,
        format!("settings file {}", situation.path(".config/wandb/settings"))
    );
    assert_eq!(config.entity.unwrap().value, "w");
    assert_eq!(
        config.project.unwrap(),
        Sourced::new("e".to_owned(), "environment variable WANDB_PROJECT")
    );
}

#[test]
fn a_hidden_workspace_directory_hides_the_plain_one() {
    let config = Situation::new()
        .file("work/wandb/settings", "[default]\nentity = plain\n")
        .file("work/.wandb/settings", "[default]\nentity = hidden\n")
        .load();
    assert_eq!(config.entity.unwrap().value, "hidden");
}

#[test]
fn a_bad_value_in_a_file_voids_both_files_with_a_warning() {
    let config = Situation::new()
        .file(".config/wandb/settings", "[default]\nentity = g\n")
        .file("work/wandb/settings", "[default]\nbase_url = nonsense\n")
        .load();
    assert_eq!(config.entity, None);
    assert_eq!(config.base_url.source, "default");
    assert_eq!(config.warnings.len(), 1);
}

#[test]
fn a_bad_value_in_the_environment_is_an_error_that_names_it() {
    let situation = Situation::new().var("WANDB_BASE_URL", "https://wandb.ai");
    let error = Config::load(&situation.overrides, &situation.environment).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("environment variable WANDB_BASE_URL: "),
        "{error}"
    );
}

#[test]
fn the_environments_key_wins_over_netrc_over_settings() {
    let mut situation = Situation::new().var("WANDB_BASE_URL", "http://h:1/").file(
        ".config/wandb/settings",
        format!("[default]\napi_key = {}\n", key('s')),
    );
    assert_eq!(
        found(&situation.load()),
        (
            key('s').as_str(),
            format!("settings file {}", situation.path(".config/wandb/settings")).as_str()
        )
    );
    situation = situation.file(
        ".netrc",
        format!("machine h:1 login user password {}\n", key('n')),
    );
    assert_eq!(
        found(&situation.load()),
        (
            key('n').as_str(),
            format!("netrc {} (machine h:1)", situation.path(".netrc")).as_str()
        )
    );
    situation = situation.var("WANDB_API_KEY", key('e'));
    assert_eq!(
        found(&situation.load()),
        (key('e').as_str(), "environment variable WANDB_API_KEY")
    );
    std::fs::write(situation.home.path().join("key"), format!("{}\n", key('f'))).unwrap();
    situation.overrides.api_key_file = Some(situation.home.path().join("key"));
    assert_eq!(
        found(&situation.load()),
        (
            key('f').as_str(),
            format!("--api-key-file {}", situation.path("key")).as_str()
        )
    );
}

#[test]
fn a_settings_files_key_is_not_sent_to_a_server_it_was_not_meant_for() {
    let mut situation = Situation::new().file(
        ".config/wandb/settings",
        format!("[default]\nbase_url = http://h:1\napi_key = {}\n", key('s')),
    );
    situation.overrides.base_url = Some("http://other:1".into());
    assert_eq!(situation.load().credential_source(), "none");
}

#[test]
fn two_credentials_in_the_environment_are_an_error() {
    let config = Situation::new()
        .var("WANDB_API_KEY", key('e'))
        .var("WANDB_IDENTITY_TOKEN_FILE", "token")
        .load();
    assert_eq!(config.credential, Err(CredentialError::Both));
}

#[test]
fn an_identity_token_file_is_relative_to_here_and_its_cache_to_home() {
    let situation = Situation::new().var("WANDB_IDENTITY_TOKEN_FILE", "token");
    let config = situation.load();
    let CredentialKind::IdentityToken {
        token_file,
        credentials_file,
    } = config.credential.unwrap().kind
    else {
        panic!("not an identity token")
    };
    assert_eq!(token_file, Path::new(&situation.path("work/token")));
    assert_eq!(
        credentials_file,
        Path::new(&situation.path(".config/wandb/credentials.json"))
    );
}

#[test]
fn netrc_is_found_by_variable_by_dot_and_by_underscore() {
    let entry = |letter| format!("default login x password {}\n", key(letter));
    let situation = Situation::new().file("_netrc", entry('u'));
    assert_eq!(found(&situation.load()).0, key('u'));
    let situation = situation.file(".netrc", entry('d'));
    let source = format!("netrc {} (default)", situation.path(".netrc"));
    assert_eq!(
        found(&situation.load()),
        (key('d').as_str(), source.as_str())
    );
    let situation = situation.file("other", entry('o')).var("NETRC", "~/other");
    assert_eq!(found(&situation.load()).0, key('o'));
}

#[test]
fn forge_falls_back_to_its_upstream_in_netrc() {
    let text = format!("machine api.wandb.ai login user password {}\n", key('u'));
    let situation = Situation::new().file(".netrc", text);
    let source = format!("netrc {} (machine api.wandb.ai)", situation.path(".netrc"));
    assert_eq!(found(&situation.load()).1, source);
}

#[test]
fn a_malformed_netrc_only_warns_and_never_shows_its_words() {
    let config = Situation::new().file(".netrc", "hunter2\n").load();
    assert_eq!(config.credential_source(), "none");
    assert_eq!(config.warnings.len(), 1);
    assert!(!config.warnings[0].contains("hunter2"));
}

#[test]
fn a_malformed_key_names_its_source_and_not_itself() {
    let config = Situation::new()
        .var("WANDB_API_KEY", "too-short-secret")
        .load();
    let words = config.credential.unwrap_err().to_string();
    assert!(
        words.contains("WANDB_API_KEY") && !words.contains("secret"),
        "{words}"
    );
}

#[test]
fn debug_output_of_a_configuration_holds_no_key() {
    let config = Situation::new().var("WANDB_API_KEY", key('k')).load();
    assert!(!format!("{config:?}").contains(&key('k')));
    assert_eq!(found(&config).0, Secret::new(key('k')).expose());
}

#[test]
fn the_cache_is_the_sdks() {
    let situation = Situation::new();
    assert_eq!(
        situation.load().cache_dir.value,
        Path::new(&situation.path(".cache/wandb"))
    );
    let situation = situation.var("XDG_CACHE_HOME", "/x");
    assert_eq!(situation.load().cache_dir.value, Path::new("/x/wandb"));
    let mut situation = situation.var("WANDB_CACHE_DIR", "/w");
    assert_eq!(situation.load().cache_dir.value, Path::new("/w"));
    situation.overrides.cache_dir = Some("c".into());
    assert_eq!(
        situation.load().cache_dir.value,
        Path::new(&situation.path("work/c"))
    );
}

#[test]
fn both_spellings_of_the_extra_headers_are_read() {
    for name in ["WANDB_X_EXTRA_HTTP_HEADERS", "WANDB__EXTRA_HTTP_HEADERS"] {
        let config = Situation::new().var(name, r#"{"X-A":"1"}"#).load();
        assert_eq!(config.extra_headers, [("X-A".to_owned(), "1".to_owned())]);
    }
}
