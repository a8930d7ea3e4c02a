//! The doubles: an HTTP store with faults, a hub that hands out its URLs, and a store on both.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::model::*;
use crate::store::{DownloadHandler, Store, StoreLinks, StoreOptions, hash};
use crate::telemetry::Meter;

/// What the next matching request gets instead of a right answer.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    Status(u16),
    /// The first bytes, then a broken connection.
    Truncate(usize),
    /// One byte changed.
    Corrupt,
    /// The head, then nothing for ever.
    Stall,
    /// 206 for another range than asked.
    WrongRange,
}

/// One request as it came.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) path: String,
    pub(super) range: Option<String>,
    pub(super) if_match: Option<String>,
    pub(super) authorization: Option<String>,
}

/// How the server behaves for good.
#[derive(Debug, Default)]
pub(super) struct Manners {
    pub(super) no_ranges: bool,
    pub(super) no_etag: bool,
    /// `Content-Length` is left out.
    pub(super) no_length: bool,
    /// URLs of an older generation are refused with 403.
    pub(super) generation: usize,
    /// Every presigned URL is refused.
    pub(super) refuse_presigned: bool,
}

#[derive(Default)]
pub(super) struct Server {
    /// Contents with their ETags.
    pub(super) contents: Mutex<HashMap<String, (Bytes, String)>>,
    pub(super) faults: Mutex<VecDeque<Fault>>,
    pub(super) seen: Mutex<Vec<Seen>>,
    pub(super) manners: Mutex<Manners>,
    /// While set, answers wait.
    pub(super) gate: Mutex<Option<Arc<Notify>>>,
}

#[derive(serde::Deserialize)]
struct Signature {
    generation: Option<usize>,
}

async fn serve(
    State(server): State<Arc<Server>>,
    Path(path): Path<String>,
    Query(signature): Query<Signature>,
    headers: HeaderMap,
) -> Response {
    let text = |name: &str| headers.get(name).map(|v| v.to_str().unwrap().to_owned());
    server.seen.lock().push(Seen {
        path: path.clone(),
        range: text("range"),
        if_match: text("if-match"),
        authorization: text("authorization"),
    });
    let gate = server.gate.lock().clone();
    if let Some(gate) = gate {
        gate.notified().await;
    }
    let fault = server.faults.lock().pop_front();
    let manners = server.manners.lock();
    let plain = |status: u16| {
        let body = Body::empty();
        Response::builder().status(status).body(body).unwrap()
    };
    if let Some(Fault::Status(status)) = fault {
        return plain(status);
    }
    let stale = signature.generation.is_some_and(|g| g < manners.generation);
    let presigned = signature.generation.is_some();
    if stale || (presigned && manners.refuse_presigned) {
        return plain(403);
    }
    let Some((content, etag)) = server.contents.lock().get(&path).cloned() else {
        return plain(404);
    };
    answer(
        &manners,
        &content,
        &etag,
        text("range"),
        text("if-match"),
        fault,
    )
}

fn answer(
    manners: &Manners,
    content: &Bytes,
    etag: &str,
    range: Option<String>,
    if_match: Option<String>,
    fault: Option<Fault>,
) -> Response {
    let mut builder = Response::builder();
    if !manners.no_etag {
        if if_match.is_some_and(|tag| tag != etag) {
            return builder.status(412).body(Body::empty()).unwrap();
        }
        builder = builder.header("etag", etag);
    }
    let total = content.len() as u64;
    let asked = range.filter(|_| !manners.no_ranges);
    let (mut body, status) = match asked.as_deref().map(|text| parse_range(text, total)) {
        None => (content.clone(), StatusCode::OK),
        Some(None) => {
            builder = builder.header("content-range", format!("bytes */{total}"));
            return builder.status(416).body(Body::empty()).unwrap();
        }
        Some(Some((start, end))) => {
            let shift = u64::from(matches!(fault, Some(Fault::WrongRange)));
            let said = format!("bytes {}-{}/{total}", start + shift, end - 1);
            builder = builder.header("content-range", said);
            let part = content.slice(start as usize..end as usize);
            (part, StatusCode::PARTIAL_CONTENT)
        }
    };
    builder = builder.status(status);
    if !manners.no_length {
        builder = builder.header("content-length", body.len());
    }
    let body = match fault {
        Some(Fault::Truncate(at)) => {
            let first = body.slice(..at.min(body.len()));
            // The server gets turns in between to put the first bytes on the wire.
            let turns = stream::unfold(0, |turn| async move {
                tokio::task::yield_now().await;
                (turn < 16).then_some((Ok(Bytes::new()), turn + 1))
            });
            let broken = stream::iter([Err(std::io::Error::other("broken"))]);
            let first = stream::iter([Ok(first)]);
            Body::from_stream(first.chain(turns).chain(broken))
        }
        Some(Fault::Stall) => Body::from_stream(stream::pending::<std::io::Result<Bytes>>()),
        Some(Fault::Corrupt) => {
            let mut wrong = body.to_vec();
            wrong[0] ^= 1;
            body = wrong.into();
            Body::from(body)
        }
        _ if manners.no_length => Body::from_stream(stream::iter([std::io::Result::Ok(body)])),
        _ => Body::from(body),
    };
    builder.body(body).unwrap()
}

/// Reads `bytes=a-b` or `bytes=a-`; `None` beyond the end.
fn parse_range(text: &str, total: u64) -> Option<(u64, u64)> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let start: u64 = first.parse().ok()?;
    let end = match last {
        "" => total,
        last => last.parse::<u64>().ok()?.checked_add(1)?.min(total),
    };
    (start < end).then_some((start, end))
}

/// A hub that only knows URLs.
pub(super) struct UrlHub {
    base: String,
    pub(super) server: Arc<Server>,
    /// Sizes of the batches asked for.
    pub(super) batches: Mutex<Vec<usize>>,
    pub(super) manifests: AtomicUsize,
    pub(super) failures: AtomicUsize,
    pub(super) gate: Mutex<Option<Arc<Notify>>>,
    pub(super) nameless: Mutex<bool>,
}

fn unused<T>() -> Result<T, Error> {
    Err(Error::new(
        ErrorKind::Invalid,
        "",
        "not part of this double",
    ))
}

#[async_trait]
impl Hub for UrlHub {
    async fn viewer(&self) -> Result<Viewer, Error> {
        unused()
    }
    async fn entity(&self, _: &EntityName) -> Result<Option<Entity>, Error> {
        unused()
    }
    async fn projects(&self, _: &EntityName, _: &PageRequest) -> Result<Page<Project>, Error> {
        unused()
    }
    async fn project(&self, _: &ProjectPath) -> Result<Option<Project>, Error> {
        unused()
    }
    async fn artifact_types(
        &self,
        _: &ProjectPath,
        _: &PageRequest,
    ) -> Result<Page<ProjectArtifactType>, Error> {
        unused()
    }
    async fn artifact_type(&self, _: &TypePath) -> Result<Option<ProjectArtifactType>, Error> {
        unused()
    }
    async fn collections(
        &self,
        _: &TypePath,
        _: &ListOptions,
        _: &PageRequest,
    ) -> Result<Page<Collection>, Error> {
        unused()
    }
    async fn collection(&self, _: &CollectionPath) -> Result<Option<Collection>, Error> {
        unused()
    }
    async fn collection_aliases(&self, _: &Collection) -> Result<Vec<String>, Error> {
        unused()
    }
    async fn versions(
        &self,
        _: &CollectionPath,
        _: &ListOptions,
        _: &PageRequest,
    ) -> Result<Page<ArtifactVersion>, Error> {
        unused()
    }
    async fn version(
        &self,
        _: &CollectionPath,
        _: &VersionSelector,
    ) -> Result<Option<ArtifactVersion>, Error> {
        unused()
    }
    async fn collection_of_project(
        &self,
        _: &ProjectPath,
        _: &CollectionName,
    ) -> Result<Option<Collection>, Error> {
        unused()
    }
    async fn manifest_url(&self, _: &ArtifactId) -> Result<String, Error> {
        self.manifests.fetch_add(1, SeqCst);
        Ok(self.url("manifest"))
    }
    async fn content_urls(&self, files: &[StoredAt]) -> Result<Vec<Option<String>>, Error> {
        self.batches.lock().push(files.len());
        let gate = self.gate.lock().clone();
        if let Some(gate) = gate {
            gate.notified().await;
        }
        if self.failures.load(SeqCst) > 0 {
            self.failures.fetch_sub(1, SeqCst);
            return Err(Error::new(ErrorKind::Network, "", "no URLs today"));
        }
        let nameless = *self.nameless.lock();
        let url = |file: &StoredAt| (!nameless).then(|| self.url(&file.path));
        Ok(files.iter().map(url).collect())
    }
    fn app_url(&self, _: &NodePath) -> Option<String> {
        None
    }
}

impl UrlHub {
    pub(super) fn url(&self, path: &str) -> String {
        let generation = self.server.manners.lock().generation;
        format!("{}/{path}?generation={generation}", self.base)
    }

    /// The URL of a reference: without a signature.
    pub(super) fn plain(&self, path: &str) -> String {
        format!("{}/{path}", self.base)
    }
}

/// A handler that serves the same contents, for whoever has the key.
struct KeyHandler {
    base: String,
}

#[async_trait]
impl DownloadHandler for KeyHandler {
    fn url(&self, at: &StoredAt, _: Digest) -> Option<url::Url> {
        url::Url::parse(&format!("{}/{}", self.base, at.path)).ok()
    }
    async fn headers(&self, _: &url::Url) -> Result<HeaderMap, Error> {
        Ok(HeaderMap::from_iter([(
            axum::http::header::AUTHORIZATION,
            "Bearer key".parse().unwrap(),
        )]))
    }
}

/// Everything together.
pub(super) struct World {
    pub(super) server: Arc<Server>,
    pub(super) hub: Arc<UrlHub>,
    pub(super) meter: Arc<Meter>,
    pub(super) store: Store,
    pub(super) dir: tempfile::TempDir,
    version: Arc<VersionPath>,
}

/// What a test may change about the store.
pub(super) struct Setup {
    pub(super) limit: u64,
    pub(super) memory: u64,
    pub(super) deadline: Duration,
    pub(super) offline: bool,
    pub(super) allow_file_refs: bool,
    pub(super) handler: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            limit: 1 << 30,
            memory: 64 << 20,
            deadline: Duration::from_secs(10),
            offline: false,
            allow_file_refs: false,
            handler: false,
        }
    }
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(Setup::default()).await
    }

    pub(super) async fn with(setup: Setup) -> Self {
        let server = Arc::new(Server::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let app = axum::Router::new()
            .route("/{*path}", axum::routing::get(serve))
            .with_state(Arc::clone(&server));
        tokio::spawn(async move { axum::serve(listener, app).await });
        let hub = Arc::new(UrlHub {
            base,
            server: Arc::clone(&server),
            batches: Mutex::default(),
            manifests: AtomicUsize::new(0),
            failures: AtomicUsize::new(0),
            gate: Mutex::default(),
            nameless: Mutex::new(false),
        });
        let dir = tempfile::tempdir().unwrap();
        let meter = Arc::new(Meter::default());
        let store = open_store(dir.path(), &setup, &hub, &meter);
        let name = "e/p/t/c/v0";
        let Ok(NodePath::Version { collection, .. }) = NodePath::parse(name) else {
            panic!("{name} is a version");
        };
        let index = VersionIndex(0);
        let version = Arc::new(VersionPath { collection, index });
        Self {
            server,
            hub,
            meter,
            store,
            dir,
            version,
        }
    }

    /// Another mount on the same cache.
    pub(super) fn second_store(&self, setup: &Setup) -> Store {
        open_store(self.dir.path(), setup, &self.hub, &self.meter)
    }

    /// Puts bytes on the server under an ETag.
    pub(super) fn serve(&self, path: &str, bytes: Bytes, etag: &str) {
        let entry = (bytes, etag.to_owned());
        self.server.contents.lock().insert(path.to_owned(), entry);
    }

    /// A stored content that the server has.
    pub(super) fn stored(&self, path: &str, bytes: &[u8]) -> Content {
        let bytes = Bytes::copy_from_slice(bytes);
        let digest = hash::of_bytes(DigestAlgorithm::Md5, &bytes);
        self.stored_as(path, bytes, digest)
    }

    /// The same, of bytes whose digest is known.
    pub(super) fn stored_as(&self, path: &str, bytes: Bytes, digest: Digest) -> Content {
        let size = Some(bytes.len() as u64);
        self.serve(path, bytes, &format!("\"{}\"", digest.to_hex()));
        Content {
            origin: Origin::Stored(StoredAt {
                version: Arc::clone(&self.version),
                artifact: ArtifactId::new("artifact"),
                path: path.into(),
                digest: digest.to_base64().into(),
                size,
                birth_artifact: None,
                layout_v2: true,
                region: None,
            }),
            digest: Some(digest),
            size,
        }
    }

    pub(super) fn reference(&self, url: &str, etag: &str, size: Option<u64>) -> Content {
        Content {
            origin: Origin::Reference {
                version: Arc::clone(&self.version),
                artifact: ArtifactId::new("artifact"),
                url: url.into(),
                etag: etag.into(),
                version_id: None,
            },
            digest: None,
            size,
        }
    }

    pub(super) fn manifest(&self, bytes: &[u8], url: Option<String>) -> Content {
        let bytes = Bytes::copy_from_slice(bytes);
        self.serve("manifest", bytes, "\"manifest\"");
        Content {
            origin: Origin::Manifest {
                version: Arc::clone(&self.version),
                artifact: ArtifactId::new("artifact"),
                url: url.map(Into::into),
                manifest_digest: Some("digest".into()),
            },
            digest: None,
            size: None,
        }
    }

    pub(super) fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.server.faults.lock().extend(faults);
    }

    pub(super) fn gets(&self) -> usize {
        self.server.seen.lock().len()
    }

    /// Reads all of a content in steps, as a program would.
    pub(super) async fn read(&self, content: &Content, step: u32) -> Result<Vec<u8>, Error> {
        let blob = self.store.open(content, None).await?;
        read_all(&*blob, step).await
    }

    /// Where the SDK looks for a content.
    pub(super) fn blob_path(&self, content: &Content) -> std::path::PathBuf {
        let place = crate::store::cache::Place::Hash(content.digest.unwrap());
        place.path(self.dir.path())
    }
}

fn open_store(
    dir: &std::path::Path,
    setup: &Setup,
    hub: &Arc<UrlHub>,
    meter: &Arc<Meter>,
) -> Store {
    let base = hub.base.clone();
    let handler = move || Arc::new(KeyHandler { base }) as Arc<dyn DownloadHandler>;
    Store::open(
        StoreOptions {
            cache_dir: dir.to_owned(),
            cache_limit: Some(setup.limit),
            memory: setup.memory,
            deadline: setup.deadline,
            offline: setup.offline,
            allow_file_refs: setup.allow_file_refs,
        },
        StoreLinks {
            hub: Arc::clone(hub) as Arc<dyn Hub>,
            http: reqwest::Client::builder()
                .no_gzip()
                .no_proxy()
                .build()
                .unwrap(),
            handler: setup.handler.then(handler),
            meter: Arc::clone(meter),
        },
    )
}

pub(super) async fn read_all(blob: &dyn OpenBlob, step: u32) -> Result<Vec<u8>, Error> {
    let mut all = Vec::new();
    loop {
        let bytes = blob.read_at(all.len() as u64, step).await?;
        all.extend_from_slice(&bytes);
        if bytes.len() < step as usize {
            return Ok(all);
        }
    }
}

/// Bytes without a pattern that a wrong offset could hide in.
pub(super) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Waits until something holds; fails when it does not within ten seconds.
pub(super) async fn until(what: &str, holds: impl Fn() -> bool) {
    let patience = Duration::from_secs(10);
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let in_time = tokio::time::timeout(patience, waiting).await;
    in_time.unwrap_or_else(|_| panic!("never came: {what}"));
}
