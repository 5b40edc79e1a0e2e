//! Accounts.

use super::{Conn, StoreError, Writer, on};
use crate::domain::{account::Account, clock::Timestamp, id::AccountId};

impl Conn {
    /// True once the database has been bootstrapped.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn has_account(&mut self) -> Result<bool, StoreError> {
        const ANY: &str = "SELECT EXISTS (SELECT 1 FROM accounts LIMIT 1)";
        Ok(on!(self, c => sqlx::query_scalar(ANY).fetch_one(c).await)?)
    }
}

impl Writer {
    /// Keeps a new account.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn insert_account(&mut self, account: &Account) -> Result<(), StoreError> {
        const INSERT: &str = "INSERT INTO accounts (id, name, is_enabled, enabled_at, labels, created_at, modified_at, created_by, changed_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $6)";
        let m = &account.metadata;
        on!(self, c => sqlx::query(INSERT).bind(account.id).bind(&account.name).bind(account.is_enabled).bind(account.enabled_at)
            .bind(&m.labels).bind(m.created_at).bind(m.modified_at).bind(m.created_by).execute(c).await.map(drop))?;
        Ok(())
    }

    /// Makes this transaction the only one that changes the account until it ends, and returns its time: that of the clock, or just
    /// after the last change if the clock is behind that. `None` if there is no such account.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn lock_account(&mut self, account: AccountId, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        const LOCK: &str = "UPDATE accounts SET changed_at = CASE WHEN changed_at < $2 THEN $2 ELSE changed_at + 1 END \
             WHERE id = $1 RETURNING changed_at";
        Ok(on!(self, c => sqlx::query_scalar(LOCK).bind(account).bind(now).fetch_optional(c).await)?)
    }
}
