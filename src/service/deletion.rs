//! Deletions of many rows: they take effect at once, and the rows are deleted in batches in the background.
//!
//! One short transaction detaches the tokens from their user, or marks the account as deleted; from then on, no look-up
//! of a secret finds the tokens. Their rows are deleted in batches, each with its events, by whichever server comes
//! first. The store lists the unfinished deletions, so that a crash loses none of them.

use std::{sync::Arc, time::Duration};

use super::{Result, Service, change::Change};
use crate::{
    domain::{
        event::{EventKind, Subject},
        id::{AccountId, UserId},
    },
    store::deletion::Deletion,
};

/// The maximum number of tokens that are deleted in the request itself.
const FEW: u32 = 100;
/// The number of tokens or events that one transaction deletes in the background: small, so that other requests don't
/// wait for it.
const BATCH: u32 = 100;
/// The pause between two batches, in which other writes can proceed.
const PAUSE: Duration = Duration::from_millis(5);

impl Service {
    /// Finishes all unfinished deletions. It may be interrupted at any time, and several servers may run it at once.
    pub async fn finish_deletions(&self) -> Result<()> {
        loop {
            let found = self.store.read().await?.some_deletions(1).await?;
            let Some(deletion) = found.into_iter().next() else { return Ok(()) };
            while !self.delete_some(&deletion).await? {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Waits until a deletion has left work for the background.
    pub async fn deletion_begun(&self) {
        self.deletions.notified().await;
    }

    /// Deletes a batch. Returns true if nothing is left.
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
            Change::in_transaction(self.clone(), writer, at, deletion.deleted_by, Arc::new(deletion.context.clone()));
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

    /// Deletes the tokens of a user whose secrets the `knowers` may know.
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

    /// Marks an account as deleted, and leaves the deletion of its contents to the background.
    pub async fn delete_account(&mut self, account: AccountId) -> Result<()> {
        self.writer.delete_account(account).await?;
        self.leave(account.to_string(), self.by, account).await
    }

    /// Deletes the tokens of a deletion, with their events: a few at once, more in the background.
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
