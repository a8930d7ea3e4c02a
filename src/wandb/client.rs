//! The client: configuration in, nouns out.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;
use url::Url;

use super::answers::ViewerAnswer;
use super::auth::Authorization;
use super::failure::Failure;
use super::operations::{GET_VIEWER, Operation, SERVER_FEATURES_QUERY};
use super::transport::{Repeat, Transport, Variables};
use super::wire;
use crate::model::{EntityName, Error};
use crate::telemetry::Meter;

/// Time limit of an operation where nobody names one.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(30);

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

impl ClientConfig {
    /// A server and how to sign in, everything else as the defaults are: the app on the same host,
    /// 30 seconds, no further header, proxies from the environment.
    pub fn new(base_url: Url, authorization: Authorization) -> Self {
        Self {
            app_url: base_url.clone(),
            base_url,
            authorization,
            extra_headers: Vec::new(),
            insecure: false,
            http_proxy: None,
            https_proxy: None,
            deadline: DEFAULT_DEADLINE,
            default_entity: None,
            default_project: None,
        }
    }
}

/// A handle on one W&B server. Cheap to clone; clones share connections, the counters, and what
/// was learnt about the server.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    config: ClientConfig,
    transport: Transport,
    meter: Arc<Meter>,
    features: OnceCell<BTreeSet<String>>,
    /// Login name of the signed-in user.
    user: OnceCell<String>,
    /// Display names of organisations by their entity, for addresses of registries in the app.
    organizations: Mutex<HashMap<EntityName, String>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base_url = &self.inner.config.base_url;
        f.debug_struct("Client")
            .field("base_url", &base_url.as_str())
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Sets a client up, with counters of its own. Sends nothing yet.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::model::ErrorKind::Invalid) when the configuration cannot be
    /// used: a header, a proxy.
    pub fn connect(config: ClientConfig) -> Result<Self, Error> {
        Self::with_meter(config, Arc::default())
    }

    /// The same, counting requests in `meter`.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub fn with_meter(config: ClientConfig, meter: Arc<Meter>) -> Result<Self, Error> {
        let transport = Transport::new(&config, Arc::clone(&meter))?;
        let inner = Inner {
            config,
            transport,
            meter,
            features: OnceCell::new(),
            user: OnceCell::new(),
            organizations: Mutex::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The configuration it was made with.
    pub fn config(&self) -> &ClientConfig {
        &self.inner.config
    }

    /// The counters of its requests.
    pub fn meter(&self) -> &Arc<Meter> {
        &self.inner.meter
    }

    /// Headers for a GET of `url`: the credential and the extra headers where `url` is on the base
    /// URL's host and port (the download handler), nothing elsewhere.
    ///
    /// # Errors
    /// When a token cannot be had.
    pub async fn authorized_headers(&self, url: &Url) -> Result<reqwest::header::HeaderMap, Error> {
        self.inner.transport.authorized_headers(url).await
    }

    /// Names of the features that the server reports as on; asked once per client (protocol §2.4).
    /// A server that cannot tell has none.
    pub async fn server_features(&self) -> &BTreeSet<String> {
        let ask = || async {
            let asked = self.execute::<ServerFeatures>(SERVER_FEATURES_QUERY, "", Variables::new());
            let features = match asked.await {
                Ok(answer) => answer.server_info.and_then(|info| info.features),
                Err(failure) => {
                    tracing::debug!(
                        "features are taken for off: {}",
                        Error::from(failure).chain()
                    );
                    None
                }
            };
            let features = features.unwrap_or_default().into_iter().flatten();
            let on = features.filter(|feature| feature.is_enabled == Some(true));
            on.filter_map(|feature| feature.name).collect()
        };
        self.inner.features.get_or_init(ask).await
    }

    /// Runs an operation about `node`.
    pub(crate) async fn execute<T: DeserializeOwned>(
        &self,
        operation: Operation,
        node: &str,
        variables: Variables,
    ) -> Result<T, Failure> {
        self.execute_repeating(operation, node, variables, Repeat::Freely)
            .await
    }

    /// The same with a rule for when it is sent again.
    pub(crate) async fn execute_repeating<T: DeserializeOwned>(
        &self,
        operation: Operation,
        node: &str,
        variables: Variables,
        repeat: Repeat,
    ) -> Result<T, Failure> {
        self.inner
            .transport
            .execute(operation, node, variables, repeat)
            .await
    }

    /// Remembers who is signed in.
    pub(crate) fn remember_user(&self, name: &str) {
        // Only the first answer counts; a client has one credential.
        let _ = self.inner.user.set(name.to_owned());
    }

    /// Who is signed in, for the log of changes; asked once per client, where no answer told it.
    pub(crate) async fn user_name(&self) -> &str {
        let ask = || async {
            let asked = self.execute::<ViewerAnswer>(GET_VIEWER, "", Variables::new());
            let user = asked.await.ok().and_then(|answer| answer.viewer);
            let name = user.and_then(|user| user.username.or(user.entity));
            name.unwrap_or_else(|| "unknown".to_owned())
        };
        self.inner.user.get_or_init(ask).await
    }

    /// The body behind a presigned URL.
    pub(crate) async fn get(&self, node: &str, url: &Url) -> Result<bytes::Bytes, Failure> {
        self.inner.transport.get(node, url).await
    }

    /// Remembers the display name of an organisation entity.
    pub(crate) fn remember_organization(&self, entity: EntityName, display_name: String) {
        self.inner.organizations.lock().insert(entity, display_name);
    }

    /// The display name of an organisation entity, if an answer ever told it.
    pub(crate) fn organization_of(&self, entity: &EntityName) -> Option<String> {
        self.inner.organizations.lock().get(entity).cloned()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServerFeatures {
    server_info: Option<ServerInfo>,
}

#[derive(Deserialize)]
struct ServerInfo {
    features: Option<Vec<Option<wire::Feature>>>,
}
