//! What the files of a manifest are like: the ground for the choice of a profile.

use super::{ContentTree, Record};

/// Counts over all files of one manifest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Survey {
    /// Files.
    pub files: u64,
    /// Those of at least the size that was asked for.
    pub large: u64,
    /// Those whose size nobody knows before their source is asked.
    pub unknown_sizes: u64,
    /// Those that name no digest that their bytes could be checked against.
    pub unverifiable: u64,
}

impl ContentTree {
    /// Counts the files; those of `large_from` bytes and more are large.
    pub(crate) fn survey(&self, large_from: u64) -> Survey {
        let mut survey = Survey::default();
        for index in (0..self.len()).filter(|&index| !self.is_directory(index)) {
            survey.files += 1;
            survey.large += u64::from(self.size(index) >= large_from);
            survey.unknown_sizes += u64::from(self.size_unknown(index));
            let verifiable = self.record(index).and_then(Record::digest).is_some();
            survey.unverifiable += u64::from(!verifiable);
        }
        survey
    }
}
