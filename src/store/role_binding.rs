//! The table of role bindings and its queries.

use super::{
    Conn, StoreError, Writer,
    collection::{Scope, list},
    lister::Lister,
    on,
    table::table,
};
use crate::domain::{
    collection::{Page, Selection, Take},
    id::{AccountId, RoleBindingId, UserId},
    role_binding::RoleBinding,
};

table! {
    "role_bindings" holds binding: RoleBinding;
    _: Constant("user") as "principalType",
    const user_id: Text as "userID",
    _: Constant("00000000-0000-0000-0000-000000000000") as "groupID",
    const account_id: Text as "accountID",
    mut role: Text as "role",
    mut role_constraints: Object as "roleConstraints",
    metadata,
}

/// The bindings in an account: all of them, or those of a user.
pub(super) fn scope(account: AccountId, user: Option<UserId>) -> Scope {
    let mut keys = vec![account.to_string()];
    keys.extend(user.map(|user| user.to_string()));
    let within: &[&str] = if user.is_some() { &["account_id = $1 AND user_id = $2"] } else { &["account_id = $1"] };
    Scope { columns: columns!(), table: "role_bindings", within, keys }
}

impl Conn {
    /// The binding, if it is in that account.
    pub async fn find_role_binding(
        &mut self,
        account: AccountId,
        id: RoleBindingId,
    ) -> Result<Option<RoleBinding>, StoreError> {
        const FIND: &str = concat!("SELECT ", columns!(), " FROM role_bindings WHERE id = $1 AND account_id = $2");
        Ok(on!(self, c => sqlx::query_as(FIND).bind(id).bind(account).fetch_optional(c).await)?)
    }

    /// All bindings of a user in all accounts, oldest first.
    pub async fn role_bindings_of(&mut self, user: UserId) -> Result<Vec<RoleBinding>, StoreError> {
        const FIND: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM role_bindings WHERE user_id = $1 \
             AND account_id IN (SELECT id FROM accounts WHERE NOT is_deleted) ORDER BY created_at, id"
        );
        Ok(on!(self, c => sqlx::query_as(FIND).bind(user).fetch_all(c).await)?)
    }

    /// The bindings, in other accounts, of the users whose home account is this one.
    pub async fn role_bindings_abroad(&mut self, home: AccountId) -> Result<Vec<RoleBinding>, StoreError> {
        const FIND: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM role_bindings WHERE account_id <> $1 AND user_id IN (SELECT id FROM users WHERE account_id = $1) \
                ORDER BY created_at, id"
        );
        Ok(on!(self, c => sqlx::query_as(FIND).bind(home).fetch_all(c).await)?)
    }

    /// How many owners the account would have without that user, and without the users whose home is that account.
    /// Users who are suspended, disabled or without a scope don't count (spec/contract/CONTRACT.md §9).
    pub async fn count_owners(
        &mut self,
        account: AccountId,
        without: Option<UserId>,
        without_residents_of: Option<AccountId>,
    ) -> Result<i64, StoreError> {
        const COUNT: &str = "SELECT count(*) FROM role_bindings b JOIN users u ON u.id = b.user_id \
             WHERE b.account_id = $1 AND b.role = 'owner' AND b.role_constraints <> '[]' AND u.state = 'active' AND \
             u.is_enabled \
             AND ($2 IS NULL OR u.id <> $2) AND ($3 IS NULL OR u.account_id <> $3)";
        Ok(on!(self, c => sqlx::query_scalar(COUNT).bind(account).bind(without).bind(without_residents_of)
                .fetch_one(c).await)?)
    }

    /// Whether the user owns any account.
    pub async fn owns_an_account(&mut self, user: UserId) -> Result<bool, StoreError> {
        const ANY: &str = "SELECT EXISTS (SELECT 1 FROM role_bindings b JOIN accounts a ON a.id = b.account_id \
             WHERE b.user_id = $1 AND b.role = 'owner' AND b.role_constraints <> '[]' AND NOT a.is_deleted)";
        Ok(on!(self, c => sqlx::query_scalar(ANY).bind(user).fetch_one(c).await)?)
    }
}

impl Lister {
    /// A page of the account's bindings; with `user`, only of that user's.
    ///
    /// # Errors
    /// [`StoreError::TooDear`], or when the store fails.
    pub async fn list_role_bindings(
        &mut self,
        account: AccountId,
        user: Option<UserId>,
        selection: &Selection,
        take: Take<'_, RoleBinding>,
    ) -> Result<Page, StoreError> {
        list(self, &scope(account, user), selection, take).await
    }
}

impl Writer {
    /// Inserts a binding.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when the user has one in the account already; or when the store fails.
    pub async fn insert_role_binding(&mut self, binding: &RoleBinding) -> Result<(), StoreError> {
        insert(self, binding).await
    }

    /// Updates a binding.
    pub async fn update_role_binding(&mut self, binding: &RoleBinding) -> Result<(), StoreError> {
        update(self, binding).await
    }

    /// Deletes the bindings, in other accounts, of the users whose home account is this one.
    pub async fn delete_role_bindings_abroad(&mut self, home: AccountId) -> Result<(), StoreError> {
        const DELETE: &str = "DELETE FROM role_bindings WHERE account_id <> $1 AND user_id IN (SELECT id FROM users \
            WHERE account_id = $1)";
        on!(self, c => sqlx::query(DELETE).bind(home).execute(c).await.map(drop))?;
        Ok(())
    }

    /// Deletes a binding: the user has no role in the account from the commit on.
    pub async fn delete_role_binding(&mut self, id: RoleBindingId) -> Result<(), StoreError> {
        const DELETE: &str = "DELETE FROM role_bindings WHERE id = $1";
        on!(self, c => sqlx::query(DELETE).bind(id).execute(c).await.map(drop))?;
        Ok(())
    }
}
