//! How a request of the kernel runs: here, as far as it needs to wait for nobody, and only what is
//! left of it as a task of the runtime.
//!
//! Most answers lie in memory, and a task costs more than they do: another thread has to wake up
//! before the caller can. So the thread that took the request polls it once. What must not stop
//! that thread (the network, a disk that has to be waited for) is a future that is not ready, or
//! work that was handed to the runtime's blocking threads, so it ends up as a task by itself.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, Waker};

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// Where requests run.
pub(crate) struct Requests {
    tracker: TaskTracker,
    runtime: Handle,
}

impl Requests {
    pub(crate) fn new(tracker: TaskTracker, runtime: Handle) -> Self {
        Self { tracker, runtime }
    }

    /// Runs a request on this thread up to the first thing that it has to wait for, and the rest on
    /// the runtime. A panic ends the request only, wherever it happens.
    pub(crate) fn run(&self, request: impl Future<Output = ()> + Send + 'static) {
        // Counts as running until the task does.
        let _running = self.tracker.token();
        let _context = self.runtime.enter();
        let mut request = Box::pin(request);
        // Nobody is woken by this poll: whatever it waits for learns of the task at the next one.
        let mut nobody = Context::from_waker(Waker::noop());
        let polled = catch_unwind(AssertUnwindSafe(|| request.as_mut().poll(&mut nobody)));
        if matches!(polled, Ok(Poll::Pending)) {
            self.tracker.spawn_on(request, &self.runtime);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::thread;

    use tokio::sync::oneshot;

    use super::*;

    fn requests() -> (Requests, TaskTracker) {
        let tracker = TaskTracker::new();
        (Requests::new(tracker.clone(), Handle::current()), tracker)
    }

    /// Runs a request on a thread outside of the runtime, as those of the session are.
    async fn run_outside(
        requests: Requests,
        request: impl Future<Output = ()> + Send + 'static,
    ) -> (thread::ThreadId, thread::Result<()>) {
        let outside = move || {
            let here = thread::current().id();
            (
                here,
                catch_unwind(AssertUnwindSafe(|| requests.run(request))),
            )
        };
        let outside = thread::spawn(outside);
        tokio::task::spawn_blocking(|| outside.join().unwrap())
            .await
            .unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_waits_for_nobody_is_done_where_it_was_taken() {
        let (requests, tracker) = requests();
        let (tell, told) = oneshot::channel();
        let request = async move { tell.send(thread::current().id()).unwrap() };
        let (here, _) = run_outside(requests, request).await;
        assert_eq!(told.await.unwrap(), here);
        assert!(tracker.is_empty());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_waits_goes_on_as_a_task() {
        let (requests, tracker) = requests();
        let (begin, begun) = oneshot::channel::<()>();
        let (tell, told) = oneshot::channel();
        let request = async move {
            begun.await.unwrap();
            // Timers exist in the runtime only.
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            tell.send(thread::current().id()).unwrap();
        };
        let (here, _) = run_outside(requests, request).await;
        assert_eq!(tracker.len(), 1);
        begin.send(()).unwrap();
        assert_ne!(told.await.unwrap(), here);
        tracker.close();
        tracker.wait().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_panic_ends_its_request_only() {
        let (requests, tracker) = requests();
        let (tell, told) = oneshot::channel::<()>();
        let request = async move {
            let _dropped_like_a_reply = tell;
            panic!("as a test");
        };
        let (_, ran) = run_outside(requests, request).await;
        assert!(ran.is_ok());
        assert!(told.await.is_err());
        assert!(tracker.is_empty());
    }
}
