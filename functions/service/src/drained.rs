//! A request that was answered before it was read to its end is read on, within limits, before the answer goes out.
//!
//! A connection that is closed while something in it is unread is reset, and the answer may be lost with it: whoever sent
//! too much would learn of a broken connection, and never that it was too much.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use futures_util::{Stream, StreamExt as _};

/// Nobody of ours sends so much by mistake; who does may lose the answer.
const READ_ON_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Nobody of ours is so slow.
const READ_ON_TIME_MAX: Duration = Duration::from_secs(2);

/// The body of a request, which its handler may leave where it likes.
struct Shared(Arc<Mutex<BodyDataStream>>);

impl Stream for Shared {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).poll_next_unpin(context)
    }
}

/// Runs the request, and reads what is left of it.
pub(crate) async fn drained(request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let body = Arc::new(Mutex::new(body.into_data_stream()));
    let handed_on = Body::from_stream(Shared(Arc::clone(&body)));
    let response = next.run(Request::from_parts(head, handed_on)).await;
    // Whoever takes longer, or has more, is left: the answer stands either way.
    let _ = tokio::time::timeout(READ_ON_TIME_MAX, read_on(Shared(body))).await;
    response
}

async fn read_on(mut rest: Shared) {
    let mut read = 0;
    while let Some(Ok(bytes)) = rest.next().await {
        read += bytes.len();
        if read > READ_ON_BYTES_MAX {
            return;
        }
    }
}
