//! Secrets in the data directory: the key of the first user, the key of the URL signatures.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rand::RngCore;

/// Text of the secret in `path`, made of `bytes` random bytes in hex and kept with mode 0600 if it
/// is not there yet. The caller holds the lock of the data directory.
///
/// # Errors
/// When the file can be neither read nor made.
pub(crate) fn read_or_create(path: &Path, bytes: usize) -> io::Result<String> {
    match std::fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        read => return Ok(read?.trim().to_owned()),
    }
    let mut random = vec![0; bytes];
    rand::rng().fill_bytes(&mut random);
    let text = hex::encode(random);
    write(path, &text)?;
    Ok(text)
}

/// Puts `text` into `path` with mode 0600, whole or not at all.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)
}
