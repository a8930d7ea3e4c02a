//! The client: configuration in, nouns out.

use std::time::Duration;

use url::Url;

use super::auth::Authorization;
use crate::model::EntityName;

/// Everything the client needs to know, found by `config` or given by a program.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// API host without trailing slash in its path, after the rules of protocol §1.2.
    pub base_url: Url,
    /// Host of the web app, for links only.
    pub app_url: Url,
    /// How requests are signed.
    pub authorization: Authorization,
    /// Further headers for every request to W&B, as name and value.
    pub extra_headers: Vec<(String, String)>,
    /// Accept any TLS certificate.
    pub insecure: bool,
    /// Proxy for `http://`; without it `HTTP_PROXY` and `NO_PROXY` count.
    pub http_proxy: Option<Url>,
    /// Proxy for `https://`; without it `HTTPS_PROXY` and `NO_PROXY` count.
    pub https_proxy: Option<Url>,
    /// Time limit of one operation, retries included.
    pub deadline: Duration,
    /// Entity of a path that names none; the viewer's without.
    pub default_entity: Option<EntityName>,
    /// Project of a path that names none; `uncategorized` without.
    pub default_project: Option<String>,
}
