//! An embedded W&B-compatible artifact server: for the demo, for work without network, for tests.
//!
//! ```no_run
//! # async fn example() -> Result<(), wandbfs::server::ServeError> {
//! use wandbfs::server::{ServerOptions, start};
//!
//! let server = start(ServerOptions::new("data")).await?;
//! println!("WANDB_BASE_URL={} WANDB_API_KEY={}", server.base_url(), server.api_key());
//! server.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! | room | what it is |
//! |---|---|
//! | [`engine`] | GraphQL from the SDL, by names; knows no noun |
//! | [`nouns`] | the types of the SDL, field by field |
//! | [`store`] | SQLite and a directory of blobs |
//! | [`http`] | routes, credentials, signed URLs, test controls |
//! | [`seed`] | content without the SDK |
//!
//! The data directory holds `server.sqlite`, `blobs/`, `lock`, and two files of mode 0600: `api-key`
//! (the first user's) and `url-secret` (of the content URLs, so that they survive a restart).

pub(crate) mod digest;
pub(crate) mod engine;
pub(crate) mod http;
pub(crate) mod nouns;
pub(crate) mod secrets;
pub(crate) mod seed;
pub(crate) mod store;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use seed::Seed;

use engine::{Engine, Roots};
use http::App;
use http::connection::{Door, ResetSwitch};
use http::urls::UrlSigner;
use store::accounts::KeyOwner;
use store::enrol::{self, UserRequest};
use store::{Store, StoreError};

/// Login name and entity of the account that an empty data directory gets.
const FIRST_USER: &str = "local";

/// How long a stopping server waits for answers that are under way.
const GRACE: Duration = Duration::from_secs(3);

/// What to serve and where.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// The data directory, made if it is missing. One server at a time.
    pub data: PathBuf,
    /// Where to listen; port 0 is a free one.
    pub listen: SocketAddr,
    /// Content to add before the first request.
    pub seed: Option<Seed>,
    /// Serves `/_test/…`: counters, faults, accounts for anybody. Never on a server others reach.
    pub test_controls: bool,
}

impl ServerOptions {
    /// A server of this directory on a free port of the loopback interface.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            data: data.into(),
            listen,
            seed: None,
            test_controls: false,
        }
    }
}

/// Why a server does not start, or why it stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Another server has the data directory.
    #[error("the data directory {} is in use by another server", .0.display())]
    Busy(PathBuf),
    /// The data directory cannot be used.
    #[error("cannot use the data directory {}", .path.display())]
    Data {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The schema this program carries is faulty.
    #[error("cannot build the GraphQL schema")]
    Schema(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The accept loop ended by itself.
    #[error("the server stopped")]
    Stopped(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A server that answers. Dropping it stops it too, without waiting for the answers under way.
#[derive(Debug)]
pub struct RunningServer {
    base_url: String,
    api_key: String,
    entity: String,
    stop: CancellationToken,
    task: Option<JoinHandle<std::io::Result<()>>>,
}

impl RunningServer {
    /// What clients take as `WANDB_BASE_URL`, without a trailing slash.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The first user's key, 40 hex digits.
    pub fn api_key(&self) -> &str {
        &self.api_key
    }

    /// The first user's entity.
    pub fn entity(&self) -> &str {
        &self.entity
    }

    /// Waits until the server stops by itself.
    ///
    /// # Errors
    /// Why it did.
    pub async fn wait(&mut self) -> Result<(), ServeError> {
        let Some(task) = &mut self.task else {
            return Ok(());
        };
        let ended = task.await;
        self.task = None;
        match ended {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(ServeError::Stopped(error.into())),
            Err(error) => Err(ServeError::Stopped(error.into())),
        }
    }

    /// Stops taking requests, lets those under way finish for up to three seconds, and closes the
    /// data directory.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        match tokio::time::timeout(GRACE, self.wait()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the server had trouble stopping"),
            Err(_) => tracing::warn!("stopped with answers under way"),
        }
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Starts a server and returns once it answers.
///
/// # Errors
/// When the directory or the address cannot be used.
pub async fn start(options: ServerOptions) -> Result<RunningServer, ServeError> {
    let ServerOptions {
        data,
        listen,
        seed,
        test_controls,
    } = options;
    let unusable = |source| ServeError::Listen {
        address: listen,
        source,
    };
    let listener = TcpListener::bind(listen).await.map_err(unusable)?;
    let base_url = format!(
        "http://{}",
        reachable(listener.local_addr().map_err(unusable)?)
    );
    let directory = data.clone();
    let here = base_url.clone();
    let opened = http::blocking(move || open(&directory, seed.as_slice(), &here)).await;
    let (store, api_key, owner) = opened.map_err(|failure| match failure {
        StoreError::Busy => ServeError::Busy(data.clone()),
        source => ServeError::Data {
            path: data.clone(),
            source: source.into(),
        },
    })?;
    let signer = UrlSigner::in_dir(&data, &base_url).map_err(|source| ServeError::Data {
        path: data.clone(),
        source: source.into(),
    })?;
    let roots = Roots {
        query: nouns::query_root(),
        mutation: nouns::mutation_root(),
    };
    let engine = Engine::new(&roots).map_err(|fault| ServeError::Schema(fault.into()))?;
    let app = Arc::new(App::new(
        Arc::new(store),
        engine,
        signer,
        data,
        test_controls,
    ));
    let stop = CancellationToken::new();
    let service =
        http::router(Arc::clone(&app)).into_make_service_with_connect_info::<ResetSwitch>();
    let stopping = stop.clone();
    let serving = axum::serve(Door(listener), service).with_graceful_shutdown(async move {
        stopping.cancelled().await;
        if let Some(controls) = &app.controls {
            controls.release();
        }
    });
    let task = tokio::spawn(async move { serving.await });
    Ok(RunningServer {
        base_url,
        api_key,
        entity: owner.entity,
        stop,
        task: Some(task),
    })
}

/// Opens the directory, with an account in it and the seed planted. The key is written before the
/// account is made: what a crash in between leaves behind is completed by the next start.
fn open(
    data: &Path,
    seeds: &[Seed],
    base_url: &str,
) -> Result<(Store, String, KeyOwner), StoreError> {
    let store = Store::open(data)?;
    let api_key = secrets::read_or_create(&data.join("api-key"), 20)?;
    if store.is_empty()? {
        store.enrol_first(FIRST_USER, &api_key)?;
    }
    let owner = store.key_owner(&api_key)?.ok_or_else(|| {
        StoreError::invalid("the file api-key does not hold the key of an account here")
    })?;
    seed::plant(&store, seeds, base_url)?;
    Ok((store, api_key, owner))
}

/// What to make of an account with [`add_user`].
#[derive(Debug, Clone, Default)]
pub struct NewAccount {
    /// Login name, and name of the personal entity.
    pub name: String,
    /// Administrator of the instance: sees and changes everything.
    pub admin: bool,
    /// The key only reads. Whoever has an account gets such a key besides their others.
    pub read_only: bool,
}

/// Makes an account in a data directory, whether or not a server has it open, and returns its key.
/// The key is shown this once: the directory keeps its hash.
///
/// # Errors
/// When the name is taken or is none, or the directory cannot be used.
pub async fn add_user(data: &Path, account: &NewAccount) -> Result<String, ServeError> {
    let (directory, account) = (data.to_owned(), account.clone());
    let added = http::blocking(move || {
        let request = UserRequest {
            name: Some(&account.name),
            admin: account.admin,
            read_only: account.read_only,
        };
        let made = match open(&directory, &[], "") {
            Ok((store, _, _)) => store.enrol(&request)?,
            Err(StoreError::Busy) => store::beside(&directory, |tx| enrol::enrol(tx, &request))?,
            Err(failure) => return Err(failure),
        };
        Ok(made.api_key)
    });
    added.await.map_err(|source| ServeError::Data {
        path: data.to_owned(),
        source: source.into(),
    })
}

/// An address one can connect to: the unspecified address stands for the loopback one.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
