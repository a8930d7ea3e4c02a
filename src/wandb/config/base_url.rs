//! The address of the API, and the address of the app that belongs to it (protocol §1.2).

use std::cell::Cell;
use std::fmt;

use url::{SyntaxViolation, Url};

/// What the SDK 0.31.0 talks to when nobody says otherwise.
pub(crate) const DEFAULT_BASE_URL: &str = "https://api.forge.coreweave.com";

/// Forge hosts and the W&B API host behind each.
const FORGE_HOSTS: [(&str, &str); 2] = [
    ("forge.coreweave.com", "api.wandb.ai"),
    ("qa.forge.coreweave.com", "api.qa.wandb.ai"),
];
/// Where a forge host serves the W&B API; anything else there is another service.
const FORGE_API_PATH: &str = "/api/wandb";
/// Where a forge host serves the W&B app.
const FORGE_APP_PATH: &str = "/wandb";

/// Why a text cannot be a base URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BaseUrlError {
    /// Not a URL, or one that only a lenient reader understands.
    #[error("{0:?} is not an http or https address: {1}")]
    NotAUrl(String, String),
    /// A host of W&B that is not its API.
    #[error("{0:?} is not the address of an API, did you mean {DEFAULT_BASE_URL}?")]
    NotTheApi(String),
    /// A W&B host without TLS.
    #[error("{0:?} would send the key in the clear, use {DEFAULT_BASE_URL}")]
    NotSecure(String),
    /// Another service of a forge host.
    #[error("{0:?} is not the W&B API of that host, use https://api.{1}")]
    NotTheForgeApi(String, String),
}

/// A checked base URL: as it was written, without trailing slashes, forge addresses made direct.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BaseUrl(String);

impl BaseUrl {
    /// Checks and normalises an address the way the SDK does.
    ///
    /// # Errors
    /// [`BaseUrlError`] where the SDK refuses it.
    pub fn parse(text: &str) -> Result<Self, BaseUrlError> {
        let text = direct_forge(text, &strict(text)?)?;
        if let Some(at) = text.rfind("wandb.ai")
            && !text[at + "wandb.ai".len()..].contains('.')
        {
            if !text.contains("api.") {
                return Err(BaseUrlError::NotTheApi(text));
            }
            if !text.starts_with("https") {
                return Err(BaseUrlError::NotSecure(text));
            }
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }

    /// The text, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Host and port as written: the machine of netrc.
    pub fn netloc(&self) -> &str {
        netloc(&self.0)
    }

    /// The W&B API behind a forge host.
    pub(crate) fn upstream_netloc(&self) -> Option<&'static str> {
        forge(&self.0).map(|(_, api)| api)
    }

    /// The address of the app: links for people.
    pub fn app_url(&self) -> String {
        let text = &self.0;
        if let Some((forge, _)) = forge(text) {
            return format!("https://{forge}{FORGE_APP_PATH}");
        }
        if text.contains("://api.wandb.") && !text.contains("://api.wandb.test") {
            return text.replace("://api.", "://");
        }
        text.replace("://api.", "://app.")
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Parses an address strictly: what a browser would repair in silence is an error, since the text
/// itself is used further on.
pub(crate) fn strict(text: &str) -> Result<Url, BaseUrlError> {
    let refuse = |why: &str| BaseUrlError::NotAUrl(text.to_owned(), why.to_owned());
    let repaired: Cell<Option<SyntaxViolation>> = Cell::new(None);
    let note = |violation| {
        use SyntaxViolation::{EmbeddedCredentials, NonUrlCodePoint};
        if !matches!(violation, NonUrlCodePoint | EmbeddedCredentials) {
            repaired.set(Some(violation));
        }
    };
    let url = Url::options()
        .syntax_violation_callback(Some(&note))
        .parse(text)
        .map_err(|error| refuse(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse("the scheme is another"));
    }
    match repaired.get() {
        Some(violation) => Err(refuse(violation.description())),
        None => Ok(url),
    }
}

fn direct_forge(text: &str, url: &Url) -> Result<String, BaseUrlError> {
    let host = url.host_str().unwrap_or_default();
    if !FORGE_HOSTS.iter().any(|(forge, _)| *forge == host) {
        return Ok(text.to_owned());
    }
    let is_api = url.scheme() == "https"
        && !netloc(text).contains(':')
        && url.path().trim_end_matches('/') == FORGE_API_PATH;
    if is_api {
        Ok(format!("https://api.{host}"))
    } else {
        Err(BaseUrlError::NotTheForgeApi(
            text.to_owned(),
            host.to_owned(),
        ))
    }
}

fn forge(text: &str) -> Option<(&'static str, &'static str)> {
    let url = Url::parse(text).ok()?;
    let host = url.host_str()?;
    FORGE_HOSTS.into_iter().find(|(forge, api)| {
        host == *forge || host == *api || host.strip_prefix("api.") == Some(forge)
    })
}

fn netloc(text: &str) -> &str {
    let after = text.split_once("://").map_or(text, |(_, rest)| rest);
    after.split(['/', '?', '#']).next().unwrap_or(after)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn app(text: &str) -> String {
        BaseUrl::parse(text).unwrap().app_url()
    }

    #[test]
    fn trailing_slashes_go_and_the_rest_stays_as_written() {
        let url = BaseUrl::parse("HTTP://Host:8080///").unwrap();
        assert_eq!(url.as_str(), "HTTP://Host:8080");
        assert_eq!(url.netloc(), "Host:8080");
    }

    #[test]
    fn what_a_browser_would_repair_is_refused() {
        for text in [
            "",
            "http:/h",
            "http:h",
            "http://",
            " http://h",
            "http://a\\b",
            "ftp://h",
            "h:1",
            "http:///h",
            "http://h:99999",
            "http://h/%zz",
        ] {
            assert!(BaseUrl::parse(text).is_err(), "{text:?}");
        }
        for text in [
            "http://u:p@h",
            "http://[::1]:80",
            "http://h?x#y",
            "http://h_x:1",
        ] {
            assert!(BaseUrl::parse(text).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn hosts_of_wandb_must_be_the_api_and_have_tls() {
        assert!(matches!(
            BaseUrl::parse("https://wandb.ai"),
            Err(BaseUrlError::NotTheApi(_))
        ));
        assert!(matches!(
            BaseUrl::parse("https://app.wandb.ai/"),
            Err(BaseUrlError::NotTheApi(_))
        ));
        assert!(matches!(
            BaseUrl::parse("http://api.wandb.ai"),
            Err(BaseUrlError::NotSecure(_))
        ));
        assert!(BaseUrl::parse("https://api.wandb.ai").is_ok());
        assert!(BaseUrl::parse("http://wandb.ai.example.com").is_ok());
    }

    #[test]
    fn forge_addresses_become_direct_and_others_there_are_refused() {
        assert_eq!(
            BaseUrl::parse("https://forge.coreweave.com/api/wandb/")
                .unwrap()
                .as_str(),
            DEFAULT_BASE_URL
        );
        for text in [
            "https://forge.coreweave.com",
            "https://forge.coreweave.com:443/api/wandb",
            "http://forge.coreweave.com/api/wandb",
        ] {
            assert!(
                matches!(BaseUrl::parse(text), Err(BaseUrlError::NotTheForgeApi(..))),
                "{text}"
            );
        }
    }

    #[test]
    fn the_app_is_found_from_the_api() {
        assert_eq!(
            app("https://api.wandb.ai"),
            "https://forge.coreweave.com/wandb"
        );
        assert_eq!(
            app("https://api.forge.coreweave.com"),
            "https://forge.coreweave.com/wandb"
        );
        assert_eq!(app("https://api.wandb.test"), "https://app.wandb.test");
        assert_eq!(
            app("https://api.wandb.example.com"),
            "https://wandb.example.com"
        );
        assert_eq!(app("https://api.example.com"), "https://app.example.com");
        assert_eq!(app("http://127.0.0.1:8080"), "http://127.0.0.1:8080");
    }

    proptest! {
        #[test]
        fn a_checked_address_is_checked_to_itself(text in "https?://(api\\.)?[a-z]{1,8}(\\.wandb\\.ai|\\.org)?(:[0-9]{1,4})?/{0,3}") {
            if let Ok(url) = BaseUrl::parse(&text) {
                prop_assert_eq!(BaseUrl::parse(url.as_str()).unwrap(), url);
            }
        }
    }
}
