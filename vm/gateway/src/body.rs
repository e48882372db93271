//! Bodies on their way through: passed on piece by piece, never gathered, and given up when nothing moves.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::connection::Occupied;
use crate::evidence::{InFlight, Movement};
use crate::inject::Injector;

/// ComfyUI may think for this long between two bytes, or before the first one: a big model loads in minutes.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(15 * 60);
/// Most of a body that is read ahead on a connection, which grows to it only while bytes come faster than they go. A
/// quarter of it streams a tenth slower; four times as much, no faster.
pub(crate) const READ_AHEAD_MAX: usize = 1024 * 1024;

/// Why a body was given up.
#[derive(Debug)]
pub(crate) enum BodyError {
    Broken(hyper::Error),
    /// Nothing moved for [`SILENCE_MAX`].
    Stalled,
}

impl std::fmt::Display for BodyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Broken(_) => "the connection broke off",
            Self::Stalled => "nothing moved for too long",
        })
    }
}

impl std::error::Error for BodyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Broken(error) => Some(error),
            Self::Stalled => None,
        }
    }
}

/// When bytes of an upload last moved, for whoever waits for the answer to it.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    began: Instant,
    moved_ms: Arc<AtomicU64>,
}

impl Progress {
    fn new() -> Self {
        Self { began: Instant::now(), moved_ms: Arc::default() }
    }

    fn moved(&self) {
        let elapsed = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved_ms.store(elapsed, Ordering::Relaxed);
    }

    /// The silence has lasted long enough at this moment, unless bytes move before.
    pub(crate) fn given_up_at(&self) -> Instant {
        self.began + Duration::from_millis(self.moved_ms.load(Ordering::Relaxed)) + SILENCE_MAX
    }
}

/// A browser's request body, or none.
#[derive(Debug)]
pub(crate) struct Upload {
    inner: Option<Incoming>,
    whole: Option<Bytes>,
    progress: Progress,
    movement: Option<Movement>,
}

impl Upload {
    /// No body.
    pub(crate) fn none() -> Self {
        Self { inner: None, whole: None, progress: Progress::new(), movement: None }
    }

    /// A body of our own.
    pub(crate) fn whole(text: impl Into<Bytes>) -> Self {
        Self { whole: Some(text.into()), ..Self::none() }
    }

    pub(crate) fn of(incoming: Incoming, in_flight: Option<&InFlight>) -> Self {
        let inner = if incoming.is_end_stream() { None } else { Some(incoming) };
        let movement = if inner.is_some() { in_flight.map(InFlight::movement) } else { None };
        Self { inner, whole: None, progress: Progress::new(), movement }
    }

    pub(crate) fn progress(&self) -> Progress {
        self.progress.clone()
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Some(whole) = self.whole.take() {
            return Poll::Ready(Some(Ok(Frame::data(whole))));
        }
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        let polled = Pin::new(inner).poll_frame(cx);
        if polled.is_ready() {
            self.progress.moved();
            if let Some(movement) = &self.movement {
                movement.moved();
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.whole.is_none() && self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let whole = self.whole.as_ref().map_or(0, |whole| whole.len() as u64);
        self.inner.as_ref().map_or(SizeHint::with_exact(whole), Body::size_hint)
    }
}

/// The body of an answer: one of our own, or ComfyUI's as it comes.
#[derive(Debug)]
pub(crate) enum Reply {
    Own(Full<Bytes>),
    Stream(Box<Download>),
}

/// ComfyUI's answer on its way to the browser.
#[derive(Debug)]
pub(crate) struct Download {
    inner: Incoming,
    injector: Option<Injector>,
    /// Runs only while we wait for ComfyUI.
    patience: Option<Pin<Box<Sleep>>>,
    movement: Option<Movement>,
    _in_flight: Option<InFlight>,
    _occupied: Occupied,
}

impl Download {
    pub(crate) fn new(
        inner: Incoming,
        injector: Option<Injector>,
        in_flight: Option<InFlight>,
        occupied: Occupied,
    ) -> Self {
        let movement = in_flight.as_ref().map(InFlight::movement);
        Self { inner, injector, patience: None, movement, _in_flight: in_flight, _occupied: occupied }
    }

    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            self.patience = None;
            if let Some(movement) = &self.movement {
                movement.moved();
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Broken)));
        }
        let patience = self.patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(SILENCE_MAX)));
        match patience.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Some(Err(BodyError::Stalled))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_injected(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        // Ends when ComfyUI has nothing ready, or the injector lets go: it holds back a bounded amount.
        loop {
            let Poll::Ready(polled) = self.poll_inner(cx) else { return Poll::Pending };
            let Some(injector) = &mut self.injector else { return Poll::Ready(polled) };
            match polled {
                // Trailers are left out: a document has none that a browser reads, and may still be held back here.
                Some(Ok(frame)) => {
                    if let Some(data) = frame.into_data().ok().and_then(|data| injector.push(data)) {
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(injector.finish().map(|rest| Ok(Frame::data(rest)))),
            }
        }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Own(full) => Pin::new(full).poll_frame(cx).map_err(|never| match never {}),
            Self::Stream(download) if download.injector.is_some() => download.poll_injected(cx),
            Self::Stream(download) => download.poll_inner(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(full) => full.is_end_stream(),
            Self::Stream(download) => download.injector.is_none() && download.inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(full) => full.size_hint(),
            Self::Stream(download) if download.injector.is_some() => SizeHint::default(),
            Self::Stream(download) => download.inner.size_hint(),
        }
    }
}
