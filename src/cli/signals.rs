//! The signals that end a command which serves.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::outcome::{Failure, Outcome};

/// SIGINT, SIGTERM and SIGHUP, caught from the moment of creation on.
pub(crate) struct EndSignals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl EndSignals {
    /// Begins to catch them. Must be called within a runtime.
    ///
    /// # Errors
    /// When the system refuses, which it does only when out of resources.
    pub(crate) fn catch() -> Outcome<Self> {
        let catch = |kind| {
            signal(kind).map_err(|error| {
                Failure::io("catch signals", &error, "check the limits of this process")
            })
        };
        Ok(Self {
            interrupt: catch(SignalKind::interrupt())?,
            terminate: catch(SignalKind::terminate())?,
            hang_up: catch(SignalKind::hangup())?,
        })
    }

    /// Waits for any of them.
    pub(crate) async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}
