//! How much memory buffers take where nobody said.
//!
//! A container or a batch job is ended by the kernel when it takes more than its control group may,
//! so the group's limit decides, not the machine's memory. The group may be named in
//! `/proc/self/cgroup` (as in a batch job), or be the top of what this process sees (as in a
//! container); every group above it limits as well.

use std::fs;
use std::path::{Path, PathBuf};

/// Memory for buffers on a large machine: enough for the largest window of four readers, little
/// beside what a training process takes.
const DEFAULT: u64 = 128 << 20;

/// Least memory for buffers: two parts of two readers.
const LEAST: u64 = 16 << 20;

/// Part of what this process may use that buffers take.
const PART: u64 = 16;

/// Where control groups are mounted.
const GROUPS: &str = "/sys/fs/cgroup";

/// The groups of this process.
const MEMBERSHIP: &str = "/proc/self/cgroup";

/// Bytes of memory for buffers without `--memory`.
pub(super) fn default_memory() -> u64 {
    let membership = fs::read_to_string(MEMBERSHIP).unwrap_or_default();
    share(limit(Path::new(GROUPS), &membership))
}

/// What buffers take of a limit.
fn share(limit: Option<u64>) -> u64 {
    limit.map_or(DEFAULT, |limit| (limit / PART).clamp(LEAST, DEFAULT))
}

/// The least limit of a group of `membership` or of one above; version 1 and 2 alike.
fn limit(groups: &Path, membership: &str) -> Option<u64> {
    let files = membership.lines().filter_map(|line| {
        let (_, line) = line.split_once(':')?;
        let (controllers, group) = line.split_once(':')?;
        let (top, file) = match controllers {
            "" => (groups.to_owned(), "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                (groups.join("memory"), "memory.limit_in_bytes")
            }
            _ => return None,
        };
        Some((top, group.trim_start_matches('/').to_owned(), file))
    });
    files
        .flat_map(|(top, group, file)| {
            let above: Vec<PathBuf> = Path::new(&group).ancestors().map(Path::to_owned).collect();
            above
                .into_iter()
                .map(move |group| top.join(group).join(file))
        })
        .filter_map(|path| {
            // `max` where there is none.
            fs::read_to_string(path).ok()?.trim().parse().ok()
        })
        .min()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn groups(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{text}\n")).unwrap();
        }
        dir
    }

    #[test]
    fn the_least_limit_counts_of_the_group_and_of_those_above() {
        let dir = groups(&[
            ("memory.max", "max"),
            ("job/memory.max", "1073741824"),
            ("job/step/memory.max", "max"),
            ("other/memory.max", "5"),
        ]);
        assert_eq!(limit(dir.path(), "0::/job/step\n"), Some(1 << 30));
        assert_eq!(limit(dir.path(), "0::/\n"), None);
    }

    #[test]
    fn a_container_sees_its_own_group_at_the_top_whatever_it_is_called_outside() {
        let dir = groups(&[("memory.max", "536870912")]);
        assert_eq!(limit(dir.path(), "0::/docker/0123\n"), Some(1 << 29));
        assert_eq!(limit(dir.path(), "0::/../..\n"), Some(1 << 29));
    }

    #[test]
    fn the_first_version_is_read_where_it_has_the_memory_controller() {
        let dir = groups(&[
            ("memory/memory.limit_in_bytes", "9223372036854771712"),
            ("memory/job/memory.limit_in_bytes", "268435456"),
            ("cpu/job/memory.limit_in_bytes", "1"),
        ]);
        let membership = "5:cpu,cpuacct:/job\n3:memory,hugetlb:/job\n0::/\n";
        assert_eq!(limit(dir.path(), membership), Some(1 << 28));
    }

    #[test]
    fn buffers_take_a_sixteenth_within_bounds() {
        assert_eq!(share(None), DEFAULT);
        assert_eq!(share(Some(9_223_372_036_854_771_712)), DEFAULT);
        assert_eq!(share(Some(1 << 30)), 64 << 20);
        assert_eq!(share(Some(1)), LEAST);
    }
}
