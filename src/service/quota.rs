//! How much a user or an account may hold: bounds that keep one from filling the database for all. Operators are not
//! bound by them.
//!
//! To count at each creation would make it the dearer the more there are. The store keeps a number that is raised with
//! each creation instead: what was deleted since is still in it, so only where it is above the quota is there anything
//! to count.

use super::{Error, Result, change::Change};
use crate::domain::id::{AccountId, UserId};

/// The most that there may be; 0 for no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas {
    /// Of tokens, for each user.
    pub tokens_per_user: u32,
    /// Of users, in each account: those that were created in it.
    pub users_per_account: u32,
}

impl Default for Quotas {
    fn default() -> Self {
        Self { tokens_per_user: 10_000, users_per_account: 100_000 }
    }
}

impl Change {
    /// Whether the user may have all its tokens, of which there are now so many at most. Until the change ends, nobody
    /// else gives it one.
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

    /// Whether the account may have all its users, of whom there are now so many at most. Until the change ends, nobody
    /// else creates one in it.
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

/// Whether so many are surely allowed.
fn is_within(at_most: Option<i64>, quota: u32) -> bool {
    quota == 0 || at_most.is_some_and(|at_most| at_most <= i64::from(quota))
}

fn refusal(holder: &str, things: &str, most: u32, remedy: &str) -> Error {
    Error::QuotaReached(format!("The {holder} has {most} {things}, the most that this server allows: {remedy} first."))
}
