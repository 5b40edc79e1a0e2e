//! One connection: how long it may idle, how long an answer may wait to be read, and how it ends.
//!
//! Hyper's own deadlines are those of HTTP/1 heads. What a client may do by way of HTTP/2, or by saying too little to be told from it, is
//! bounded here.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::{net::TcpStream, time::Instant};
use tokio_io_timeout::TimeoutStream;

/// How long a connection may be open without a request.
pub const IDLE: Duration = Duration::from_secs(30);
/// How long requests may be under way while none begins or ends: their answers aren't being read.
const STUCK: Duration = Duration::from_mins(5);
/// How long a client may keep its socket from taking more of an answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// The stream of a connection, on which no answer waits for ever to be read.
#[must_use]
pub fn patient(stream: TcpStream) -> Pin<Box<TimeoutStream<TcpStream>>> {
    // Answers are small and whole: waiting to fill a packet would only delay them.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIMEOUT));
    Box::pin(stream)
}

/// What goes on on a connection.
pub struct Activity(Mutex<State>);

struct State {
    /// How many requests are under way, until their answers are sent.
    under_way: usize,
    /// When one began or ended last; or when the connection did.
    since: Instant,
}

impl Default for Activity {
    fn default() -> Self {
        Self(Mutex::new(State { under_way: 0, since: Instant::now() }))
    }
}

impl Activity {
    /// A request begins. It is under way as long as what is returned.
    pub fn begin(self: &Arc<Self>) -> UnderWay {
        self.change(|under_way| under_way + 1);
        UnderWay(Arc::clone(self))
    }

    /// Resolves when the connection has idled for long enough, or when nothing comes of its requests.
    pub async fn quiet(&self) {
        self.quiet_for(IDLE, STUCK).await;
    }

    async fn quiet_for(&self, idle: Duration, stuck: Duration) {
        loop {
            let until = {
                let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                state.since + if state.under_way == 0 { idle } else { stuck }
            };
            let now = Instant::now();
            if until <= now {
                return;
            }
            // A request that is under way now may end at once: so look again before the connection could have idled for long enough.
            tokio::time::sleep_until(until.min(now + idle)).await;
        }
    }

    fn change(&self, under_way: impl FnOnce(usize) -> usize) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = State { under_way: under_way(state.under_way), since: Instant::now() };
    }
}

/// A request that is under way.
pub struct UnderWay(Arc<Activity>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.change(|under_way| under_way.saturating_sub(1));
    }
}

/// The body of an answer: its request is under way until it was sent, or given up.
pub struct Answer<B> {
    /// What is sent.
    pub body: B,
    /// Dropped with it.
    pub under_way: UnderWay,
}

impl<B: Body<Data = Bytes, Error = io::Error> + Unpin> Body for Answer<B> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_idles_from_the_end_of_its_last_request() {
        let activity = Arc::new(Activity::default());
        let request = activity.begin();
        let (idle, begun) = (Duration::from_millis(200), Instant::now());
        let ends = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            drop(request);
        };
        tokio::join!(activity.quiet_for(idle, Duration::from_mins(5)), ends);
        assert!(begun.elapsed() >= Duration::from_millis(300) && begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn requests_that_nothing_comes_of_are_noticed() {
        let activity = Arc::new(Activity::default());
        let _request = activity.begin();
        tokio::time::timeout(Duration::from_secs(5), activity.quiet_for(Duration::from_millis(10), Duration::from_millis(100)))
            .await
            .unwrap();
    }
}
