//! What goes on on a connection: which requests are under way, who waits for whom, and until when.

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
/// How long a client that has closed its side may wait for an answer: whoever hangs up looks just like that, and for so
/// long is worked for in vain.
const HALF_CLOSED: Duration = Duration::from_secs(1);
/// How long a request waits for its client before its connection may have to make room for another.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many bytes of unread answers a connection may have before it is given another one.
const MOST_UNREAD: usize = 4 * 1024 * 1024;
/// After how long to look again at what can't be waited for.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What goes on on a connection.
pub struct Activity {
    state: Mutex<State>,
    /// Something was sent or given up.
    released: Notify,
    evicted: Notify,
}

#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct State {
    /// Requests, until their answers are sent.
    under_way: usize,
    /// Those among them that wait for the server, not for their client.
    working: usize,
    /// Since when any is worked on.
    working_since: Instant,
    /// When the last request began.
    begun: Instant,
    /// When something came of a request last: it began, ended, or a piece of it came or went.
    moved: Instant,
    /// When the head that isn't complete began.
    head: Option<Instant>,
    is_http2: bool,
    has_served: bool,
    /// When the client closed its side.
    closed: Option<Instant>,
    /// It closed both.
    is_gone: bool,
    /// Whether the client may have closed its side without the system telling.
    look_again: bool,
    /// Bytes of answers that wait to be sent, and since when there are any.
    unread: usize,
    unread_since: Instant,
    is_evicted: bool,
    /// Whether something of the client's won't be read.
    leaves_unread: bool,
}

/// How readily a connection is closed to make room: the least first.
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

    /// A request begins. It is under way as long as what is returned, and is worked on until it is said to wait.
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

    /// Bytes have come. `is_head` says whether they end within a request's head, where the protocol tells: else they do
    /// while no request is under way. Returns whether a head begins with them.
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

    /// From here on the connection speaks HTTP/2.
    pub fn speaks_http2(&self) {
        self.state().is_http2 = true;
    }

    /// Whether any request is worked on.
    pub fn is_working(&self) -> bool {
        self.state().working > 0
    }

    /// The client has closed its side, or both.
    pub fn closed(&self, is_gone: bool) {
        let mut state = self.state();
        state.closed = state.closed.or_else(|| Some(Instant::now()));
        state.is_gone |= is_gone;
    }

    /// Nobody will tell when the client closes its side.
    pub fn look_again(&self) {
        self.state().look_again = true;
    }

    /// Something of the client's won't be read: to close the connection on it at once would tear the answer away.
    pub fn leave_unread(&self) {
        self.state().leaves_unread = true;
    }

    /// Whether something of the client's won't be read.
    pub fn leaves_unread(&self) -> bool {
        self.state().leaves_unread
    }

    /// Whether the client has closed its side.
    pub fn is_closed(&self) -> bool {
        self.state().closed.is_some()
    }

    /// Until when the connection may stay as it is, and whether that is for sure: else it is only to be looked at again
    /// then.
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

    /// Resolves when the connection has idled for long enough, dawdles, or nothing comes of its requests.
    pub async fn quiet(&self, head_timeout: Duration) {
        let sleep = tokio::time::sleep_until(self.until(head_timeout).0);
        let mut sleep = std::pin::pin!(sleep);
        std::future::poll_fn(|cx| {
            loop {
                let (until, is_sure) = self.until(head_timeout);
                if is_sure && until <= Instant::now() {
                    return std::task::Poll::Ready(());
                }
                // A deadline that has moved away is found when the old one has passed: to set the clock for each
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

    /// Whether so much waits to be read that a further answer has to wait.
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

    /// Bytes of an answer wait to be sent.
    pub fn hold(&self, bytes: usize) {
        let mut state = self.state();
        if state.unread == 0 {
            state.unread_since = Instant::now();
        }
        state.unread += bytes;
    }

    /// They were sent, or given up. Returns whether they still counted.
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

    /// How much its unread answers weigh: their bytes, times for how long there have been any. `None` where there are
    /// none.
    pub fn weight(&self, now: Instant) -> Option<u128> {
        let state = self.state();
        let age = now.saturating_duration_since(state.unread_since).as_millis() + 1;
        (state.unread > 0).then(|| age * state.unread as u128)
    }

    /// How readily it makes room for another connection: idle ones first, then those whose requests wait for their
    /// client; the longest first. `None` while it is worked on.
    pub fn rank(&self, now: Instant) -> Option<Rank> {
        let state = self.state();
        if state.under_way == 0 {
            return Some((false, state.moved));
        }
        let has_waited = now.saturating_duration_since(state.begun) >= PATIENCE;
        (state.working == 0 && has_waited).then_some((true, state.begun))
    }

    /// Tells the connection to end. Returns how many bytes of unread answers count no longer.
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

    /// Whether its requests may finish when it is to end: all of them when the server stops; else only what waits for
    /// the server, and not if its client has gone or doesn't read.
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

/// A request that is under way.
pub struct UnderWay {
    activity: Arc<Activity>,
    waits: Mutex<bool>,
}

impl UnderWay {
    /// Where it is under way.
    pub fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// The request waits for its client from here on, or no longer does.
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

    /// A piece of its answer goes.
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
