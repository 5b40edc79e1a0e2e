//! Admission control: limits the number of requests in progress. Requests beyond the limit are refused at once with
//! problem 41, before they cost anything: if all of them waited, each would be answered too late, and the server would
//! spend its resources on clients that have given up.
//!
//! A refused client is told when to try again (`Retry-After`). If it tries again earlier on the same connection, the
//! next refusal is delayed until that time: otherwise a few thousand clients that retry immediately would keep all
//! processors busy with refusals.

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
    /// completes 256 writes in half a second.
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
mod tests {
    use super::*;
    use crate::api::operations::Operation;

    #[tokio::test]
    async fn places_are_bounded_for_each_kind_and_given_up_while_a_client_is_waited_for() {
        let admission = Admission::default();
        let ask = async |kind| {
            let mut request = Request::default();
            admission.admit(&mut request, kind).await.map(|()| request)
        };
        let revoke = async || ask(Class::Revoke).await;
        let mut held = vec![];
        for _ in 0..Class::Revoke.most() {
            held.push(revoke().await.unwrap());
        }
        assert!(matches!(revoke().await, Err(Problem::Busy)));
        assert!(ask(Class::Read).await.is_ok() && ask(Class::Write).await.is_ok());
        let sent = async {
            let another = revoke().await.unwrap();
            assert!(revoke().await.is_err());
            another
        };
        drop(Place::of(&held[0]).leave_for(sent).await);
        assert!(revoke().await.is_err());
        // Also when the client is given up while it is waited for.
        let given_up = held.pop().unwrap();
        let never = Place::of(&given_up).leave_for(std::future::pending::<()>());
        assert!(tokio::time::timeout(Duration::from_millis(10), never).await.is_err());
        drop(given_up);
        held.push(revoke().await.unwrap());
        assert!(revoke().await.is_err());
    }

    #[tokio::test]
    async fn who_asks_again_too_soon_is_answered_when_it_may() {
        let (admission, told) = (Admission::default(), Told::default());
        let ask = async |told: Option<&Told>| {
            let mut request = Request::default();
            if let Some(told) = told {
                request.set_data(told.clone());
            }
            let begun = Instant::now();
            (admission.admit(&mut request, Class::Revoke).await.map(|()| request), begun.elapsed())
        };
        let mut held = vec![];
        for _ in 0..Class::Revoke.most() {
            held.push(ask(None).await.0.unwrap());
        }
        let soon = RETRY_AFTER / 2;
        assert!(matches!(ask(Some(&told)).await, (Err(_), took) if took < soon), "the first time");
        assert!(matches!(ask(None).await, (Err(_), took) if took < soon), "on another connection");
        assert!(matches!(ask(Some(&told)).await, (Err(_), took) if took > soon), "too soon");
        // Once there is a place, nobody waits for it.
        held.pop();
        assert!(matches!(ask(Some(&told)).await, (Ok(_), took) if took < soon), "there is a place");
    }

    #[tokio::test]
    async fn a_user_has_half_of_the_places_for_what_takes_long() {
        let admission = Admission::default();
        let ask = async |user: u32| {
            let mut request = Request::default();
            admission.admit(&mut request, Class::List).await?;
            let user = format!("00000000-0000-4000-8000-{user:012}").parse().unwrap();
            admission.admit_page(user, &mut request).await.map(|()| request)
        };
        let mut held = vec![];
        for user in [1, 2] {
            for _ in 0..Class::List.most() / 2 {
                held.push(ask(user).await.unwrap());
            }
            assert!(matches!(ask(user).await, Err(Problem::Busy)));
        }
        assert!(ask(3).await.is_err(), "all are taken");
        held.pop();
        assert!(ask(3).await.is_ok() && ask(1).await.is_err());
        drop(held);
        assert!(admission.present.iter().all(|present| present.load(Ordering::Relaxed) == 0));
    }
    #[test]
    fn kinds_follow_from_shapes() {
        let of = |area, id: &str| Class::of(area, Some(Operation::named(id).unwrap().shape), &Method::GET);
        for (area, id, kind) in [
            (Area::Accounts, "retrieve_token", Class::Read),
            (Area::Accounts, "list_tokens", Class::List),
            (Area::Accounts, "create_token", Class::Write),
            (Area::Accounts, "modify_user", Class::Write),
            (Area::Accounts, "delete_account", Class::Revoke),
            (Area::Tokens, "who_am_i", Class::Read),
            (Area::Tokens, "revoke_presented_token", Class::Revoke),
            (Area::Tokens, "report_leaks", Class::Revoke),
            (Area::OAuth, "introspect_token", Class::Read),
            (Area::OAuth, "revoke_token", Class::Revoke),
            (Area::Verify, "verify_token", Class::Read),
        ] {
            assert_eq!(of(area, id), Some(kind), "{id}");
        }
        assert_eq!(of(Area::Open, "check_readiness"), None);
        for (method, class) in
            [(Method::GET, Class::Read), (Method::PUT, Class::Write), (Method::DELETE, Class::Revoke)]
        {
            assert_eq!(Class::of(Area::Accounts, None, &method), Some(class), "{method}");
        }
        assert_eq!(Class::of(Area::Verify, None, &Method::DELETE), Some(Class::Read));
    }
}
