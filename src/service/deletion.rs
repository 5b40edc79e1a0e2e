//! Deletions of what may be very much: at once for everybody, and then bit by bit in the background.
//!
//! One short transaction takes the tokens from their user, or marks the account; the query that tells whose a secret is
//! finds neither any more. What is left of them is deleted in batches, each with its events, by whichever server comes
//! first; the store says what is to be done, so that a crash forgets nothing.

use std::{sync::Arc, time::Duration};

use super::{Result, Service, change::Change};
use crate::{
    domain::{
        event::{EventKind, Subject},
        id::{AccountId, UserId},
    },
    store::deletion::Deletion,
};

/// How many tokens are deleted in the request itself.
const FEW: u32 = 100;
/// How many tokens or events one transaction deletes in the background: so few that it keeps nobody waiting.
const BATCH: u32 = 100;
/// How long the others have for themselves between two batches.
const PAUSE: Duration = Duration::from_millis(5);

impl Service {
    /// Finishes all deletions that there are. A server that stops, or another one that does the same, does no harm.
    pub async fn finish_deletions(&self) -> Result<()> {
        loop {
            let found = self.store.read().await?.some_deletions(1).await?;
            let Some(deletion) = found.into_iter().next() else { return Ok(()) };
            while !self.delete_some(&deletion).await? {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Waits until a deletion has left work.
    pub async fn deletion_begun(&self) {
        self.deletions.notified().await;
    }

    /// Deletes a batch. True if nothing is left.
    async fn delete_some(&self, deletion: &Deletion) -> Result<bool> {
        let mut writer = self.store.write().await?;
        if !writer.lock_deletion(&deletion.id).await? {
            return Ok(true);
        }
        let account = writer.lock_account(deletion.account_id, self.clock.now()).await?;
        let tokens = writer.take_tokens(&deletion.id, BATCH).await?;
        let Some(at) = account else {
            // The account has been deleted, and its log with it.
            let done = tokens.is_empty() && writer.take_contents(&deletion.id, BATCH).await?;
            if done {
                writer.delete_deletion(&deletion.id).await?;
            }
            writer.commit().await?;
            return Ok(done);
        };
        let done = tokens.is_empty();
        let mut change =
            Change::continued(self.clone(), writer, at, deletion.deleted_by, Arc::new(deletion.context.clone()));
        change
            .record_all(
                deletion.account_id,
                EventKind::Deleted,
                tokens.into_iter().map(|id| Subject::Token(id, deletion.user_id)),
            )
            .await?;
        if done {
            change.writer.delete_deletion(&deletion.id).await?;
        }
        change.commit().await?;
        Ok(done)
    }
}

impl Change {
    /// Deletes the tokens of a user that is being deleted.
    pub async fn delete_tokens_of(&mut self, user: UserId, account: AccountId) -> Result<()> {
        self.delete_detached(user.to_string(), user, account).await
    }

    /// Deletes the tokens of a user whose secrets some others may know.
    pub async fn delete_tokens_known_by(
        &mut self,
        knowers: Vec<UserId>,
        user: UserId,
        account: AccountId,
    ) -> Result<()> {
        if knowers.is_empty() {
            return Ok(());
        }
        let deletion = UserId::random(self.service().entropy())?.to_string();
        for knower in knowers {
            self.writer.detach_tokens_known_by(knower, user, &deletion).await?;
        }
        self.delete_detached(deletion, user, account).await
    }

    /// Deletes an account, and leaves all that it contains to the background.
    pub async fn delete_account(&mut self, account: AccountId) -> Result<()> {
        self.writer.delete_account(account).await?;
        self.leave(account.to_string(), self.by, account).await
    }

    /// Few tokens go at once, with their events.
    async fn delete_detached(&mut self, deletion: String, user: UserId, account: AccountId) -> Result<()> {
        if self.writer.count_tokens(&deletion, i64::from(FEW) + 1).await? > i64::from(FEW) {
            return self.leave(deletion, user, account).await;
        }
        let tokens = self.writer.take_tokens(&deletion, FEW).await?;
        self.record_all(account, EventKind::Deleted, tokens.into_iter().map(|id| Subject::Token(id, user))).await
    }

    async fn leave(&mut self, id: String, user_id: UserId, account_id: AccountId) -> Result<()> {
        self.leaves_work = true;
        let context = self.context().clone();
        Ok(self.writer.insert_deletion(&Deletion { id, user_id, account_id, deleted_by: self.by, context }).await?)
    }
}
