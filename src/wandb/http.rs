//! How HTTP clients are built: proxies, TLS roots, and what each purpose needs.

use std::env;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{ClientBuilder, NoProxy, Proxy};

use super::client::ClientConfig;
use crate::model::{Error, ErrorKind};

/// Longest wait for a connection; within it a dead address is told from a slow server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Hosts that no proxy is asked for, as in the SDK's own transport.
const NEVER_PROXIED: &str = "localhost,127.0.0.0/8,::1";

/// What a client is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// GraphQL: compressed answers, and a redirect is a mistake in the base URL.
    Api,
    /// Content: bytes as they are stored, ranges, redirects followed.
    Content,
}

/// Builds an HTTP client. TLS trusts the system's roots, or those of `SSL_CERT_FILE` and
/// `SSL_CERT_DIR`; it sends no credential of its own accord.
///
/// # Errors
/// [`ErrorKind::Invalid`] for a proxy that is no URL, or when the system has no roots and the base
/// URL is `https`.
pub fn http_client(config: &ClientConfig, purpose: Purpose) -> Result<reqwest::Client, Error> {
    match builder(config, purpose)?.build() {
        Ok(client) => Ok(client),
        // Without roots no verifier can be made, though plain HTTP needs none.
        Err(_) if config.base_url.scheme() == "http" => builder(config, purpose)?
            .tls_certs_only([])
            .build()
            .map_err(refused),
        Err(fault) => Err(refused(fault)),
    }
}

/// The extra headers of the configuration, for requests to W&B.
///
/// # Errors
/// [`ErrorKind::Invalid`] naming a header that cannot be one; its value is not shown.
pub fn extra_headers(config: &ClientConfig) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    for (name, value) in &config.extra_headers {
        let parsed = HeaderName::try_from(name.as_str()).ok();
        let parsed = parsed.zip(HeaderValue::try_from(value.as_str()).ok());
        let Some((header, mut value)) = parsed else {
            let words = format!("extra header {name:?} is not a valid header");
            return Err(Error::new(ErrorKind::Invalid, "", words));
        };
        value.set_sensitive(true);
        headers.append(header, value);
    }
    Ok(headers)
}

fn builder(config: &ClientConfig, purpose: Purpose) -> Result<ClientBuilder, Error> {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("wandbfs/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .tls_danger_accept_invalid_certs(config.insecure)
        .no_proxy();
    let builder = match purpose {
        Purpose::Api => builder.gzip(true).redirect(Policy::none()),
        Purpose::Content => builder.gzip(false).redirect(Policy::limited(10)),
    };
    let http = config.http_proxy.as_ref().map(ToString::to_string);
    let https = config.https_proxy.as_ref().map(ToString::to_string);
    let http = http.or_else(|| variable("http_proxy"));
    let https = https.or_else(|| variable("https_proxy"));
    let mut builder = builder;
    if let Some(address) = http {
        builder = builder.proxy(
            Proxy::http(address)
                .map_err(refused)?
                .no_proxy(exceptions()),
        );
    }
    if let Some(address) = https {
        builder = builder.proxy(
            Proxy::https(address)
                .map_err(refused)?
                .no_proxy(exceptions()),
        );
    }
    Ok(builder)
}

fn exceptions() -> Option<NoProxy> {
    let asked = variable("no_proxy").unwrap_or_default();
    NoProxy::from_string(&format!("{asked},{NEVER_PROXIED}"))
}

/// A variable in small letters, else in capitals; empty counts as unset.
fn variable(name: &str) -> Option<String> {
    let read = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    read(name).or_else(|| read(&name.to_ascii_uppercase()))
}

fn refused(fault: reqwest::Error) -> Error {
    let words = "the HTTP client cannot be set up (proxy address, or TLS roots)";
    Error::caused_by(ErrorKind::Invalid, "", words, fault.without_url())
}
