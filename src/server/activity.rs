//! The activity of a connection: its requests in progress, whom they wait for, and the resulting deadlines.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

/// How long a connection may be open without a request, after its first one.
pub const IDLE: Duration = Duration::from_secs(30);
/// How long requests may wait for their client without anything being sent or received: their answers aren't being
/// read.
pub const STUCK: Duration = Duration::from_secs(30);
/// How long a client that has closed its side may wait for an answer. A client that has disconnected looks the same,
/// and the server works for it in vain for this long.
const HALF_CLOSED: Duration = Duration::from_secs(1);
/// How long a request waits for its client before its connection may be closed to make room for another.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many bytes of unread answers a connection may have before its further answers have to wait.
const MOST_UNREAD: usize = 4 * 1024 * 1024;
/// How often to check for changes that the system doesn't notify about.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The activity of a connection.
pub struct Activity {
    state: Mutex<State>,
    /// Notified when bytes of answers were sent or given up.
    released: Notify,
    evicted: Notify,
}

#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct State {
    /// The number of requests whose answers aren't sent yet.
    under_way: usize,
    /// The number of those that wait for the server, not for their client.
    working: usize,
    /// Since when `working` has been above zero.
    working_since: Instant,
    /// When the last request began.
    begun: Instant,
    /// When a request last made progress: it began or ended, or a part of it was received or sent.
    moved: Instant,
    /// When the head that isn't complete began; `None` if there is none.
    head: Option<Instant>,
    is_http2: bool,
    has_served: bool,
    /// When the client closed its side.
    closed: Option<Instant>,
    /// Whether the client closed both sides.
    is_gone: bool,
    /// Whether the client may have closed its side without a notification from the system.
    look_again: bool,
    /// Bytes of answers that wait to be sent, and since when there are any.
    unread: usize,
    unread_since: Instant,
    is_evicted: bool,
    /// Whether some data from the client won't be read.
    leaves_unread: bool,
}

/// The order in which connections are closed to make room for others: the lowest rank first.
pub type Rank = (bool, Instant);

impl Default for Activity {
    fn default() -> Self {
        let now = Instant::now();
        let state = State {
            under_way: 0,
            working: 0,
            working_since: now,
            begun: now,
            moved: now,
            head: None,
            is_http2: false,
            has_served: false,
            closed: None,
            is_gone: false,
            look_again: false,
            unread: 0,
            unread_since: now,
            is_evicted: false,
            leaves_unread: false,
        };
        Self { state: Mutex::new(state), released: Notify::new(), evicted: Notify::new() }
    }
}

impl Activity {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that a request begins. It is in progress until the returned value is dropped, and counts as being worked
    /// on until it is said to wait.
    pub fn begin(self: &Arc<Self>) -> UnderWay {
        let (mut state, now) = (self.state(), Instant::now());
        state.under_way += 1;
        (state.begun, state.moved, state.has_served) = (now, now, true);
        if !state.is_http2 {
            state.head = None;
        }
        state.work(now);
        UnderWay { activity: Arc::clone(self), waits: Mutex::new(false) }
    }

    /// Records that bytes were received. `is_head` says whether they end within a request's head; if it is `None`, they
    /// do when no request is in progress. Returns whether a head begins with them.
    pub fn received(&self, is_head: Option<bool>) -> bool {
        let mut state = self.state();
        let is_first = state.head.is_none();
        if is_head.unwrap_or(state.under_way == 0) {
            state.head = state.head.or_else(|| Some(Instant::now()));
            return is_first;
        } else if is_head.is_some() {
            state.head = None;
        }
        false
    }

    /// Records that the connection speaks HTTP/2.
    pub fn speaks_http2(&self) {
        self.state().is_http2 = true;
    }

    /// Whether any request is being worked on.
    pub fn is_working(&self) -> bool {
        self.state().working > 0
    }

    /// Records that the client has closed its side, or both.
    pub fn closed(&self, is_gone: bool) {
        let mut state = self.state();
        state.closed = state.closed.or_else(|| Some(Instant::now()));
        state.is_gone |= is_gone;
    }

    /// Records that the system won't notify when the client closes its side.
    pub fn look_again(&self) {
        self.state().look_again = true;
    }

    /// Records that some data from the client won't be read: closing at once would then discard the answer.
    pub fn leave_unread(&self) {
        self.state().leaves_unread = true;
    }

    /// Whether some data from the client won't be read.
    pub fn leaves_unread(&self) -> bool {
        self.state().leaves_unread
    }

    /// Whether the client has closed its side.
    pub fn is_closed(&self) -> bool {
        self.state().closed.is_some()
    }

    /// Until when the connection may stay as it is, and whether that is a deadline, not just the next check.
    fn until(&self, head_timeout: Duration) -> (Instant, bool) {
        let state = self.state();
        let mut until = if state.under_way == 0 {
            state.moved + if state.has_served { IDLE } else { head_timeout }
        } else if state.working == 0 {
            state.moved + STUCK
        } else if state.is_gone {
            state.moved
        } else if let Some(closed) = state.closed {
            closed.max(state.working_since) + HALF_CLOSED
        } else if state.head.is_none() {
            return (Instant::now() + if state.look_again { LOOK_AGAIN } else { IDLE }, false);
        } else {
            Instant::now() + IDLE
        };
        if let Some(head) = state.head {
            until = until.min(head + head_timeout);
        }
        (until, true)
    }

    /// Resolves when a deadline has passed: of an idle connection, a slow head, or requests without progress.
    pub async fn quiet(&self, head_timeout: Duration) {
        let sleep = tokio::time::sleep_until(self.until(head_timeout).0);
        let mut sleep = std::pin::pin!(sleep);
        std::future::poll_fn(|cx| {
            loop {
                let (until, is_sure) = self.until(head_timeout);
                if is_sure && until <= Instant::now() {
                    return std::task::Poll::Ready(());
                }
                // A deadline that was postponed is noticed when the old one has passed: resetting the timer for each
                // request would cost more.
                if sleep.is_elapsed() || until < sleep.deadline() {
                    sleep.as_mut().reset(until);
                }
                if sleep.as_mut().poll(cx).is_pending() {
                    return std::task::Poll::Pending;
                }
            }
        })
        .await;
    }

    /// Whether there are so many bytes of unread answers that a further answer has to wait.
    pub fn is_full(&self) -> bool {
        self.state().unread >= MOST_UNREAD
    }

    /// Resolves when there is room for the answer to a further request.
    pub async fn room(&self) {
        loop {
            let released = self.released.notified();
            if !self.is_full() {
                return;
            }
            released.await;
        }
    }

    /// Records bytes of an answer that wait to be sent.
    pub fn hold(&self, bytes: usize) {
        let mut state = self.state();
        if state.unread == 0 {
            state.unread_since = Instant::now();
        }
        state.unread += bytes;
    }

    /// Records that such bytes were sent or given up. Returns whether they were still counted.
    pub fn release(&self, bytes: usize) -> bool {
        let mut state = self.state();
        let was_full = state.unread >= MOST_UNREAD;
        state.unread = state.unread.saturating_sub(bytes);
        state.moved = Instant::now();
        if was_full && state.unread < MOST_UNREAD {
            self.released.notify_waiters();
        }
        !state.is_evicted
    }

    /// The weight of the unread answers: their bytes, multiplied by the milliseconds that there have been any. `None`
    /// if there are none.
    pub fn weight(&self, now: Instant) -> Option<u128> {
        let state = self.state();
        let age = now.saturating_duration_since(state.unread_since).as_millis() + 1;
        (state.unread > 0).then(|| age * state.unread as u128)
    }

    /// The rank of the connection for making room for another: idle connections first, then those whose requests wait
    /// for their client; the longest first. `None` while a request is being worked on or began only recently.
    pub fn rank(&self, now: Instant) -> Option<Rank> {
        let state = self.state();
        if state.under_way == 0 {
            return Some((false, state.moved));
        }
        let has_waited = now.saturating_duration_since(state.begun) >= PATIENCE;
        (state.working == 0 && has_waited).then_some((true, state.begun))
    }

    /// Tells the connection to end. Returns how many bytes of unread answers are no longer counted.
    pub fn evict(&self) -> usize {
        let mut state = self.state();
        state.is_evicted = true;
        self.evicted.notify_one();
        state.unread
    }

    /// Resolves when the connection is told to end.
    pub async fn evicted(&self) {
        self.evicted.notified().await;
    }

    /// Whether requests in progress may finish when the connection has to end. When the server stops, all may;
    /// otherwise only if one waits for the server, and the client has neither closed its side nor left answers unread.
    pub fn may_finish(&self, stops: bool) -> bool {
        let state = self.state();
        if stops { state.under_way > 0 } else { state.working > 0 && state.unread == 0 && state.closed.is_none() }
    }
}

impl State {
    fn work(&mut self, now: Instant) {
        if self.working == 0 {
            self.working_since = now;
        }
        self.working += 1;
    }
}

/// A request in progress.
pub struct UnderWay {
    activity: Arc<Activity>,
    waits: Mutex<bool>,
}

impl UnderWay {
    /// The activity of its connection.
    pub fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// Records whether the request waits for its client.
    pub fn waits(&self, waits: bool) {
        let mut waited = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut state, now) = (self.activity.state(), Instant::now());
        if *waited != waits {
            *waited = waits;
            if waits {
                state.working -= 1;
            } else {
                state.work(now);
            }
        }
        if !waits {
            state.moved = now;
        }
    }

    /// Records that a part of the answer is being sent.
    pub fn moves(&self) {
        self.activity.state().moved = Instant::now();
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let waits = *self.waits.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.activity.state();
        state.under_way -= 1;
        if !waits {
            state.working -= 1;
        }
        state.moved = Instant::now();
    }
}

#[cfg(test)]
impl Activity {
    /// As if so many seconds had passed.
    pub fn age(&self, seconds: u64) {
        let mut state = self.state();
        let State { working_since, begun, moved, head, closed, unread_since, .. } = &mut *state;
        let instants =
            [working_since, begun, moved, unread_since].into_iter().chain(head.as_mut()).chain(closed.as_mut());
        instants.for_each(|instant| *instant -= Duration::from_secs(seconds));
    }
}

#[cfg(test)]
mod tests;
