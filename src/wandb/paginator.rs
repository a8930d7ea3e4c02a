//! The one paginator behind every plural noun: a lazy stream over pages.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::Stream;
use futures::future::BoxFuture;

use crate::model::{Cursor, Error, ErrorKind, Page, PageRequest};

type Fetch<T> = Arc<dyn Fn(PageRequest) -> FetchedPage<T> + Send + Sync>;
type FetchedPage<T> = BoxFuture<'static, Result<Page<T>, Error>>;
type Keep<T> = Arc<dyn Fn(&T) -> bool + Send + Sync>;

/// A listing, fetched page by page as it is read.
///
/// It is a [`Stream`] of results. Nothing is sent before the first item is asked for. After an
/// error it ends. A server that names a cursor twice is an error, never a loop; for that every
/// cursor is remembered, about 100 bytes per page.
///
/// Dropping the future of [`Paginator::len`] or of the stream's `next` loses nothing: the request
/// under way is kept and read by the next call.
pub struct Paginator<T> {
    fetch: Fetch<T>,
    keep: Option<Keep<T>>,
    per_page: Option<u32>,
    state: State<T>,
    waiting: VecDeque<T>,
    /// Where the items in `waiting` began.
    page_start: Option<Cursor>,
    /// Where the next page begins.
    next_start: Option<Cursor>,
    seen: HashSet<Cursor>,
    total: Option<u64>,
}

enum State<T> {
    /// The next page has not been asked for.
    Idle,
    /// It has.
    Fetching(FetchedPage<T>),
    /// There is none.
    Finished,
    /// The last request failed, and the error was handed out.
    Failed,
}

// Nothing is ever pinned inside: the future is boxed.
impl<T> Unpin for Paginator<T> {}

impl<T> fmt::Debug for Paginator<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Idle => "idle",
            State::Fetching(_) => "fetching",
            State::Finished => "finished",
            State::Failed => "failed",
        };
        f.debug_struct("Paginator")
            .field("state", &state)
            .field("per_page", &self.per_page)
            .field("next_start", &self.next_start)
            .finish_non_exhaustive()
    }
}

impl<T: 'static> Paginator<T> {
    /// A listing whose pages `fetch` gets.
    pub(crate) fn new<F, P>(fetch: F) -> Self
    where
        F: Fn(PageRequest) -> P + Send + Sync + 'static,
        P: Future<Output = Result<Page<T>, Error>> + Send + 'static,
    {
        Self {
            fetch: Arc::new(move |page| Box::pin(fetch(page))),
            keep: None,
            per_page: None,
            state: State::Idle,
            waiting: VecDeque::new(),
            page_start: None,
            next_start: None,
            seen: HashSet::new(),
            total: None,
        }
    }

    /// The same listing with only the items of which `keep` says so. A page without any is no end.
    #[must_use]
    pub(crate) fn keeping(mut self, keep: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        self.keep = Some(Arc::new(keep));
        self
    }

    /// Asks for pages of this many items. The server may give fewer.
    #[must_use]
    pub fn with_per_page(mut self, items: u32) -> Self {
        self.per_page = Some(items);
        self
    }

    /// Starts after the place that [`Paginator::cursor`] of an earlier listing named.
    #[must_use]
    pub fn start_after(mut self, cursor: Cursor) -> Self {
        self.seen.insert(cursor.clone());
        self.page_start = Some(cursor.clone());
        self.next_start = Some(cursor);
        self
    }

    /// Items asked for per page; `None` is the listing's own default.
    pub fn per_page(&self) -> Option<u32> {
        self.per_page
    }

    /// Where to resume: after the last page of which every item was handed out, so that nothing is
    /// left out. `None` at the very beginning.
    pub fn cursor(&self) -> Option<&Cursor> {
        if self.waiting.is_empty() {
            self.next_start.as_ref()
        } else {
            self.page_start.as_ref()
        }
    }

    /// Whether every item was handed out.
    pub fn is_finished(&self) -> bool {
        matches!(self.state, State::Finished) && self.waiting.is_empty()
    }

    /// Number of items of the whole listing, as the server counts them; what was asked to be
    /// filtered out on this side counts too. Fetches the first page if no page is here yet.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where the server does not count this listing.
    #[allow(clippy::len_without_is_empty)] // named as in the API; `next_page` tells emptiness
    pub async fn len(&mut self) -> Result<u64, Error> {
        if self.total.is_none() && matches!(self.state, State::Idle | State::Fetching(_)) {
            poll_fn(|cx| self.poll_page(cx)).await?;
        }
        self.total.ok_or_else(|| {
            let words = "the server does not say how many items this listing has";
            Error::new(ErrorKind::Unsupported, "", words)
        })
    }

    /// The rest of the current page, or the next page; `None` at the end, and never empty.
    ///
    /// # Errors
    /// What the request failed of. The listing has ended then.
    pub async fn next_page(&mut self) -> Result<Option<Vec<T>>, Error> {
        while self.waiting.is_empty() {
            if matches!(self.state, State::Finished | State::Failed) {
                return Ok(None);
            }
            poll_fn(|cx| self.poll_page(cx)).await?;
        }
        Ok(Some(self.waiting.drain(..).collect()))
    }

    /// Takes one step: asks for the next page, waits for it, puts its items in line.
    fn poll_page(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            match &mut self.state {
                State::Finished | State::Failed => return Poll::Ready(Ok(())),
                State::Idle => {
                    let page = PageRequest {
                        after: self.next_start.clone(),
                        per_page: self.per_page,
                    };
                    self.state = State::Fetching((self.fetch)(page));
                }
                State::Fetching(request) => {
                    let answer = ready!(request.as_mut().poll(cx));
                    let outcome = answer.and_then(|page| self.take_in(page));
                    if outcome.is_err() {
                        self.state = State::Failed;
                    }
                    return Poll::Ready(outcome);
                }
            }
        }
    }

    fn take_in(&mut self, page: Page<T>) -> Result<(), Error> {
        self.total = page.total.or(self.total);
        self.page_start = self.next_start.clone();
        self.state = match page.next {
            None => State::Finished,
            Some(cursor) if !self.seen.insert(cursor.clone()) => {
                let words = "the server's listing runs in a circle: it names a cursor twice";
                return Err(Error::new(ErrorKind::Invalid, "", words));
            }
            Some(cursor) => {
                self.next_start = Some(cursor);
                State::Idle
            }
        };
        let mut items: VecDeque<T> = page.items.into();
        if let Some(keep) = &self.keep {
            items.retain(|item| keep(item));
        }
        self.waiting.append(&mut items);
        Ok(())
    }
}

impl<T: 'static> Stream for Paginator<T> {
    type Item = Result<T, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(item) = self.waiting.pop_front() {
                return Poll::Ready(Some(Ok(item)));
            }
            if matches!(self.state, State::Finished | State::Failed) {
                return Poll::Ready(None);
            }
            if let Err(error) = ready!(self.poll_page(cx)) {
                return Poll::Ready(Some(Err(error)));
            }
        }
    }
}

/// A plural noun with members of its own around a paginator, which it dereferences to.
macro_rules! plural {
    ($name:ident of $item:ty) => {
        impl $name {
            /// Asks for pages of this many items. The server may give fewer.
            #[must_use]
            pub fn with_per_page(mut self, items: u32) -> Self {
                self.pages = self.pages.with_per_page(items);
                self
            }

            /// Starts after the place that [`Paginator::cursor`] of an earlier listing named.
            #[must_use]
            pub fn start_after(mut self, cursor: crate::model::Cursor) -> Self {
                self.pages = self.pages.start_after(cursor);
                self
            }
        }

        impl std::ops::Deref for $name {
            type Target = Paginator<$item>;

            fn deref(&self) -> &Self::Target {
                &self.pages
            }
        }

        impl std::ops::DerefMut for $name {
            fn deref_mut(&mut self) -> &mut Self::Target {
                &mut self.pages
            }
        }

        impl futures::Stream for $name {
            type Item = Result<$item, crate::model::Error>;

            fn poll_next(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Option<Self::Item>> {
                std::pin::Pin::new(&mut self.pages).poll_next(cx)
            }
        }
    };
}

/// A noun as a value and the client through which it acts; the value's fields are its own.
macro_rules! singular {
    ($name:ident around $value:ty) => {
        impl std::ops::Deref for $name {
            type Target = $value;

            fn deref(&self) -> &Self::Target {
                &self.value
            }
        }
    };
}

pub(crate) use {plural, singular};

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use futures::{StreamExt as _, TryStreamExt as _};
    use parking_lot::Mutex;

    use super::*;

    /// Serves `0..items` in pages, and remembers what it was asked.
    fn numbers(items: u32) -> (Paginator<u32>, Arc<Mutex<Vec<PageRequest>>>) {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let pages = Paginator::new(move |page: PageRequest| {
            log.lock().push(page.clone());
            let start: u32 = page
                .after
                .map_or(0, |cursor| cursor.as_str().parse().unwrap());
            let end = (start + page.per_page.unwrap_or(3)).min(items);
            let next = (end < items).then(|| Cursor::new(end.to_string()));
            let items = (start..end).collect();
            let total = Some(7);
            async move { Ok(Page { items, next, total }) }
        });
        (pages, asked)
    }

    #[tokio::test]
    async fn every_page_size_yields_each_item_once_in_order() {
        for per_page in [1, 2, 3, 7, 100] {
            let (pages, asked) = numbers(7);
            let pages = pages.with_per_page(per_page);
            let all: Vec<u32> = pages.try_collect().await.unwrap();
            assert_eq!(all, [0, 1, 2, 3, 4, 5, 6]);
            assert_eq!(asked.lock().len() as u32, 7_u32.div_ceil(per_page));
        }
    }

    #[tokio::test]
    async fn nothing_is_asked_before_the_first_item_and_only_one_page_for_it() {
        let (mut pages, asked) = numbers(7);
        assert!(asked.lock().is_empty());
        assert_eq!(pages.next().await.unwrap().unwrap(), 0);
        assert_eq!(asked.lock().len(), 1);
        assert_eq!(pages.len().await.unwrap(), 7);
        assert_eq!(asked.lock().len(), 1, "the count came with the page");
    }

    #[tokio::test]
    async fn len_first_costs_the_page_that_is_then_read() {
        let (mut pages, asked) = numbers(7);
        assert_eq!(pages.len().await.unwrap(), 7);
        let all: Vec<u32> = pages.try_collect().await.unwrap();
        assert_eq!((all.len(), asked.lock().len()), (7, 3));
    }

    #[tokio::test]
    async fn a_saved_cursor_resumes_without_losing_an_item() {
        let (mut pages, _) = numbers(7);
        assert_eq!(pages.cursor(), None);
        assert_eq!(pages.next_page().await.unwrap().unwrap(), [0, 1, 2]);
        let cursor = pages.cursor().unwrap().clone();
        assert_eq!(pages.next().await.unwrap().unwrap(), 3);
        assert_eq!(
            pages.cursor(),
            Some(&cursor),
            "its page is not all read yet"
        );
        let (again, _) = numbers(7);
        let rest: Vec<u32> = again.start_after(cursor).try_collect().await.unwrap();
        assert_eq!(rest, [3, 4, 5, 6]);
    }

    #[tokio::test]
    async fn a_repeated_cursor_is_an_error_and_then_the_end() {
        // Pages lead 0 → a → b → a.
        let mut pages = Paginator::new(|page: PageRequest| async move {
            let next = match page.after.as_ref().map(Cursor::as_str) {
                Some("a") => "b",
                _ => "a",
            };
            let next = Some(Cursor::new(next));
            Ok(Page {
                items: vec![1],
                next,
                total: None,
            })
        });
        assert_eq!(pages.next().await.unwrap().unwrap(), 1);
        assert_eq!(pages.next().await.unwrap().unwrap(), 1);
        let error = pages.next().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(pages.next().await.is_none());
        assert_eq!(pages.next_page().await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_filter_looks_at_every_page() {
        let (pages, _) = numbers(7);
        let pages = pages.with_per_page(1).keeping(|number| number % 3 == 2);
        let all: Vec<u32> = pages.try_collect().await.unwrap();
        assert_eq!(all, [2, 5]);
    }

    #[tokio::test]
    async fn a_listing_without_count_says_so() {
        let mut pages = Paginator::new(|_| async {
            Ok(Page::<u32> {
                items: Vec::new(),
                next: None,
                total: None,
            })
        });
        let error = pages.len().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(pages.is_finished());
    }
}
