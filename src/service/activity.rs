//! The last activity of users, and refused secrets: recorded in memory, and written to the store in batches in the
//! background. So no request waits for these writes, and the response time doesn't reveal what was recorded.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Error, Result, Service};
use crate::domain::{
    clock::Timestamp,
    credential::{AccountChoice, Credential},
    event::{EventKind, RequestContext, Subject},
    id::UserId,
    secret::SecretDigest,
    user::User,
};

/// The minimum time between two records of a user's authentication, or of a token's refusal: one minute, in
/// microseconds.
const NOTED_EVERY: i64 = 60_000_000;
/// The maximum number of users with unwritten activity. Further users are recorded at a later request.
const MOST_USERS: usize = 10_000;
/// The maximum number of refused secrets that wait to be looked up. The limit keeps a client that presents many from
/// occupying the store.
const MOST_REFUSALS: usize = 256;
/// The number of users that one transaction writes: small, so that other requests don't wait for it.
const BATCH: usize = 100;

/// The activity that is not written to the store yet.
#[derive(Default)]
pub(super) struct Activity(Mutex<Notes>);

#[derive(Default)]
struct Notes {
    seen: BTreeMap<UserId, Timestamp>,
    refused: HashMap<[u8; 32], Arc<RequestContext>>,
}

/// Whether something recorded at `noted` is to be recorded again at `now`. A record from a minute or more in the future
/// was made before the clock went back, and is replaced.
fn is_due(noted: Option<Timestamp>, now: Timestamp) -> bool {
    noted.is_none_or(|noted| now.as_micros().abs_diff(noted.as_micros()) >= NOTED_EVERY.unsigned_abs())
}

impl Activity {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that a user has authenticated; `stored` is the last authentication that the store has recorded.
    pub fn saw(&self, user: UserId, stored: Option<Timestamp>, now: Timestamp) {
        if is_due(stored, now) {
            let mut notes = self.notes();
            if is_due(notes.seen.get(&user).copied(), now)
                && (notes.seen.len() < MOST_USERS || notes.seen.contains_key(&user))
            {
                notes.seen.insert(user, now);
            }
        }
    }

    /// Records that a secret was refused, whether or not it is known.
    pub fn refused(&self, digest: SecretDigest, context: &Arc<RequestContext>) {
        let mut notes = self.notes();
        if notes.refused.len() < MOST_REFUSALS {
            notes.refused.entry(digest.0).or_insert_with(|| Arc::clone(context));
        }
    }

    /// When a user last authenticated, if that isn't written yet. Call this before the user is read from the store, so
    /// that a write in between loses nothing.
    pub fn unwritten(&self, user: UserId) -> Option<Timestamp> {
        self.notes().seen.get(&user).copied()
    }

    /// Sets the user's last activity to the unwritten one, if that will be written.
    pub fn complete(user: &mut User, unwritten: Option<Timestamp>) {
        if unwritten.is_some_and(|at| is_due(user.last_act_at, at)) {
            user.last_act_at = unwritten;
        }
    }

    fn some_seen(&self) -> Vec<(UserId, Timestamp)> {
        self.notes().seen.iter().take(BATCH).map(|(user, at)| (*user, *at)).collect()
    }

    /// Removes records that have been written. A user's newer activity stays recorded.
    fn written(&self, seen: &[(UserId, Timestamp)]) {
        let mut notes = self.notes();
        for (user, at) in seen {
            if notes.seen.get(user) == Some(at) {
                notes.seen.remove(user);
            }
        }
    }
}

impl Service {
    /// Writes the recorded activity. What can't be written stays recorded.
    pub async fn write_activity(&self) -> Result<()> {
        loop {
            // In the order of the ids, so that two servers never deadlock.
            let seen = self.activity.some_seen();
            if seen.is_empty() {
                break;
            }
            let mut writer = self.store.write().await?;
            for (user, at) in &seen {
                writer.note_act(*user, *at, NOTED_EVERY).await?;
            }
            writer.commit().await?;
            self.activity.written(&seen);
        }
        let mut refused = std::mem::take(&mut self.activity.notes().refused).into_iter();
        while let Some((digest, context)) = refused.next() {
            if let Err(error) = self.write_refusal(SecretDigest(digest), &context).await {
                for (digest, context) in std::iter::once((digest, context)).chain(refused) {
                    self.activity.refused(SecretDigest(digest), &context);
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Records an event if the refused secret is that of a token. The token could not be used when it was refused;
    /// whether it can be used by now makes no difference.
    async fn write_refusal(&self, digest: SecretDigest, context: &Arc<RequestContext>) -> Result<()> {
        let found = self.authenticator.find_by_digest(digest, AccountChoice::None).await?;
        let Some(Credential { token_id, user_id, home, refused_at, .. }) = found else { return Ok(()) };
        let now = self.clock.now();
        if !is_due(refused_at, now) {
            return Ok(());
        }
        let mut change = match self.change_in(home, Some(user_id), user_id, Arc::clone(context)).await {
            // The account was deleted, and the token with it.
            Err(Error::Forbidden) => return Ok(()),
            change => change?,
        };
        if change.writer.note_refusal(token_id, now, NOTED_EVERY).await? {
            change.record(home, EventKind::Refused, Subject::Token(token_id, user_id)).await?;
            change.commit().await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::entropy::OsEntropy;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_user_is_noted_once_a_minute_whichever_way_the_clock_goes() {
        for (stored, now, noted) in
            [(None, 0, true), (Some(0), 59, false), (Some(0), 60, true), (Some(59), 0, false), (Some(86_400), 0, true)]
        {
            let (activity, user) = (Activity::default(), UserId::random(&OsEntropy).unwrap());
            activity.saw(user, stored.map(at), at(now));
            assert_eq!(activity.unwritten(user).is_some(), noted, "{stored:?} {now}");
        }
    }

    #[test]
    fn what_is_noted_while_it_is_written_stays() {
        let (activity, user) = (Activity::default(), UserId::random(&OsEntropy).unwrap());
        activity.saw(user, None, at(0));
        let writing = activity.some_seen();
        activity.saw(user, None, at(60));
        activity.written(&writing);
        assert_eq!(activity.unwritten(user), Some(at(60)));
        activity.written(&activity.some_seen());
        assert_eq!(activity.unwritten(user), None);
    }

    #[test]
    fn memory_is_bounded_while_nothing_can_be_written() {
        let activity = Activity::default();
        let context = Arc::new(RequestContext::without_request(String::new()));
        for n in 0..MOST_USERS + 100 {
            activity.saw(UserId::random(&OsEntropy).unwrap(), None, at(0));
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&n.to_be_bytes());
            activity.refused(SecretDigest(digest), &context);
        }
        let notes = activity.notes();
        assert_eq!((notes.seen.len(), notes.refused.len()), (MOST_USERS, MOST_REFUSALS));
    }
}
