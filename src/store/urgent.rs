//! More of the processor for the thread that others will wait for.

use std::marker::PhantomData;

use rustix::process::{getpriority_process, setpriority_process};

/// Steps of nice that an urgent thread is above the rest of the process. At 15 it has 28 times the
/// weight of another thread (sched(7)), so that beside three busy ones it still has nine tenths of a
/// core, while nothing starves. Ten steps gave about 4 % less.
const STEPS: i32 = 15;

/// The calling thread is urgent until this is dropped, where the process may say so
/// (`CAP_SYS_NICE`); elsewhere nothing changes. Threads begun meanwhile inherit it, so none should be.
pub(super) struct Urgent {
    /// Nice to return to.
    before: Option<i32>,
    /// It must be dropped by the thread it is of.
    _stays: PhantomData<*const ()>,
}

impl Urgent {
    pub(super) fn begin() -> Self {
        // Linux sets the nice value of a thread, not of its process as POSIX has it: setpriority(2).
        let before = getpriority_process(None).ok();
        let raised = before.filter(|nice| setpriority_process(None, nice - STEPS).is_ok());
        Self {
            before: raised,
            _stays: PhantomData,
        }
    }
}

impl Drop for Urgent {
    fn drop(&mut self) {
        if let Some(nice) = self.before {
            // Being nicer is always allowed.
            let _allowed = setpriority_process(None, nice);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn nice() -> i32 {
        getpriority_process(None).unwrap()
    }

    #[test]
    fn a_thread_is_urgent_as_long_as_it_says_so() {
        let usual = nice();
        let is_allowed = setpriority_process(None, usual - STEPS).is_ok();
        let expected = if is_allowed { nice() } else { usual };
        setpriority_process(None, usual).unwrap();
        let urgent = Urgent::begin();
        assert_eq!(nice(), expected);
        drop(urgent);
        assert_eq!(nice(), usual);
    }
}
