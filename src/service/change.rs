//! A change in an account: one transaction, alone in that account, by a caller who may still make it.

use super::{Error, Result, Service, caller::Caller};
use crate::{domain::clock::Timestamp, store::Writer};

/// A change under way. Dropped without `commit`, it never happened.
pub(super) struct Change {
    pub writer: Writer,
    /// The caller, asked again after the account was locked.
    pub caller: Caller,
    /// When the change happens: later than every earlier change in the account.
    pub at: Timestamp,
}

impl Service {
    /// Begins a change. Whoever was revoked or lost the account while the request was on its way is refused here.
    pub(super) async fn change(&self, caller: &Caller) -> Result<Change> {
        let mut writer = self.store.write().await?;
        let at = writer.lock_account(caller.account_id, self.clock.now()).await?.ok_or(Error::Forbidden)?;
        let caller = caller.again(&mut writer).await?;
        Ok(Change { writer, caller, at })
    }
}

impl Change {
    /// Makes the change last.
    pub async fn commit(self) -> Result<()> {
        Ok(self.writer.commit().await?)
    }
}
