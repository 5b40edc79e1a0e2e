//! How much a user or an account may hold: bounds that keep one from filling the database for all. Operators are not bound by them.

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
    /// Whether the user may get another token. Until the change ends, nobody else gives it one.
    ///
    /// # Errors
    /// [`Error::QuotaReached`].
    pub async fn has_room_for_token(&mut self, user: UserId) -> Result<()> {
        let most = self.quotas().tokens_per_user;
        let reached = most > 0 && self.writer.count_tokens(&user.to_string(), most).await? >= i64::from(most);
        if reached { Err(refusal("user", "tokens", most, "revoke some")) } else { Ok(()) }
    }

    /// Whether the account may get another user. Until the change ends, nobody else creates one in it.
    ///
    /// # Errors
    /// [`Error::QuotaReached`].
    pub async fn has_room_for_user(&mut self, account: AccountId) -> Result<()> {
        let most = self.quotas().users_per_account;
        let reached = most > 0 && self.writer.has_users(account, most).await?;
        if reached { Err(refusal("account", "users", most, "delete some")) } else { Ok(()) }
    }
}

fn refusal(holder: &str, things: &str, most: u32, remedy: &str) -> Error {
    Error::QuotaReached(format!("The {holder} has {most} {things}, the most that this server allows: {remedy} first."))
}
