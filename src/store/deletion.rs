//! Deletions that are finished in the background: of a user's tokens if they are very many, and of all that an account
//! contains. To clients these are gone already.

use super::{Conn, StoreError, Writer, columns::rows, on};
use crate::domain::{
    event::RequestContext,
    id::{AccountId, TokenId, UserId},
};

/// A deletion whose rows are still to be removed in the background.
#[derive(Debug, Clone)]
pub struct Deletion {
    /// The value of `user_id` in the tokens to delete; or the id of the account to delete.
    pub id: String,
    /// The user that the tokens belonged to; or the user who deleted the account.
    pub user_id: UserId,
    /// The account whose log records the deletion of the tokens, if the account still exists.
    pub account_id: AccountId,
    /// The user who deleted them.
    pub deleted_by: UserId,
    /// The request that caused it.
    pub context: RequestContext,
}

rows!(Deletion {
    id,
    user_id,
    account_id,
    deleted_by,
    context: RequestContext { correlation_id, uri, method, status, status_of_refusal }
});

impl Conn {
    /// Up to `most` unfinished deletions, whichever server began them.
    pub async fn some_deletions(&mut self, most: u32) -> Result<Vec<Deletion>, StoreError> {
        const FIND: &str = "SELECT id, user_id, account_id, deleted_by, correlation_id, uri, method, status, \
             NULL AS status_of_refusal FROM deletions \
             ORDER BY id LIMIT $1";
        Ok(on!(self, c => sqlx::query_as(FIND).bind(i64::from(most)).fetch_all(c).await)?)
    }
}

impl Writer {
    /// Inserts a deletion that is finished in the background.
    pub async fn insert_deletion(&mut self, deletion: &Deletion) -> Result<(), StoreError> {
        const INSERT: &str = "INSERT INTO deletions (id, user_id, account_id, deleted_by, correlation_id, uri, method, \
            status) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        let o = &deletion.context;
        on!(self, c => sqlx::query(INSERT).bind(&deletion.id).bind(deletion.user_id).bind(deletion.account_id)
            .bind(deletion.deleted_by)
            .bind(&o.correlation_id).bind(&o.uri).bind(&o.method).bind(&o.status).execute(c).await.map(drop))?;
        Ok(())
    }

    /// Locks a deletion until the transaction ends. False if the deletion is finished.
    pub async fn lock_deletion(&mut self, deletion: &str) -> Result<bool, StoreError> {
        const LOCK: &str = "UPDATE deletions SET id = id WHERE id = $1";
        let locked =
            on!(self, c => sqlx::query(LOCK).bind(deletion).execute(c).await.map(|done| done.rows_affected()))?;
        Ok(locked > 0)
    }

    /// Deletes up to `most` tokens of a deletion, oldest first, and returns their ids.
    pub async fn take_tokens(&mut self, deletion: &str, most: u32) -> Result<Vec<TokenId>, StoreError> {
        const FIND: &str = "SELECT id FROM tokens WHERE user_id = $1 ORDER BY created_at, id LIMIT $2";
        const DELETE: &str = "DELETE FROM tokens WHERE id IN (SELECT id FROM tokens WHERE user_id = $1 ORDER BY \
            created_at, id LIMIT $2)";
        let most = i64::from(most);
        let found: Vec<TokenId> =
            on!(self, c => sqlx::query_scalar(FIND).bind(deletion).bind(most).fetch_all(c).await)?;
        on!(self, c => sqlx::query(DELETE).bind(deletion).bind(most).execute(c).await.map(drop))?;
        Ok(found)
    }

    /// Deletes up to `most` rows of a deleted account's contents, and the account once it is empty. True if nothing is
    /// left.
    pub async fn take_contents(&mut self, account: &str, most: u32) -> Result<bool, StoreError> {
        // In this order: tokens are found by their users, and users by their account. Each statement uses an index, so
        // that a step with nothing left to delete is cheap.
        const STEPS: [&str; 4] = [
            "DELETE FROM tokens WHERE id IN (SELECT id FROM tokens \
             WHERE user_id IN (SELECT id FROM users WHERE account_id = $1 ORDER BY id LIMIT $2) LIMIT $2)",
            "DELETE FROM users WHERE id IN (SELECT id FROM users WHERE account_id = $1 ORDER BY id LIMIT $2)",
            "DELETE FROM role_bindings WHERE id IN (SELECT id FROM role_bindings WHERE account_id = $1 ORDER BY id \
                LIMIT $2)",
            "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE account_id = $1 ORDER BY sequence_count LIMIT \
                $2)",
        ];
        const DELETE: &str = "DELETE FROM accounts WHERE id = $1 AND is_deleted";
        let most = i64::from(most);
        for step in STEPS {
            let taken = on!(self, c => sqlx::query(step).bind(account).bind(most).execute(c)
                .await.map(|done| done.rows_affected()))?;
            if taken > 0 {
                return Ok(false);
            }
        }
        on!(self, c => sqlx::query(DELETE).bind(account).execute(c).await.map(drop))?;
        Ok(true)
    }

    /// Deletes the record of a finished deletion.
    pub async fn delete_deletion(&mut self, deletion: &str) -> Result<(), StoreError> {
        const DELETE: &str = "DELETE FROM deletions WHERE id = $1";
        on!(self, c => sqlx::query(DELETE).bind(deletion).execute(c).await.map(drop))?;
        Ok(())
    }
}
