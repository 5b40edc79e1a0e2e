//! Changes: a change is one transaction that locks the accounts it affects, authenticates the caller again, and records
//! an event for each resource that it changes.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    Error, Result, Service,
    caller::{Caller, Identity},
    quota::Quotas,
};
use crate::{
    domain::{
        clock::Timestamp,
        event::{Event, EventKind, RequestContext, Subject},
        id::{AccountId, EventId, UserId},
        label::Labels,
        metadata::Metadata,
    },
    store::{Conn, Writer},
};

/// The number of attempts to lock a user's accounts while other requests add more of them.
const ATTEMPTS: u32 = 5;

/// A change in progress. It is rolled back if it is dropped without `commit`.
pub(super) struct Change {
    pub writer: Writer,
    /// When the change happens: later than every earlier change in the accounts that it affects.
    pub at: Timestamp,
    /// The user that makes the change; the nil UUID for operators and reported leaks.
    pub by: UserId,
    /// Whether the commit notifies the background task that deletes.
    pub leaves_work: bool,
    service: Service,
    context: Arc<RequestContext>,
}

/// The accounts that a change locks in addition to the one that it is made in.
#[derive(Debug, Clone, Copy)]
pub(super) enum AlsoLocked {
    None,
    /// The user's home account, and those where it has a role.
    OfUser(UserId),
    /// Those in which users whose home is that account have roles.
    OfResidents(AccountId),
}

impl AlsoLocked {
    async fn find(self, conn: &mut Conn) -> Result<BTreeSet<AccountId>> {
        Ok(match self {
            Self::None => BTreeSet::new(),
            Self::OfUser(user) => conn.accounts_of(user).await?,
            Self::OfResidents(account) => conn.accounts_of_residents(account).await?,
        })
    }
}

impl Service {
    /// Begins a change in the caller's account and, if it is about a user, in all accounts of that user, so that only
    /// one change at a time affects a user and its resources. Refuses a caller whose token was revoked, or who lost
    /// access to the account, in the meantime. The returned caller has the current role; use it instead of the given
    /// one.
    pub(super) async fn change(&self, caller: &Caller, about: Option<UserId>) -> Result<(Change, Caller)> {
        let mut change = self.change_in(caller.account_id, about, caller.user_id, Arc::clone(&caller.context)).await?;
        let caller = caller.reauthenticate(&mut change.writer, change.at).await?;
        Ok((change, caller))
    }

    /// Begins a change in all accounts of the caller, for a request that isn't about one account.
    pub(super) async fn change_of(&self, identity: &Identity) -> Result<Change> {
        let home =
            self.store.read().await?.find_user(identity.user_id).await?.ok_or(Error::InvalidCredentials)?.account_id;
        let mut change =
            self.change_in(home, Some(identity.user_id), identity.user_id, Arc::clone(&identity.context)).await?;
        identity.reauthenticate(&mut change.writer, change.at).await?;
        Ok(change)
    }

    /// Begins a change in an account and in all accounts of the user `about`.
    pub(super) async fn change_in(
        &self,
        account: AccountId,
        about: Option<UserId>,
        by: UserId,
        context: Arc<RequestContext>,
    ) -> Result<Change> {
        self.change_among(account, about.map_or(AlsoLocked::None, AlsoLocked::OfUser), by, context).await
    }

    /// Begins a change in an account and in others. The others are queried after all known ones are locked; if there
    /// are more, it starts again with a new transaction. Most users are in one account only.
    pub(super) async fn change_among(
        &self,
        account: AccountId,
        others: AlsoLocked,
        by: UserId,
        context: Arc<RequestContext>,
    ) -> Result<Change> {
        let now = self.clock.now();
        let mut wanted = BTreeSet::from([account]);
        for _ in 0..ATTEMPTS {
            let mut writer = self.store.write().await?;
            let mut at = now;
            let mut exists = false;
            // In the order of the ids, so that two changes never deadlock.
            for id in &wanted {
                if let Some(locked_at) = writer.lock_account(*id, now).await? {
                    at = at.max(locked_at);
                    exists |= *id == account;
                }
            }
            if !exists {
                return Err(Error::Forbidden);
            }
            let found = others.find(&mut writer).await?;
            if found.is_subset(&wanted) {
                return Ok(Change::in_transaction(self.clone(), writer, at, by, context));
            }
            wanted.extend(found);
        }
        Err(Error::unavailable("a user's accounts keep changing"))
    }
}

impl Change {
    /// The quotas of users and accounts.
    pub fn quotas(&self) -> Quotas {
        self.service.quotas.get().copied().unwrap_or_default()
    }

    /// A change in a transaction that has already locked its accounts.
    pub const fn in_transaction(
        service: Service,
        writer: Writer,
        at: Timestamp,
        by: UserId,
        context: Arc<RequestContext>,
    ) -> Self {
        Self { writer, at, by, leaves_work: false, service, context }
    }

    pub fn service(&self) -> &Service {
        &self.service
    }

    /// The request that makes the change.
    pub fn context(&self) -> &RequestContext {
        &self.context
    }

    /// The metadata of a resource that this change creates.
    pub fn metadata(&self, labels: Labels) -> Metadata {
        Metadata::new(labels, self.at, self.by)
    }

    /// Records an event in an account's log.
    pub async fn record(&mut self, account: AccountId, kind: EventKind, subject: Subject) -> Result<()> {
        self.record_all(account, kind, [subject]).await
    }

    /// Records an event of the same kind for each of several subjects in an account's log.
    pub async fn record_all(
        &mut self,
        account: AccountId,
        kind: EventKind,
        subjects: impl IntoIterator<Item = Subject>,
    ) -> Result<()> {
        let mut events = vec![];
        for subject in subjects {
            let id = EventId::random(self.service.entropy())?;
            events.push(Event::new(id, account, kind, subject, self.by, &self.context));
        }
        Ok(self.writer.insert_events(account, &mut events).await?)
    }

    /// Records an event about a user's resource in the log of the user's home account, whichever account the request
    /// was about: the log of another account may be deleted before the user is.
    pub async fn record_at_home(&mut self, user: UserId, kind: EventKind, subject: Subject) -> Result<()> {
        let home = self.writer.find_user(user).await?.ok_or(Error::NotFound)?.account_id;
        self.record(home, kind, subject).await
    }

    /// Commits the change.
    pub async fn commit(self) -> Result<()> {
        self.writer.commit().await?;
        if self.leaves_work {
            self.service.deletions.notify_one();
        }
        Ok(())
    }
}
