//! Who asks, and whether the server knows them.

use std::sync::Arc;
use std::time::Duration;

use super::Check;
use crate::cli::assemble;
use crate::cli::outcome::Failure;
use crate::model::ErrorKind;
use crate::telemetry::Meter;
use crate::wandb::config::{Config, ConfigError};

/// What the settings said that was not usable.
pub(super) fn settings(config: &Result<Config, ConfigError>) -> Vec<Check> {
    match config {
        Err(error) => vec![Check::bad(
            "settings",
            error.to_string(),
            "correct or unset it",
        )],
        Ok(config) if config.warnings.is_empty() => {
            let detail = format!("{} ({})", config.base_url.value, config.base_url.source);
            vec![Check::good("settings", detail)]
        }
        Ok(config) => config
            .warnings
            .iter()
            .map(|warning| Check::could_be_better("settings", warning, "correct that file"))
            .collect(),
    }
}

/// Whether there is a credential, and from where.
pub(super) fn credential(config: &Config) -> Check {
    match &config.credential {
        Ok(credential) => Check::good("credential", &credential.source),
        Err(error) => {
            let failure = Failure::credential(error, config);
            Check::bad("credential", failure.why, failure.hint)
        }
    }
}

/// Whether the host has an address, answers, and takes the credential. Stops at the first that
/// fails, since the next would only fail for the same reason.
pub(super) async fn server(config: &Config, timeout: Duration, checks: &mut Vec<Check>) {
    let host = resolve(config, timeout).await;
    let resolved = host.ok;
    checks.push(host);
    if !resolved {
        return;
    }
    let connection = connect(config, timeout).await;
    let connected = connection.ok;
    checks.push(connection);
    if connected && config.credential.is_ok() {
        checks.push(key(config, timeout).await);
    }
}

/// Host name and port of the server, or of the proxy in front of it.
fn address(config: &Config) -> (String, u16, &'static str) {
    let server = config.base_url.value.as_str();
    let proxy = match server.starts_with("https") {
        true => &config.https_proxy,
        false => &config.http_proxy,
    };
    let (text, what) = match proxy {
        Some(proxy) => (proxy.as_str(), "proxy"),
        None => (server, "server"),
    };
    let url = url::Url::parse(text).ok();
    let host = url.as_ref().and_then(url::Url::host_str).unwrap_or(text);
    let port = url.as_ref().and_then(url::Url::port_or_known_default);
    (
        host.trim_matches(['[', ']']).to_owned(),
        port.unwrap_or(443),
        what,
    )
}

async fn resolve(config: &Config, timeout: Duration) -> Check {
    let (host, port, what) = address(config);
    let fix = format!(
        "check the spelling ({}) and the network; proxies are set by WANDB_HTTPS_PROXY",
        config.base_url.source
    );
    let lookup = tokio::net::lookup_host((host.as_str(), port));
    match tokio::time::timeout(timeout, lookup).await {
        Ok(Ok(mut found)) => match found.next() {
            Some(address) => Check::good("host", format!("{what} {host} is {}", address.ip())),
            None => Check::bad("host", format!("{what} {host} has no address"), fix),
        },
        Ok(Err(error)) => Check::bad("host", format!("{what} {host}: {error}"), fix),
        Err(_) => Check::bad("host", format!("{what} {host}: no answer from DNS"), fix),
    }
}

async fn connect(config: &Config, timeout: Duration) -> Check {
    let (host, port, what) = address(config);
    let fix = format!(
        "check that {} is up and no firewall stands between",
        config.base_url.value
    );
    let dial = tokio::net::TcpStream::connect((host.as_str(), port));
    match tokio::time::timeout(timeout, dial).await {
        Ok(Ok(_)) => Check::good("connection", format!("{what} {host}:{port} answers")),
        Ok(Err(error)) => Check::bad("connection", format!("{what} {host}:{port}: {error}"), fix),
        Err(_) => Check::bad(
            "connection",
            format!("{what} {host}:{port}: no answer"),
            fix,
        ),
    }
}

async fn key(config: &Config, timeout: Duration) -> Check {
    let source = config.credential_source();
    let client = match assemble::client(config, timeout, Arc::new(Meter::default())) {
        Ok(client) => client,
        Err(failure) => return Check::bad("key", failure.why, failure.hint),
    };
    match client.viewer().await {
        Ok(viewer) => {
            let name = viewer
                .username
                .as_deref()
                .unwrap_or("somebody without a name");
            Check::good("key", format!("signed in as {name} ({source})"))
        }
        Err(error) => {
            let name = match error.kind() {
                ErrorKind::NotSignedIn | ErrorKind::Forbidden => "key",
                _ => "api",
            };
            let failure = Failure::remote("", &error, config);
            Check::bad(name, failure.why, failure.hint)
        }
    }
}
