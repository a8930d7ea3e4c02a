//! A bounded log in memory: the newest lines, as JSON text.

use std::collections::VecDeque;

use parking_lot::Mutex;
use serde::Serialize;

/// The newest `LINES` records, rendered when they came so that reading costs no serialisation.
#[derive(Debug, Default)]
pub(crate) struct Ring<const LINES: usize> {
    lines: Mutex<VecDeque<String>>,
}

impl<const LINES: usize> Ring<LINES> {
    pub(crate) fn push(&self, record: &impl Serialize) {
        let Ok(line) = serde_json::to_string(record) else {
            return; // only a map with non-text keys cannot be rendered, and no record has one
        };
        let mut lines = self.lines.lock();
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    pub(crate) fn to_ndjson(&self) -> Vec<u8> {
        let lines = self.lines.lock();
        let mut text = Vec::with_capacity(lines.iter().map(|line| line.len() + 1).sum());
        for line in lines.iter() {
            text.extend_from_slice(line.as_bytes());
            text.push(b'\n');
        }
        text
    }
}
