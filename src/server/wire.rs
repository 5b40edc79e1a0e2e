//! The stream of a connection, monitored: when the client closes its side, where a request's head begins and ends, and
//! which answers the HTTP library gives by itself.

use std::{
    io::{self, IoSlice},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
    time::Sleep,
};
use tokio_io_timeout::TimeoutStream;

use super::{activity::Activity, frames::Frames, refusal};

/// How long a write to a client's socket may be blocked.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// For how long, and up to how many bytes, data from a refused client is read and discarded, so that the client can
/// read its answer.
const LINGER: Duration = Duration::from_secs(2);
const MOST_LINGERED: usize = 8 * 1024 * 1024;

/// The socket of a connection, with a timeout for writes.
#[must_use]
pub fn socket(stream: TcpStream, activity: &Arc<Activity>) -> Pin<Box<TimeoutStream<Socket>>> {
    // Answers are small and complete: waiting to fill a packet (Nagle's algorithm) would only delay them.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(Socket { stream, activity: Arc::clone(activity) });
    stream.set_write_timeout(Some(WRITE_TIMEOUT));
    Box::pin(stream)
}

/// A socket that detects when its client closes its side while a request is being worked on, when nothing reads from
/// it.
pub struct Socket {
    stream: TcpStream,
    activity: Arc<Activity>,
}

impl Socket {
    /// Records whether the client has closed its side. Wakes the task when it does.
    fn watch(&self, cx: &mut Context<'_>) {
        if self.activity.is_working() && self.stream.poll_read_ready(cx).is_ready() {
            // A state that is ready now is returned at once.
            let ready = pin!(self.stream.ready(Interest::READABLE)).poll(&mut Context::from_waker(Waker::noop()));
            match ready {
                Poll::Ready(Ok(ready)) if ready.is_read_closed() => self.activity.closed(ready.is_write_closed()),
                Poll::Ready(Err(_)) => self.activity.closed(true),
                // The client has sent more data, which is unread: the system reports the end only after that.
                _ => self.activity.look_again(),
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    /// The HTTP library flushes whenever it has done what it can, also when it waits for an answer.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.watch(cx);
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// The stream that the HTTP library reads from and writes to.
pub struct Wire<S> {
    stream: S,
    activity: Arc<Activity>,
    frames: Frames,
    /// The bytes that replace an answer of the library's own, and how many of them were sent.
    instead: Option<(Vec<u8>, usize)>,
    linger: Option<(Pin<Box<Sleep>>, usize)>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Wraps a stream.
    pub fn new(stream: S, activity: &Arc<Activity>) -> Self {
        Self { stream, activity: Arc::clone(activity), frames: Frames::default(), instead: None, linger: None }
    }

    /// Writes the replacement of these bytes, if they are an answer of the library's own. Returns whether they are.
    fn poll_instead(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<bool>> {
        if self.instead.is_none() {
            let Some((before, status)) = own_answer(bytes) else { return Poll::Ready(Ok(false)) };
            // The library doesn't distinguish a first line that fills its buffer from other heads that do.
            let status = if status == 431 && self.frames.in_first_line() { 414 } else { status };
            self.activity.leave_unread();
            self.instead = Some(([before, &refusal::malformed(status)].concat(), 0));
        }
        while let Some((answer, sent)) = &mut self.instead {
            let rest = answer.get(*sent..).unwrap_or_default();
            if rest.is_empty() {
                self.instead = None;
                break;
            }
            *sent += ready!(Pin::new(&mut self.stream).poll_write(cx, rest))?;
        }
        Poll::Ready(Ok(true))
    }

    /// Reads and discards what the client still sends, for a while: closing a connection with unread data would discard
    /// the answer.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (until, left) = self.linger.get_or_insert_with(|| (Box::pin(tokio::time::sleep(LINGER)), MOST_LINGERED));
        let mut thrown = [0; 16 * 1024];
        while *left > 0 && until.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut thrown);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => *left = left.saturating_sub(buffer.filled().len()),
                _ => break,
            }
        }
        Poll::Ready(())
    }
}

/// Finds an answer that the HTTP library gives by itself: it has no body, lacks the header that all our answers have,
/// and is the last on its connection. Returns the bytes before it, and its status.
fn own_answer(bytes: &[u8]) -> Option<(&[u8], u16)> {
    const BEGINNING: &[u8] = b"HTTP/1.1 4";
    /// All of these answers are shorter.
    const LONGEST: usize = 256;
    if !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let from = bytes.len().saturating_sub(LONGEST);
    let found = bytes.get(from..)?.windows(BEGINNING.len()).rposition(|window| window == BEGINNING)?;
    let (before, answer) = bytes.split_at_checked(from + found)?;
    let holds = |text: &[u8]| answer.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text));
    let ends = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4 == answer.len();
    let status = std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok()?;
    (ends && holds(b"\r\ncontent-length: 0\r\n") && !holds(b"\r\nx-correlation-id:")).then_some((before, status))
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        if let Some(read) = buffer.filled().get(before..).filter(|read| !read.is_empty()) {
            this.frames.read(read, &this.activity);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if ready!(self.poll_instead(cx, bytes))? {
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        if self.activity.leaves_unread() {
            ready!(self.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // An answer of the library's own has no body, and so is written in one buffer.
        if let [only] = bytes
            && ready!(self.poll_instead(cx, only))?
        {
            return Poll::Ready(Ok(only.len()));
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_the_library_are_told_from_ours() {
        let own = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\ndate: \
            Wed, 25 Nov 2026 03:36:04 GMT\r\n\r\n";
        assert_eq!(own_answer(own), Some((&b""[..], 431)));
        assert_eq!(
            own_answer(&[b"HTTP/1.1 200 OK\r\n\r\n{}", &own[..]].concat()),
            Some((&b"HTTP/1.1 200 OK\r\n\r\n{}"[..], 431))
        );
        let ours = b"HTTP/1.1 404 Not Found\r\nx-correlation-id: \
            b3a4c3f0-5d0c-4d6e-9b1a-7f0b9d1c2e3f\r\ncontent-length: 0\r\n\r\n";
        for ours in
            [&ours[..], b"", b"\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b"HTTP/1.1 4\r\n\r\n"]
        {
            assert_eq!(own_answer(ours), None);
        }
        assert_eq!(own_answer(&own[..own.len() - 1]), None);
    }
}
