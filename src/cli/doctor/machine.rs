//! What this machine has for mounting and for caching.

use std::fs;
use std::path::Path;

use super::Check;
use crate::cli::daemon;
use crate::fuse::{Prerequisites, read_ahead_can_be_raised};
use crate::wandb::config::{Config, Environment};

/// First kernel that reads cached files by itself (FUSE passthrough).
const PASSTHROUGH_KERNEL: (u32, u32) = (6, 9);
/// Less free space than this makes a cache that evicts what it has just read.
const LITTLE_SPACE: u64 = 1 << 30;
/// Configuration of the unprivileged mount helper.
const FUSE_CONF: &str = "/etc/fuse.conf";

/// Every check that needs no network.
pub(super) fn checks(config: Option<&Config>, environment: &Environment) -> Vec<Check> {
    let found = Prerequisites::probe();
    let mut checks = vec![device(&found), helper(&found)];
    if !found.root {
        checks.push(allow_other());
    }
    checks.push(kernel(found.root));
    checks.push(read_ahead());
    if let Some(config) = config {
        checks.push(cache(&config.cache_dir.value, &config.cache_dir.source));
    }
    checks.push(Check::good(
        "log",
        format!(
            "mounts in the background log to {}",
            daemon::log_dir(environment).display()
        ),
    ));
    checks
}

fn device(found: &Prerequisites) -> Check {
    let error = match &found.device {
        Ok(()) => return Check::good("device", "/dev/fuse can be opened"),
        Err(error) => error,
    };
    let fix = match (container(), error.kind()) {
        (Some(kind), _) => format!(
            "start the {kind} with --device /dev/fuse --cap-add SYS_ADMIN --security-opt apparmor=unconfined; without a mount, `wandbfs ls` and `wandbfs cat` work"
        ),
        (None, std::io::ErrorKind::NotFound) => "modprobe fuse".to_owned(),
        (None, _) if found.helper.is_some() => "chmod 666 /dev/fuse (as root)".to_owned(),
        (None, _) => "run as root, or install the package fuse3".to_owned(),
    };
    Check::bad("device", format!("/dev/fuse: {error}"), fix)
}

fn helper(found: &Prerequisites) -> Check {
    match (&found.helper, found.root) {
        (Some(path), _) => Check::good("helper", format!("{} is there", path.display())),
        (None, true) => Check::could_be_better(
            "helper",
            "fusermount3 is missing; root needs it for --auto-unmount only",
            "apt install fuse3 (or dnf, apk, pacman)",
        ),
        (None, false) => Check::bad(
            "helper",
            "fusermount3 is missing; without it only root can mount",
            "apt install fuse3 (or dnf, apk, pacman)",
        ),
    }
}

fn allow_other() -> Check {
    let allowed = fs::read_to_string(FUSE_CONF)
        .is_ok_and(|text| text.lines().any(|line| line.trim() == "user_allow_other"));
    match allowed {
        true => Check::good("allow_other", format!("{FUSE_CONF} permits --allow-other")),
        false => Check::could_be_better(
            "allow_other",
            format!("{FUSE_CONF} does not permit --allow-other"),
            format!("echo user_allow_other | sudo tee -a {FUSE_CONF}"),
        ),
    }
}

fn kernel(root: bool) -> Check {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy().into_owned();
    let new_enough = version(&release).is_some_and(|found| found >= PASSTHROUGH_KERNEL);
    let place = container().map_or_else(String::new, |kind| format!(", in a {kind}"));
    let detail = match (new_enough, root) {
        (true, true) => format!(
            "Linux {release}{place}: cached files are read by the kernel itself where it lets us"
        ),
        (true, false) => format!(
            "Linux {release}{place}: cached files go through this program, since passthrough needs root"
        ),
        (false, _) => format!(
            "Linux {release}{place}: passthrough needs 6.9; cached files go through this program"
        ),
    };
    Check::good("kernel", detail)
}

fn read_ahead() -> Check {
    if read_ahead_can_be_raised() {
        return Check::good("read_ahead", "mounts read ahead by 1 MiB");
    }
    Check::could_be_better(
        "read_ahead",
        "mounts read ahead by the kernel's 128 KiB, which costs a quarter of the speed of large \
         files that the kernel does not read by itself",
        "mount as root, where /sys can be written; or let root write 1024 to \
         /sys/class/bdi/DEVICE/read_ahead_kb of the mount",
    )
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn cache(dir: &Path, source: &str) -> Check {
    let shown = format!("{} ({source})", dir.display());
    let fix = "give --cache-dir or WANDB_CACHE_DIR a directory that you can write";
    let probe = fs::create_dir_all(dir).and_then(|()| tempfile::tempfile_in(dir));
    if let Err(error) = probe {
        return Check::bad("cache", format!("{shown}: {error}"), fix);
    }
    match rustix::fs::statvfs(dir) {
        Err(error) => Check::bad("cache", format!("{shown}: {error}"), fix),
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let detail = format!("{shown}, {} MiB free", free >> 20);
            if free < LITTLE_SPACE {
                let fix =
                    "free some space, or name another disk with --cache-dir; reading works without";
                Check::could_be_better("cache", detail, fix)
            } else {
                Check::good("cache", detail)
            }
        }
    }
}

/// The kind of container this is, as far as it can be told.
fn container() -> Option<&'static str> {
    if Path::new("/.dockerenv").exists() {
        return Some("Docker container");
    }
    if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
        return Some("Kubernetes pod");
    }
    Path::new("/run/.containerenv")
        .exists()
        .then_some("Podman container")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_versions_compare_by_number() {
        assert_eq!(version("6.18.44-fc"), Some((6, 18)));
        assert!(version("6.9.0-rc1") >= Some(PASSTHROUGH_KERNEL));
        assert!(version("5.15.0-1-generic") < Some(PASSTHROUGH_KERNEL));
        assert_eq!(version("odd"), None);
    }

    #[test]
    fn a_cache_that_cannot_be_written_says_where_it_was_named() {
        let check = cache(Path::new("/proc/none"), "--cache-dir");
        assert!(
            !check.ok && check.detail.contains("--cache-dir"),
            "{check:?}"
        );
    }
}
