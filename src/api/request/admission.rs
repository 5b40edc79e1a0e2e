//! How many requests are worked on at a time. What goes beyond that is refused at once, before it costs anything
//! (problem 41): a server that lets all of them wait answers each too late, and spends on those that give up what the
//! others need.
//!
//! Who is refused is told when to ask again. Who asks again sooner, on the same connection, is refused again only when
//! that time has come: some thousand clients that retry at once would otherwise keep all processors busy with refusals.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use poem::Request;
use tokio::time::Instant;

use super::area::Area;
use crate::{
    api::{
        operations::Shape,
        wire::problem::{Problem, RETRY_AFTER},
    },
    domain::id::UserId,
};

/// How often the log says that requests are refused.
const TOLD_EVERY: Duration = Duration::from_secs(1);
/// How many users' requests are counted before those that have none are forgotten.
const MANY_USERS: usize = 1_024;

/// What kinds of requests there are: those of one kind keep none of another from being worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum Class {
    /// Of one thing, or of a token: is it good?
    Read,
    /// Of a page of a collection.
    List,
    /// What creates or modifies.
    Write,
    /// What takes something away, tokens before all: also while others create as fast as they can.
    Revoke,
}

impl Class {
    /// Of a request for an operation of that shape (`None`: for none that there is) in that area. `None`: it asks
    /// nothing of the store, or is how its health is found out.
    pub fn of(area: Area, shape: Option<Shape>) -> Option<Self> {
        Some(match (area, shape) {
            (Area::Open, _) => return None,
            (_, Some(Shape::List)) => Self::List,
            (_, Some(Shape::Create | Shape::Modify)) => Self::Write,
            (_, Some(Shape::Delete | Shape::Act)) => Self::Revoke,
            _ => Self::Read,
        })
    }

    /// Whether such requests change something.
    pub const fn changes(self) -> bool {
        matches!(self, Self::Write | Self::Revoke)
    }

    /// How many are worked on at a time. Enough to keep the store's connections busy and to take a burst, few enough
    /// that those that wait are still waited for: a database that makes 500 writes a second makes these in half a
    /// second.
    fn most(self) -> usize {
        match self {
            Self::Read => 1_024,
            Self::List => 64,
            Self::Write | Self::Revoke => 256,
        }
    }
}

/// The requests that are worked on.
#[derive(Debug)]
pub(in crate::api) struct Admission {
    present: [Arc<AtomicUsize>; 4],
    /// How many pages are asked for by whom.
    users: Mutex<HashMap<UserId, Arc<AtomicUsize>>>,
    /// How many were refused since the log said so last, and when that was.
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

    /// Gives a request of that kind a place, which it has as long as it is there, or refuses it.
    ///
    /// # Errors
    /// [`Problem::Busy`].
    pub async fn admit(&self, request: &mut Request, kind: Class) -> Result<(), Problem> {
        // Whose page is asked for is found out first: that is a read.
        let first = if kind == Class::List { Class::Read } else { kind };
        self.place(request, self.present(first), first.most()).await
    }

    /// Gives the user's request for a page a place among those of its own, half of what there is: nobody keeps others'
    /// from being worked on by asking for much of what takes long. Changes aren't counted so: who is refused here has
    /// been authenticated, and a flood of such refusals costs more than the changes.
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
            // Meanwhile others may have what it has got so far.
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

/// When a connection's client was last told to ask again later.
#[derive(Debug, Clone, Default)]
pub struct Told(Arc<Mutex<Option<Instant>>>);

impl Told {
    fn at(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) {
        *self.at() = Some(Instant::now());
    }

    /// Waits until the client may ask again, if it was told to wait.
    async fn wait(&self) {
        let until = self.at().map(|at| at + RETRY_AFTER);
        if let Some(until) = until {
            tokio::time::sleep_until(until).await;
        }
    }
}

/// The place of a request among those that are worked on, if it needs one, and among its user's.
#[derive(Debug, Clone, Default)]
pub(in crate::api) struct Place(Vec<Arc<Held>>);

#[derive(Debug)]
struct Held {
    present: Arc<AtomicUsize>,
    /// Its client is waited for; another may have the place meanwhile.
    waits: AtomicBool,
}

impl Held {
    /// One of that many places, unless all are taken.
    fn one_of(present: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        if present.fetch_add(1, Ordering::Relaxed) >= most {
            present.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Self { present: Arc::clone(present), waits: AtomicBool::new(false) })
    }
}

impl Place {
    /// The place that the request was given.
    pub fn of(request: &Request) -> Self {
        request.data().cloned().unwrap_or_default()
    }

    /// Waits for something that the client sends: however long it takes, it keeps no other request out.
    pub async fn leave_for<T>(self, sent: impl Future<Output = T>) -> T {
        for held in &self.0 {
            if !held.waits.swap(true, Ordering::Relaxed) {
                held.present.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let sent = sent.await;
        // It has been admitted once; to refuse it now would waste what was done for it.
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
        let of = |area, id: &str| Class::of(area, Some(Operation::named(id).unwrap().shape));
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
        assert_eq!(Class::of(Area::Accounts, None), Some(Class::Read));
    }
}
