//! The bodies of requests and of answers: the time limit for receiving the former, and the count of bytes of the latter
//! that wait to be sent.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use http_body_util::combinators::BoxBody;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use poem::{Endpoint, Request, Response, http::header};
use tokio::time::{Instant, Sleep};

use super::{activity::UnderWay, places::Places};

/// How many bytes of a refused body are read, so that the client can read its answer, and for how long.
const MOST_DRAINED: usize = 8 * 1024 * 1024;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// The size of the pieces in which an answer is passed to the HTTP library, which keeps each until it is sent.
const PIECE: usize = 64 * 1024;
/// An answer that is smaller than this isn't counted as memory; one whose bytes are shared is counted with this size.
const SMALL: usize = 4 * 1024;

/// The body of a request or an answer.
pub type Content = BoxBody<Bytes, io::Error>;

/// Answers a request, and then reads what the handler left unread of its body in the background: closing a connection
/// with unread data would discard the answer.
pub async fn answer<E: Endpoint<Output = Response>>(
    endpoint: &E,
    mut request: Request,
    body_timeout: Duration,
    under_way: &Arc<UnderWay>,
) -> Response {
    let body = Content::from(request.take_body());
    if body.is_end_stream() {
        return endpoint.get_response(request).await;
    }
    let until = Instant::now() + body_timeout;
    let intake = Intake(Arc::new(Mutex::new(Incoming {
        body,
        until,
        late: None,
        is_whole: false,
        under_way: Arc::clone(under_way),
    })));
    // A client that sent `Expect` waits before it sends its body, and gets its answer instead.
    let waits = request.headers().contains_key(header::EXPECT);
    request.set_body(Content::new(intake.clone()));
    let response = endpoint.get_response(request).await;
    if !waits && !intake.incoming().is_whole {
        tokio::spawn(drain(intake));
    }
    response
}

async fn drain(mut intake: Intake) {
    let drained = tokio::time::timeout(DRAIN_TIMEOUT, async {
        let mut drained = 0;
        while drained < MOST_DRAINED {
            let frame = poll_fn(|cx| Pin::new(&mut intake).poll_frame(cx)).await;
            let Some(Ok(frame)) = frame else { return };
            drained += frame.data_ref().map_or(0, Bytes::len);
        }
        intake.incoming().under_way.activity().leave_unread();
    });
    if drained.await.is_err() {
        intake.incoming().under_way.activity().leave_unread();
    }
}

/// The body of a request, which can still be read after its reader has dropped it. While no data arrives, the request
/// counts as waiting for its client.
#[derive(Clone)]
struct Intake(Arc<Mutex<Incoming>>);

struct Incoming {
    body: Content,
    until: Instant,
    late: Option<Pin<Box<Sleep>>>,
    /// Whether the body has ended, completely or with an error.
    is_whole: bool,
    under_way: Arc<UnderWay>,
}

impl Intake {
    fn incoming(&self) -> MutexGuard<'_, Incoming> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Body for Intake {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let mut incoming = self.incoming();
        let Incoming { body, until, late, is_whole, under_way } = &mut *incoming;
        if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) {
            under_way.waits(false);
            *is_whole = !matches!(frame, Some(Ok(_))) || body.is_end_stream();
            return Poll::Ready(frame);
        }
        under_way.waits(true);
        if late.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(*until))).as_mut().poll(cx).is_ready() {
            under_way.waits(false);
            return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())));
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.incoming().body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming().body.size_hint()
    }
}

/// The body of an answer. Its request is in progress until the body was sent or given up.
pub struct Answer {
    body: Content,
    /// Bytes that were taken from `body` and not passed on yet.
    rest: Bytes,
    places: Arc<Places>,
    under_way: Arc<UnderWay>,
}

impl Answer {
    /// The answer to that request.
    pub fn new(body: Content, places: &Arc<Places>, under_way: Arc<UnderWay>) -> Self {
        under_way.waits(true);
        Self { body, rest: Bytes::new(), places: Arc::clone(places), under_way }
    }

    /// The same bytes, counted as unread until the last of them was sent.
    fn counted(&self, bytes: Bytes) -> Bytes {
        if bytes.len() < SMALL {
            return bytes;
        }
        let counted = if bytes.is_unique() { bytes.len() } else { SMALL };
        self.places.hold(self.under_way.activity(), counted);
        Bytes::from_owner(Held {
            bytes,
            counted,
            places: Arc::clone(&self.places),
            under_way: Arc::clone(&self.under_way),
        })
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.rest.is_empty() {
            let frame = match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => frame,
                other => return other,
            };
            match frame.into_data() {
                Ok(bytes) => self.rest = self.counted(bytes),
                Err(frame) => return Poll::Ready(Some(Ok(frame))),
            }
        }
        self.under_way.moves();
        let piece = self.rest.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

/// Bytes that wait to be sent.
struct Held {
    bytes: Bytes,
    counted: usize,
    places: Arc<Places>,
    under_way: Arc<UnderWay>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.places.release(self.under_way.activity(), self.counted);
    }
}
