//! Quotas: the maximum number of tokens of a user and of users of an account. They keep one user or account from
//! filling the database. They don't apply to operators.
//!
//! Counting at each creation would become slower with each row. The store instead keeps a number that is incremented at
//! each creation but not decremented at a deletion: an upper bound. Rows are counted only if the upper bound exceeds
//! the quota or is unknown.

use super::{Error, Result, change::Change};
use crate::domain::id::{AccountId, UserId};

/// The quotas; 0 means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas {
    /// The maximum number of tokens of a user.
    pub tokens_per_user: u32,
    /// The maximum number of users that were created in an account.
    pub users_per_account: u32,
}

impl Default for Quotas {
    fn default() -> Self {
        Self { tokens_per_user: 10_000, users_per_account: 100_000 }
    }
}

impl Change {
    /// Checks the user's quota of tokens, after this change has created one. `at_most` is the upper bound of their
    /// number. Until this change ends, no other change can create one for the user.
    ///
    /// # Errors
    /// [`Error::QuotaReached`].
    pub async fn may_have_tokens(&mut self, user: UserId, at_most: Option<i64>) -> Result<()> {
        let quota = self.quotas().tokens_per_user;
        if is_within(at_most, quota) {
            return Ok(());
        }
        let counted = self.writer.count_tokens(&user.to_string(), i64::from(quota) + 1).await?;
        if !is_within(Some(counted), quota) {
            return Err(refusal("user", "tokens", quota, "revoke some"));
        }
        Ok(self.writer.note_tokens_at_most(user, counted).await?)
    }

    /// Checks the account's quota of users, after this change has created one. `at_most` is the upper bound of their
    /// number. Until this change ends, no other change can create one in the account.
    ///
    /// # Errors
    /// [`Error::QuotaReached`].
    pub async fn may_have_users(&mut self, account: AccountId, at_most: Option<i64>) -> Result<()> {
        let quota = self.quotas().users_per_account;
        if is_within(at_most, quota) {
            return Ok(());
        }
        let counted = self.writer.count_users(account, i64::from(quota) + 1).await?;
        if !is_within(Some(counted), quota) {
            return Err(refusal("account", "users", quota, "delete some"));
        }
        Ok(self.writer.note_users_at_most(account, counted).await?)
    }
}

/// Whether the upper bound shows that the quota is kept, without counting.
fn is_within(at_most: Option<i64>, quota: u32) -> bool {
    quota == 0 || at_most.is_some_and(|at_most| at_most <= i64::from(quota))
}

fn refusal(holder: &str, things: &str, most: u32, remedy: &str) -> Error {
    Error::QuotaReached(format!("The {holder} has {most} {things}, the most that this server allows: {remedy} first."))
}
