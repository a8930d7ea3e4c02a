//! What can go wrong in the store, as a type the GraphQL and HTTP layers translate.

use std::io;

use rusqlite::ffi;

/// The store's result.
pub(crate) type Result<T, E = StoreError> = std::result::Result<T, E>;

/// A failed store operation. `Display` says only this level; the cause is in the source chain.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The thing does not exist, or the caller may not know that it does.
    #[error("{0} not found")]
    NotFound(String),
    /// The caller sees the thing but may not do this to it.
    #[error("permission denied: {0}")]
    Forbidden(String),
    /// The request itself is wrong; the text tells its author what to change.
    #[error("{0}")]
    Invalid(String),
    /// The request contradicts the present state.
    #[error("{0}")]
    Conflict(String),
    /// Another server has the data directory open.
    #[error("the data directory is in use by another server")]
    Busy,
    /// The data directory was written by a newer release.
    #[error("the data directory has schema version {found}, this release knows {known}")]
    TooNew {
        /// Version found in the database.
        found: i64,
        /// Newest version this release can read.
        known: i64,
    },
    /// The data directory has no room; nothing of the request was kept.
    #[error("the server's disk is full")]
    Full(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// SQLite failed.
    #[error("the database failed")]
    Sqlite(#[source] rusqlite::Error),
    /// A blob or the directory failed.
    #[error("the blob directory failed")]
    Io(#[source] io::Error),
    /// A stored document is not what the store wrote.
    #[error("a stored document is damaged")]
    Json(#[from] serde_json::Error),
}

impl StoreError {
    /// Shorthand for [`StoreError::Invalid`].
    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self::Invalid(text.into())
    }

    /// Shorthand for [`StoreError::NotFound`].
    pub(crate) fn not_found(what: impl Into<String>) -> Self {
        Self::NotFound(what.into())
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        // With no room for the files beside the database SQLite reports a failed write or resize.
        let full = matches!(
            &error,
            rusqlite::Error::SqliteFailure(failure, _)
                if failure.code == rusqlite::ErrorCode::DiskFull
                    || [ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_IOERR_SHMSIZE, ffi::SQLITE_IOERR_TRUNCATE]
                        .contains(&failure.extended_code)
        );
        if full {
            Self::Full(error.into())
        } else {
            Self::Sqlite(error)
        }
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(error.into()),
            _ => Self::Io(error),
        }
    }
}
