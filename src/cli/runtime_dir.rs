//! What is known about running mounts: one JSON file and one socket per mount, in a directory that
//! only their owner can enter.
//!
//! The files are a hint. Whether a mount is there, the kernel's mount table says; whether its process
//! is there, `/proc` says.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::process::ProcessId;
use crate::wandb::config::Environment;

/// A mount as its own process describes it: the ready line, and what finds the process again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MountRecord {
    /// Always `ready`: the object is the ready line, too.
    pub(crate) event: String,
    /// Canonical path of the mount point.
    pub(crate) mountpoint: PathBuf,
    /// Process that serves it.
    pub(crate) pid: u32,
    /// `--root` as given; empty for everything.
    pub(crate) root: String,
    /// What the root was resolved to.
    pub(crate) resolved: String,
    /// Whether the kernel reads cached files by itself.
    pub(crate) passthrough: bool,
    /// Root of the cache.
    pub(crate) cache_dir: PathBuf,
    /// Where the log goes, for a mount in the background.
    pub(crate) log_file: Option<PathBuf>,
    /// Start time that goes with `pid`.
    pub(crate) started: u64,
}

impl MountRecord {
    /// The process that serves the mount.
    pub(crate) fn process(&self) -> ProcessId {
        ProcessId {
            pid: self.pid,
            started: self.started,
        }
    }
}

/// The directory of records.
#[derive(Debug, Clone)]
pub(crate) struct RuntimeDir(PathBuf);

impl RuntimeDir {
    /// `$XDG_RUNTIME_DIR/wandbfs`, else `/run/user/<uid>/wandbfs`, else `/tmp/wandbfs-<uid>`. Made,
    /// with mode 0700, where it is missing.
    ///
    /// # Errors
    /// When it cannot be made, or belongs to somebody else.
    pub(crate) fn open(environment: &Environment) -> io::Result<Self> {
        let uid = rustix::process::getuid().as_raw();
        let of_session = environment
            .get("XDG_RUNTIME_DIR")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute() && path.is_dir());
        let of_user = PathBuf::from(format!("/run/user/{uid}"));
        let dir = match of_session.or_else(|| of_user.is_dir().then_some(of_user)) {
            Some(base) => base.join("wandbfs"),
            None => std::env::temp_dir().join(format!("wandbfs-{uid}")),
        };
        if let Err(error) = DirBuilder::new().mode(0o700).create(&dir)
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(error);
        }
        let found = fs::symlink_metadata(&dir)?;
        if !found.is_dir() || found.uid() != uid || found.mode() & 0o077 != 0 {
            let why = format!("{} is not a private directory of yours", dir.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        Ok(Self(dir))
    }

    /// Records a mount.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(&self, record: &MountRecord) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.0)?;
        serde_json::to_writer(&mut file, record)?;
        file.persist(self.file(&record.mountpoint))?;
        Ok(())
    }

    /// Every record that can be read, oldest mount point name first.
    pub(crate) fn records(&self) -> Vec<MountRecord> {
        let Ok(entries) = fs::read_dir(&self.0) else {
            return Vec::new();
        };
        let mut records: Vec<MountRecord> = entries
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                (path.extension()? == "json").then_some(())?;
                serde_json::from_slice(&fs::read(path).ok()?).ok()
            })
            .collect();
        records.sort_by(|a, b| a.mountpoint.cmp(&b.mountpoint));
        records
    }

    /// The record of one mount point.
    pub(crate) fn record(&self, mount_point: &Path) -> Option<MountRecord> {
        serde_json::from_slice(&fs::read(self.file(mount_point)).ok()?).ok()
    }

    /// Forgets a mount point.
    pub(crate) fn remove(&self, mount_point: &Path) {
        for path in [self.file(mount_point), self.socket(mount_point)] {
            if let Err(error) = fs::remove_file(&path)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(path = %path.display(), %error, "not removed");
            }
        }
    }

    /// Address at which the process of a mount answers with its status.
    pub(crate) fn socket(&self, mount_point: &Path) -> PathBuf {
        self.0.join(format!("{}.sock", key(mount_point)))
    }

    fn file(&self, mount_point: &Path) -> PathBuf {
        self.0.join(format!("{}.json", key(mount_point)))
    }
}

/// A short name for a mount point: addresses of sockets have room for 107 bytes only.
pub(crate) fn key(mount_point: &Path) -> String {
    let bytes = mount_point.as_os_str().as_bytes();
    format!("{:016x}", xxhash_rust::xxh3::xxh3_64(bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn environment(dir: &Path) -> Environment {
        let mut environment = Environment::default();
        environment
            .variables
            .insert("XDG_RUNTIME_DIR".into(), dir.display().to_string());
        environment
    }

    #[test]
    fn a_record_is_found_by_its_mount_point_until_it_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let runtime = RuntimeDir::open(&environment(dir.path())).unwrap();
        let record = MountRecord {
            event: "ready".into(),
            mountpoint: "/mnt/x".into(),
            pid: 1,
            root: String::new(),
            resolved: "/".into(),
            passthrough: false,
            cache_dir: "/c".into(),
            log_file: None,
            started: 7,
        };
        runtime.write(&record).unwrap();
        assert_eq!(runtime.record(Path::new("/mnt/x")), Some(record.clone()));
        assert_eq!(runtime.records(), [record]);
        runtime.remove(Path::new("/mnt/x"));
        assert!(runtime.records().is_empty());
    }

    #[test]
    fn a_directory_that_others_can_enter_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let open = dir.path().join("wandbfs");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(RuntimeDir::open(&environment(dir.path())).is_err());
    }
}
