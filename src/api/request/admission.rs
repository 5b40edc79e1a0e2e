//! Admission control: limits the number of requests in progress. Requests beyond the limit are refused at once with
//! problem 41, before they cost anything: if all of them waited, each would be answered too late, and the server would
//! spend its resources on clients that have given up.
//!
//! A refused client is told when to try again (`Retry-After`). If it tries again earlier on the same connection, its
//! request waits until that time, and then is admitted or refused: otherwise a few thousand clients that retry
//! immediately would keep all processors busy with refusals.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use poem::{Request, http::Method};
use tokio::time::Instant;

use super::area::Area;
use crate::{
    api::{
        operations::Shape,
        wire::problem::{Problem, RETRY_AFTER},
    },
    domain::id::UserId,
};

/// The minimum time between log messages about refused requests.
const TOLD_EVERY: Duration = Duration::from_secs(1);
/// The number of users in the map from which on users without requests in progress are removed.
const MANY_USERS: usize = 1_024;

/// The classes of requests. Each has its own limit, so that requests of one class never block those of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum Class {
    /// Reads one resource, or verifies a token.
    Read,
    /// Reads a page of a collection.
    List,
    /// Creates or modifies a resource.
    Write,
    /// Deletes a resource or revokes a token. A separate class, so that tokens can be revoked even while other clients
    /// create resources as fast as they can.
    Revoke,
}

impl Class {
    /// The class of a request for an operation of that shape (`None`: no such operation; then the method decides) in
    /// that area. Returns `None` for requests without a limit: they don't use the store, or they check its health.
    pub fn of(area: Area, shape: Option<Shape>, method: &Method) -> Option<Self> {
        Some(match (area, shape) {
            (Area::Open, _) => return None,
            (_, Some(Shape::List)) => Self::List,
            (_, Some(Shape::Create | Shape::Modify)) => Self::Write,
            (_, Some(Shape::Delete | Shape::Act)) => Self::Revoke,
            (Area::Accounts | Area::OAuth | Area::Tokens, None) if matches!(*method, Method::POST | Method::PUT) => {
                Self::Write
            }
            (Area::Accounts | Area::OAuth | Area::Tokens, None) if *method == Method::DELETE => Self::Revoke,
            _ => Self::Read,
        })
    }

    /// Whether such requests change something.
    pub const fn changes(self) -> bool {
        matches!(self, Self::Write | Self::Revoke)
    }

    /// The maximum number of such requests in progress. Large enough to keep the store's connections busy and to absorb
    /// a burst; small enough that clients still wait for their responses: a database with 500 writes per second
    /// completes 256 writes in half a second. How many lists read the database at the same time is limited further by
    /// [`store::lister`](crate::store::lister).
    fn most(self) -> usize {
        match self {
            Self::Read => 1_024,
            Self::List => 64,
            Self::Write | Self::Revoke => 256,
        }
    }
}

/// The number of requests in progress, by class and by user.
#[derive(Debug)]
pub(in crate::api) struct Admission {
    present: [Arc<AtomicUsize>; 4],
    /// The number of each user's requests for pages in progress.
    users: Mutex<HashMap<UserId, Arc<AtomicUsize>>>,
    /// The number of requests refused since the last log message about it, and the time of that message.
    refused: Mutex<(u64, Option<Instant>)>,
}

impl Default for Admission {
    fn default() -> Self {
        Self { present: std::array::from_fn(|_| Arc::default()), users: Mutex::default(), refused: Mutex::default() }
    }
}

impl Admission {
    fn present(&self, kind: Class) -> &Arc<AtomicUsize> {
        let [read, list, write, revoke] = &self.present;
        match kind {
            Class::Read => read,
            Class::List => list,
            Class::Write => write,
            Class::Revoke => revoke,
        }
    }

    fn present_of(&self, user: UserId) -> Arc<AtomicUsize> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if users.len() >= MANY_USERS {
            users.retain(|_, present| Arc::strong_count(present) > 1);
        }
        Arc::clone(users.entry(user).or_default())
    }

    /// Gives a request of that class a place, which it holds as long as it exists, or refuses it.
    ///
    /// # Errors
    /// [`Problem::Busy`].
    pub async fn admit(&self, request: &mut Request, kind: Class) -> Result<(), Problem> {
        // For a page, the caller is authenticated first, which counts as a read.
        let first = if kind == Class::List { Class::Read } else { kind };
        self.place(request, self.present(first), first.most()).await
    }

    /// Gives a user's request for a page a place. Each user gets at most half of all places, so that nobody can block
    /// other users with many slow requests. Changes have no limit per user: such a refusal comes after authentication,
    /// so a flood of refusals would cost more than the changes themselves.
    ///
    /// # Errors
    /// [`Problem::Busy`].
    pub async fn admit_page(&self, user: UserId, request: &mut Request) -> Result<(), Problem> {
        self.place(request, &self.present_of(user), Class::List.most() / 2).await?;
        self.place(request, self.present(Class::List), Class::List.most()).await
    }

    async fn place(&self, request: &mut Request, present: &Arc<AtomicUsize>, most: usize) -> Result<(), Problem> {
        let mut held = Held::one_of(present, most);
        if held.is_none() {
            let told = request.data::<Told>().cloned().unwrap_or_default();
            // While it waits, other requests may use the places that it already holds.
            Place::of(request).leave_for(told.wait()).await;
            held = Held::one_of(present, most);
            if held.is_none() {
                told.now();
                self.tell();
            }
        }
        let mut place = Place::of(request);
        place.0.push(Arc::new(held.ok_or(Problem::Busy)?));
        request.set_data(place);
        Ok(())
    }

    fn tell(&self) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.0 += 1;
        if refused.1.is_none_or(|at| at.elapsed() >= TOLD_EVERY) {
            tracing::warn!(requests = refused.0, "more is asked than can be done: requests were refused");
            *refused = (0, Some(Instant::now()));
        }
    }
}

/// When a connection's client was last told to try again later.
#[derive(Debug, Clone, Default)]
pub struct Told(Arc<Mutex<Option<Instant>>>);

impl Told {
    fn at(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) {
        *self.at() = Some(Instant::now());
    }

    /// Waits until the client may try again, if it was told to wait.
    async fn wait(&self) {
        let until = self.at().map(|at| at + RETRY_AFTER);
        if let Some(until) = until {
            tokio::time::sleep_until(until).await;
        }
    }
}

/// The places that a request holds: in its class, if it needs one there, and among its user's.
#[derive(Debug, Clone, Default)]
pub(in crate::api) struct Place(Vec<Arc<Held>>);

#[derive(Debug)]
struct Held {
    present: Arc<AtomicUsize>,
    /// Whether the request waits for its client; meanwhile the place is free for another one.
    waits: AtomicBool,
}

impl Held {
    /// Takes one of `most` places; `None` if all are taken.
    fn one_of(present: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        if present.fetch_add(1, Ordering::Relaxed) >= most {
            present.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Self { present: Arc::clone(present), waits: AtomicBool::new(false) })
    }
}

impl Place {
    /// The places that the request was given.
    pub fn of(request: &Request) -> Self {
        request.data().cloned().unwrap_or_default()
    }

    /// Waits for something that the client sends. The request's places are free meanwhile, so that a slow client blocks
    /// no other request.
    pub async fn leave_for<T>(self, sent: impl Future<Output = T>) -> T {
        for held in &self.0 {
            if !held.waits.swap(true, Ordering::Relaxed) {
                held.present.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let sent = sent.await;
        // The request gets its places back even beyond the limit: it was admitted before, and refusing it now would
        // waste the work already done.
        for held in &self.0 {
            if held.waits.swap(false, Ordering::Relaxed) {
                held.present.fetch_add(1, Ordering::Relaxed);
            }
        }
        sent
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !*self.waits.get_mut() {
            self.present.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
