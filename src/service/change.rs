//! A change: one transaction, alone in the accounts that it touches, by somebody who may still make it, with an event
//! for each thing that it does.

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

/// How often to try to lock a user's accounts while others keep adding some.
const ATTEMPTS: u32 = 5;

/// A change under way. Dropped without `commit`, it never happened.
pub(super) struct Change {
    pub writer: Writer,
    /// When the change happens: later than every earlier change in the accounts that it touches.
    pub at: Timestamp,
    /// Who makes it.
    pub by: UserId,
    /// Whether the background is to be told when this is done.
    pub leaves_work: bool,
    service: Service,
    context: Arc<RequestContext>,
}

/// Which accounts a change touches beside the one that it is made in.
#[derive(Debug, Clone, Copy)]
pub(super) enum Others {
    None,
    /// Those that the user is in.
    OfUser(UserId),
    /// Those in which users who are at home in that account have roles.
    OfResidents(AccountId),
}

impl Others {
    async fn find(self, conn: &mut Conn) -> Result<BTreeSet<AccountId>> {
        Ok(match self {
            Self::None => BTreeSet::new(),
            Self::OfUser(user) => conn.accounts_of(user).await?,
            Self::OfResidents(account) => conn.accounts_of_residents(account).await?,
        })
    }
}

impl Service {
    /// Begins a change in the caller's account, and if it is about a user, in all accounts that this one is in: so that
    /// what belongs to a user changes in one place at a time. Whoever was revoked or lost the account meanwhile is
    /// refused here; the caller that is returned is the one to go by.
    pub(super) async fn change(&self, caller: &Caller, about: Option<UserId>) -> Result<(Change, Caller)> {
        let mut change = self.change_in(caller.account_id, about, caller.user_id, Arc::clone(&caller.context)).await?;
        let caller = caller.reauthenticate(&mut change.writer, change.at).await?;
        Ok((change, caller))
    }

    /// Begins a change in the accounts of whoever calls, who speaks to none of them.
    pub(super) async fn change_of(&self, identity: &Identity) -> Result<Change> {
        let home =
            self.store.read().await?.find_user(identity.user_id).await?.ok_or(Error::InvalidCredentials)?.account_id;
        let mut change =
            self.change_in(home, Some(identity.user_id), identity.user_id, Arc::clone(&identity.context)).await?;
        identity.reauthenticate(&mut change.writer, change.at).await?;
        Ok(change)
    }

    /// Begins a change in an account and in all those that the user is in.
    pub(super) async fn change_in(
        &self,
        account: AccountId,
        about: Option<UserId>,
        by: UserId,
        context: Arc<RequestContext>,
    ) -> Result<Change> {
        self.change_among(account, about.map_or(Others::None, Others::OfUser), by, context).await
    }

    /// Begins a change in an account and in others: which these are is asked when all that are known are locked, and
    /// again if there are more. Most users are in one account only.
    pub(super) async fn change_among(
        &self,
        account: AccountId,
        others: Others,
        by: UserId,
        context: Arc<RequestContext>,
    ) -> Result<Change> {
        let now = self.clock.now();
        let mut wanted = BTreeSet::from([account]);
        for _ in 0..ATTEMPTS {
            let mut writer = self.store.write().await?;
            let mut at = now;
            let mut exists = false;
            // In the order of their ids, so that two changes never wait for each other.
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
                return Ok(Change::continued(self.clone(), writer, at, by, context));
            }
            wanted.extend(found);
        }
        Err(Error::unavailable("a user's accounts keep changing"))
    }
}

impl Change {
    /// How much users and accounts may hold.
    pub fn quotas(&self) -> Quotas {
        self.service.quotas.get().copied().unwrap_or_default()
    }

    /// A change in a transaction that has its accounts locked.
    pub const fn continued(
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

    /// In which request it is made.
    pub fn context(&self) -> &RequestContext {
        &self.context
    }

    /// The history of something that this change creates.
    pub fn metadata(&self, labels: Labels) -> Metadata {
        Metadata::new(labels, self.at, self.by)
    }

    /// Writes a deed into an account's log.
    pub async fn record(&mut self, account: AccountId, kind: EventKind, subject: Subject) -> Result<()> {
        self.record_all(account, kind, [subject]).await
    }

    /// Writes the same deed, done to several, into an account's log.
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

    /// Writes what was done to a user's own into the log of its home account: that one can't be deleted to be rid of it
    /// while the user lives on, whichever account the request spoke to.
    pub async fn record_at_home(&mut self, user: UserId, kind: EventKind, subject: Subject) -> Result<()> {
        let home = self.writer.find_user(user).await?.ok_or(Error::NotFound)?.account_id;
        self.record(home, kind, subject).await
    }

    /// Makes the change last.
    pub async fn commit(self) -> Result<()> {
        self.writer.commit().await?;
        if self.leaves_work {
            self.service.deletions.notify_one();
        }
        Ok(())
    }
}
