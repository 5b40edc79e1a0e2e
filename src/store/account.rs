//! The table of accounts and its queries.

use std::collections::BTreeSet;

use super::{
    Conn, StoreError, Writer,
    collection::{Scope, list},
    lister::Lister,
    on,
    table::table,
};
use crate::domain::{
    account::Account,
    clock::Timestamp,
    collection::{Page, Selection, Take},
    id::{AccountId, UserId},
};

table! {
    "accounts" holds account: Account;
    mut name: Text as "name",
    _: Constant("active") as "state",
    mut is_enabled: Flag as "isEnabled",
    mut enabled_at: OptionalInstant as "enabledTimestamp",
    mut contact: Object as "accountContact",
    const changed_at = account.metadata.created_at,
    metadata,
}

/// The accounts that the user may access: those where it has a role with a scope. Only owners may access a disabled
/// account.
fn scope(user: UserId) -> Scope {
    Scope {
        columns: columns!(),
        table: "accounts",
        within: &["id IN (SELECT b.account_id FROM role_bindings b JOIN accounts a ON a.id = b.account_id \
             WHERE b.user_id = $1 AND b.role_constraints <> '[]' AND NOT a.is_deleted AND (a.is_enabled OR b.role = \
             'owner'))"],
        keys: vec![user.to_string()],
    }
}

impl Conn {
    /// True once the database has been bootstrapped.
    pub async fn has_account(&mut self) -> Result<bool, StoreError> {
        const ANY: &str = "SELECT EXISTS (SELECT 1 FROM accounts WHERE NOT is_deleted)";
        Ok(on!(self, c => sqlx::query_scalar(ANY).fetch_one(c).await)?)
    }

    /// The account, unless it is deleted.
    pub async fn find_account(&mut self, account: AccountId) -> Result<Option<Account>, StoreError> {
        const FIND: &str = concat!("SELECT ", columns!(), " FROM accounts WHERE id = $1 AND NOT is_deleted");
        Ok(on!(self, c => sqlx::query_as(FIND).bind(account).fetch_optional(c).await)?)
    }

    /// The accounts that a user belongs to: its home account, and those where it has a role.
    pub async fn accounts_of(&mut self, user: UserId) -> Result<BTreeSet<AccountId>, StoreError> {
        const FIND: &str =
            "SELECT account_id FROM users WHERE id = $1 UNION SELECT account_id FROM role_bindings WHERE user_id = $1";
        let found: Vec<AccountId> = on!(self, c => sqlx::query_scalar(FIND).bind(user).fetch_all(c).await)?;
        Ok(found.into_iter().collect())
    }

    /// The other accounts in which users whose home account is `home` have roles.
    pub async fn accounts_of_residents(&mut self, home: AccountId) -> Result<BTreeSet<AccountId>, StoreError> {
        const FIND: &str = "SELECT DISTINCT b.account_id FROM role_bindings b JOIN users u ON u.id = b.user_id \
             WHERE u.account_id = $1 AND b.account_id <> $1";
        let found: Vec<AccountId> = on!(self, c => sqlx::query_scalar(FIND).bind(home).fetch_all(c).await)?;
        Ok(found.into_iter().collect())
    }
}

impl Lister {
    /// A page of the accounts that the user may access.
    ///
    /// # Errors
    /// [`StoreError::TooDear`], or when the store fails.
    pub async fn list_accounts(
        &mut self,
        user: UserId,
        selection: &Selection,
        take: Take<'_, Account>,
    ) -> Result<Page, StoreError> {
        list(self, &scope(user), selection, take).await
    }
}

impl Writer {
    /// Inserts an account.
    pub async fn insert_account(&mut self, account: &Account) -> Result<(), StoreError> {
        insert(self, account).await
    }

    /// Updates an account.
    pub async fn update_account(&mut self, account: &Account) -> Result<(), StoreError> {
        update(self, account).await
    }

    /// Marks an account as deleted: from the commit on, its users and its role bindings no longer count. Its contents
    /// are deleted by other statements.
    pub async fn delete_account(&mut self, account: AccountId) -> Result<(), StoreError> {
        const DELETE: &str = "UPDATE accounts SET is_deleted = TRUE WHERE id = $1";
        on!(self, c => sqlx::query(DELETE).bind(account).execute(c).await.map(drop))?;
        Ok(())
    }

    /// Locks the account until the transaction ends, and returns the transaction's time: `now`, or 1 µs after the
    /// account's last change if the clock is behind that. `None` if there is no such account.
    pub async fn lock_account(&mut self, account: AccountId, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        const LOCK: &str = "UPDATE accounts SET changed_at = CASE WHEN changed_at < $2 THEN $2 ELSE changed_at + 1 END \
             WHERE id = $1 AND NOT is_deleted RETURNING changed_at";
        Ok(on!(self, c => sqlx::query_scalar(LOCK).bind(account).bind(now).fetch_optional(c).await)?)
    }
}
