//! `-o OPTS`, as mount(8) and fstab pass them, turned into the flags of the same names.
//!
//! An option is a flag without its dashes, `_` and `-` alike; `ro` is `--read-only`. What mount(8)
//! means for itself or for the kernel (`rw`, `noauto`, `_netdev`, `x-…`) is passed over; anything
//! else is refused, because an option that is silently without effect is worse than none.

use clap::{Args as _, Command};

use super::mount::MountFlags;

/// Options of mount(8), fstab and the generic FUSE helpers that need nothing from us.
const GENERIC: [&str; 43] = [
    "rw",
    "auto",
    "noauto",
    "user",
    "nouser",
    "users",
    "owner",
    "group",
    "_netdev",
    "nofail",
    "defaults",
    "exec",
    "noexec",
    "suid",
    "nosuid",
    "dev",
    "nodev",
    "async",
    "sync",
    "dirsync",
    "atime",
    "noatime",
    "diratime",
    "nodiratime",
    "relatime",
    "norelatime",
    "strictatime",
    "nostrictatime",
    "lazytime",
    "nolazytime",
    "silent",
    "loud",
    "mand",
    "nomand",
    "iversion",
    "noiversion",
    "symfollow",
    "default_permissions",
    "fsname",
    "subtype",
    "comment",
    "context",
    "uhelper",
];

/// The flags that stand for these options, in order.
///
/// # Errors
/// The option that is unknown or lacks its value, in words.
pub(crate) fn to_flags<'a>(
    lists: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<String>, String> {
    let known = MountFlags::augment_args(Command::new("options"));
    let mut flags = Vec::new();
    for option in lists.into_iter().flat_map(|list| list.split(',')) {
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (option, None),
        };
        if name.is_empty() && value.is_none() {
            continue;
        }
        if name == "rw" {
            flags.retain(|flag| flag != "--read-only");
        }
        if is_generic(name) {
            continue;
        }
        let long = match name {
            "ro" => "read-only".to_owned(),
            _ => name.replace('_', "-"),
        };
        flags.push(flag(&known, option, &long, value)?);
    }
    Ok(flags)
}

fn is_generic(name: &str) -> bool {
    GENERIC.contains(&name) || name.starts_with("x-") || name.starts_with("X-")
}

fn flag(known: &Command, option: &str, long: &str, value: Option<&str>) -> Result<String, String> {
    let arg = known
        .get_arguments()
        .find(|arg| arg.get_long() == Some(long))
        .ok_or_else(|| format!("-o {option}: there is no such option"))?;
    let takes_value = arg.get_action().takes_values();
    let optional = arg
        .get_num_args()
        .is_some_and(|range| range.min_values() == 0);
    match value {
        Some(value) if takes_value => Ok(format!("--{long}={value}")),
        None if !takes_value || optional => Ok(format!("--{long}")),
        Some(_) => Err(format!("-o {option}: it takes no value")),
        None => Err(format!("-o {option}: it needs a value, {option}=…")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn flags(list: &str) -> Result<Vec<String>, String> {
        to_flags([list])
    }

    #[test]
    fn options_become_flags_of_the_same_name() {
        assert_eq!(
            flags("ro,allow_other,ttl=5m,root=e/p/c:latest,uid=7").unwrap(),
            [
                "--read-only",
                "--allow-other",
                "--ttl=5m",
                "--root=e/p/c:latest",
                "--uid=7"
            ]
        );
    }

    #[test]
    fn what_mount_means_for_itself_is_passed_over() {
        let list = "rw,noauto,user,_netdev,nofail,x-systemd.automount,x-gvfs-name=a,defaults,";
        assert_eq!(flags(list).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn the_last_of_ro_and_rw_wins() {
        assert!(flags("ro,rw").unwrap().is_empty());
        assert_eq!(flags("rw,ro").unwrap(), ["--read-only"]);
    }

    #[test]
    fn unknown_options_and_wrong_values_are_refused_by_name() {
        for list in ["frobnicate", "ttl", "read-only=1", "foreground2", "=x"] {
            let error = flags(list).unwrap_err();
            assert!(error.contains(list), "{error}");
        }
    }

    proptest! {
        #[test]
        fn every_flag_that_comes_out_is_one_word_with_dashes(list in "[a-z_=,-]{0,60}|(ro|rw|ttl=1s|uid=0|allow_other|,){0,8}") {
            if let Ok(flags) = flags(&list) {
                for flag in flags {
                    prop_assert!(flag.starts_with("--") && !flag.contains(','), "{}", flag);
                }
            }
        }

        #[test]
        fn splitting_a_list_in_two_changes_nothing(head in "(allow_other|ro|ttl=1s)?", tail in "(rw|uid=3|nofail)?") {
            let joined = format!("{head},{tail}");
            prop_assert_eq!(to_flags([joined.as_str()]), to_flags([head.as_str(), tail.as_str()]));
        }
    }
}
