//! Whether a mount of `--profile train` can spare the kernel its opens.
//!
//! Without opens, warm small files are as fast as local ones, and there is no moment at which pages
//! could be dropped, a size corrected, or a verified file handed over to the kernel. So everything
//! has to be known beforehand, and most files have to be small.

use super::mount::{MountFlags, Profile};
use crate::fuse::PASSTHROUGH_FROM;
use crate::model::Error;
use crate::tree::{Survey, Tree};

/// For one large file there must be so many others: large ones are better off with opens, which let
/// the kernel read them from the cache by itself.
const SMALL_FOR_ONE_LARGE: u64 = 9;

/// Whether files and directories need no open on this mount; why not is logged. Reads the manifest
/// of the version at the mount point, and only where the profile wants to know.
///
/// # Errors
/// What the server says about the root and its manifest.
pub(crate) async fn needs_no_opens(flags: &MountFlags, tree: &Tree) -> Result<bool, Error> {
    if flags.profile != Profile::Train {
        return Ok(false);
    }
    let survey = match flags.read_only {
        true => tree.survey(PASSTHROUGH_FROM).await?,
        false => None,
    };
    match verdict(flags.read_only, survey) {
        Ok(()) => Ok(true),
        Err(why) => {
            tracing::warn!("--profile train: every file is opened, because {why}");
            Ok(false)
        }
    }
}

fn verdict(read_only: bool, survey: Option<Survey>) -> Result<(), String> {
    if !read_only {
        return Err("the mount is not --read-only".to_owned());
    }
    let Some(survey) = survey else {
        return Err("--root names no version or alias".to_owned());
    };
    if survey.unknown_sizes > 0 {
        return Err(format!(
            "the manifest does not say the size of {} files",
            survey.unknown_sizes
        ));
    }
    if survey.unverifiable > 0 {
        return Err(format!(
            "{} files name no digest to check them against",
            survey.unverifiable
        ));
    }
    if survey.large * (SMALL_FOR_ONE_LARGE + 1) > survey.files || survey.files == 0 {
        return Err(format!(
            "{} of {} files are large",
            survey.large, survey.files
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(read_only: bool, survey: Survey) -> String {
        verdict(read_only, Some(survey))
            .err()
            .unwrap_or_else(|| "no opens".to_owned())
    }

    #[test]
    fn opens_are_spared_only_where_everything_is_known_and_most_is_small() {
        let small = Survey {
            files: 100,
            large: 10,
            ..Survey::default()
        };
        assert_eq!(says(true, small), "no opens");
        assert!(says(false, small).contains("--read-only"));
        let large = Survey { large: 11, ..small };
        assert!(says(true, large).contains("11 of 100 files are large"));
        let unknown = Survey {
            unknown_sizes: 1,
            ..small
        };
        assert!(says(true, unknown).contains("size"));
        let unverifiable = Survey {
            unverifiable: 1,
            ..small
        };
        assert!(says(true, unverifiable).contains("digest"));
        assert!(says(true, Survey::default()).contains("0 of 0"));
        assert!(verdict(true, None).is_err());
    }
}
