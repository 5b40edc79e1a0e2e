//! What is gone for everybody and yet to be deleted: very many tokens of a user, the users and events of an account.

use super::{Conn, StoreError, Writer, columns::rows, on};
use crate::domain::{
    event::Occasion,
    id::{AccountId, TokenId, UserId},
};

/// Work that a deletion has left for the background.
#[derive(Debug, Clone)]
pub struct Deletion {
    /// What `user_id` of the tokens says, or `account_id` of the events, that are to be deleted.
    pub id: String,
    /// Whose the tokens were.
    pub user_id: UserId,
    /// In whose log their end is told, while there is one.
    pub account_id: AccountId,
    /// Who deleted them.
    pub deleted_by: UserId,
    /// In which request.
    pub occasion: Occasion,
}

rows!(Deletion { id, user_id, account_id, deleted_by } with occasion);
rows!(Occasion { correlation_id, uri, method });

impl Conn {
    /// Deletions that are not finished, from whichever server.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn some_deletions(&mut self, most: u32) -> Result<Vec<Deletion>, StoreError> {
        const FIND: &str = "SELECT id, user_id, account_id, deleted_by, correlation_id, uri, method FROM deletions \
             ORDER BY id LIMIT $1";
        Ok(on!(self, c => sqlx::query_as(FIND).bind(i64::from(most)).fetch_all(c).await)?)
    }
}

impl Writer {
    /// Keeps a deletion for the background.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn insert_deletion(&mut self, deletion: &Deletion) -> Result<(), StoreError> {
        const INSERT: &str = "INSERT INTO deletions (id, user_id, account_id, deleted_by, correlation_id, uri, method) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let o = &deletion.occasion;
        on!(self, c => sqlx::query(INSERT).bind(&deletion.id).bind(deletion.user_id).bind(deletion.account_id).bind(deletion.deleted_by)
            .bind(&o.correlation_id).bind(&o.uri).bind(&o.method).execute(c).await.map(drop))?;
        Ok(())
    }

    /// Keeps a deletion for each user at home in an account who has tokens: they go with it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn insert_deletions_of_residents(&mut self, home: AccountId, by: UserId, occasion: &Occasion) -> Result<(), StoreError> {
        const INSERT: &str = "INSERT INTO deletions (id, user_id, account_id, deleted_by, correlation_id) \
             SELECT u.id, u.id, u.account_id, $2, $3 FROM users u \
             WHERE u.account_id = $1 AND EXISTS (SELECT 1 FROM tokens t WHERE t.user_id = u.id)";
        on!(self, c => sqlx::query(INSERT).bind(home).bind(by).bind(&occasion.correlation_id).execute(c).await.map(drop))?;
        Ok(())
    }

    /// Deletes some of the tokens that a deletion is about, the oldest first, and returns them.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn take_tokens(&mut self, deletion: &str, most: u32) -> Result<Vec<TokenId>, StoreError> {
        const FIND: &str = "SELECT id FROM tokens WHERE user_id = $1 ORDER BY created_at, id LIMIT $2";
        const DELETE: &str = "DELETE FROM tokens WHERE id IN (SELECT id FROM tokens WHERE user_id = $1 ORDER BY created_at, id LIMIT $2)";
        let most = i64::from(most);
        let found: Vec<TokenId> = on!(self, c => sqlx::query_scalar(FIND).bind(deletion).bind(most).fetch_all(c).await)?;
        on!(self, c => sqlx::query(DELETE).bind(deletion).bind(most).execute(c).await.map(drop))?;
        Ok(found)
    }

    /// Deletes some of the events that a deletion is about. Returns how many.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn take_events(&mut self, deletion: &str, most: u32) -> Result<u64, StoreError> {
        const DELETE: &str =
            "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE account_id = $1 ORDER BY sequence_count LIMIT $2)";
        Ok(on!(self, c => sqlx::query(DELETE).bind(deletion).bind(i64::from(most)).execute(c).await.map(|done| done.rows_affected()))?)
    }

    /// Forgets a deletion that is finished.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete_deletion(&mut self, deletion: &str) -> Result<(), StoreError> {
        const DELETE: &str = "DELETE FROM deletions WHERE id = $1";
        on!(self, c => sqlx::query(DELETE).bind(deletion).execute(c).await.map(drop))?;
        Ok(())
    }
}
