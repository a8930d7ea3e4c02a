//! Content under signed URLs, streamed in both directions.
//!
//! Nothing here holds a whole file: a download is read in pieces of [`PIECE`], an upload is handed
//! to a blocking thread through a channel of a few pieces.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use rustix::io::ReadWriteFlags;
use tokio::sync::mpsc;

use super::connection::ResetSwitch;
use super::control::{Admission, expired};
use super::faults::Class;
use super::range::respond;
use super::urls::{Access, object_of};
use super::{App, blocking, reply};
use crate::server::digest::Digest;
use crate::server::store::StoreError;

/// Bytes read at once: what has to be waited for is one hop to a blocking thread, and 256 KiB make
/// the hop small against the copy. One download holds at most two of them.
const PIECE: usize = 256 * 1024;

/// Pieces of an upload that may wait for the disk; hyper's are at most 400 KiB or so.
const WAITING_PIECES: usize = 4;

/// GET and HEAD.
pub(super) async fn read(
    State(app): State<Arc<App>>,
    ConnectInfo(line): ConnectInfo<ResetSwitch>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let Some(object) = object_of(uri.path()) else {
        return reply::not_found();
    };
    let is_manifest = object.starts_with("manifests/");
    let class = if is_manifest {
        Class::Manifest
    } else {
        Class::Blob
    };
    let shape = match app.admit(class, None, &line).await {
        Admission::Serve(shape) => shape,
        Admission::Instead(response) => return response,
    };
    if !app
        .signer
        .allows(&object, Access::Read, uri.query().unwrap_or_default())
    {
        return expired();
    }
    // A row by its key and an open file: less than the way to another thread and back.
    let found = app.store.locate(&object).and_then(|located| {
        let file = app.store.blobs().open_blob(located.md5)?;
        Ok((file, located))
    });
    let (file, located) = match found {
        Ok(found) => found,
        Err(failure) => return reply::failure(&failure),
    };
    let etag = format!("\"{}\"", located.md5.hex());
    let mut response = respond(&method, &headers, &etag, located.size, |offset, len| {
        shape.stream(Box::pin(pieces(file, offset, len)), len)
    });
    if response.status().is_success() {
        let content_type = if is_manifest {
            "application/json"
        } else {
            "application/octet-stream"
        };
        let content_type = HeaderValue::from_static(content_type);
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, content_type);
    }
    response
}

/// A stretch of a file, piece by piece. The file may be deleted meanwhile; it stays readable.
fn pieces(
    file: File,
    offset: u64,
    len: u64,
) -> impl futures::Stream<Item = io::Result<Bytes>> + Send {
    stream::unfold(Some((file, offset, len)), |state| async move {
        let (file, offset, left) = state.filter(|(_, _, left)| *left > 0)?;
        let len = left.min(PIECE as u64);
        if let Some(bytes) = piece_at_once(&file, offset, len) {
            return Some((Ok(bytes), Some((file, offset + len, left - len))));
        }
        match tokio::task::spawn_blocking(move || piece(file, offset, len)).await {
            Ok(Ok((file, bytes))) => Some((Ok(bytes), Some((file, offset + len, left - len)))),
            Ok(Err(error)) => Some((Err(error), None)),
            Err(error) => Some((Err(io::Error::other(error)), None)),
        }
    })
}

/// A piece that lies in the page cache; `None` where the disk has to be waited for.
fn piece_at_once(file: &File, offset: u64, len: u64) -> Option<Bytes> {
    let mut bytes = vec![0; usize::try_from(len).ok()?];
    let into = &mut [io::IoSliceMut::new(&mut bytes)];
    let read = rustix::io::preadv2(file, into, offset, ReadWriteFlags::NOWAIT).ok()?;
    (read == bytes.len()).then(|| bytes.into())
}

fn piece(mut file: File, offset: u64, len: u64) -> io::Result<(File, Bytes)> {
    let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(&mut bytes)?;
    Ok((file, bytes.into()))
}

/// PUT.
pub(super) async fn write(
    State(app): State<Arc<App>>,
    ConnectInfo(line): ConnectInfo<ResetSwitch>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some(object) = object_of(uri.path()) else {
        return reply::not_found();
    };
    if let Admission::Instead(response) = app.admit(Class::Upload, None, &line).await {
        return response;
    }
    if !app
        .signer
        .allows(&object, Access::Write, uri.query().unwrap_or_default())
    {
        return expired();
    }
    let expected = headers
        .get("content-md5")
        .map(|value| value.as_bytes().to_vec());
    let (sender, receiver) = mpsc::channel(WAITING_PIECES);
    let store = Arc::clone(&app.store);
    let receiving = tokio::spawn(blocking(move || {
        let mut incoming = store.begin_receive(&object)?;
        pour(receiver, &mut incoming)?;
        check(incoming.md5(), expected.as_deref())?;
        store.finish_receive(incoming)
    }));
    forward(body, sender).await;
    match receiving.await {
        Ok(Ok(received)) => {
            let etag = format!("\"{}\"", received.md5.hex());
            (StatusCode::OK, [(header::ETAG, etag)]).into_response()
        }
        Ok(Err(failure)) => reply::failure(&failure),
        Err(failure) => reply::failure(&StoreError::Io(io::Error::other(failure))),
    }
}

/// What goes through the channel of an upload. A channel that closes without [`Piece::End`] means
/// that the client has gone, which must not look like the end of the content.
enum Piece {
    Bytes(Bytes),
    End,
}

/// Sends a body's pieces on. Stops early when it breaks off or nobody listens any more.
async fn forward(body: Body, sender: mpsc::Sender<Piece>) {
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let Ok(bytes) = piece else { return };
        if sender.send(Piece::Bytes(bytes)).await.is_err() {
            return;
        }
    }
    // Nobody listens only if the receiver has failed, and then it says so itself.
    drop(sender.send(Piece::End).await);
}

/// Writes all pieces.
fn pour(mut pieces: mpsc::Receiver<Piece>, target: &mut impl Write) -> Result<(), StoreError> {
    loop {
        match pieces.blocking_recv() {
            Some(Piece::Bytes(piece)) => target.write_all(&piece)?,
            Some(Piece::End) => return Ok(()),
            None => return Err(StoreError::invalid("the body of the upload broke off")),
        }
    }
}

/// Compares the MD5 of what came with the `Content-MD5` (padded base64, RFC 1864), if there was one.
fn check(received: Digest, expected: Option<&[u8]>) -> Result<(), StoreError> {
    if expected.is_none_or(|expected| received.base64().as_bytes() == expected.trim_ascii()) {
        return Ok(());
    }
    Err(StoreError::invalid(
        "the content does not match its Content-MD5",
    ))
}
