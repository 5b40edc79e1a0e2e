//! The table of users and its queries.

use super::{
    Conn, StoreError, Writer,
    collection::{Scope, list},
    columns::rows,
    lister::Lister,
    on,
    table::table,
};
use crate::domain::{
    clock::Timestamp,
    collection::{Page, Selection, Take},
    id::{AccountId, UserId},
    name::Email,
    role::Role,
    user::{Profile, User},
};

table! {
    "users" holds user: User with profile: Profile;
    const account_id,
    mut state: Text as "state",
    mut is_enabled: Flag as "isEnabled",
    mut auth_id: Text as "authID",
    const auth_provider: Text as "authProvider",
    mut profile.first_name: Text as "firstName",
    mut profile.last_name: Text as "lastName",
    mut profile.company_name: OptionalText as "companyName",
    mut email: Text as "email",
    mut email_key = user.email.key(),
    mut profile.phone: OptionalText as "phone",
    mut profile.postal_address: Object as "postalAddress",
    _: Constant("false") as "sendWelcomeEmail",
    mut enabled_at: OptionalInstant as "enableTimestamp",
    // Updated only when the user authenticates, by `note_act`.
    const last_act_at: OptionalInstant as "lastActTimestamp",
    metadata,
}

/// A user's membership of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// The user.
    pub id: UserId,
    /// The account that it was created in.
    pub home: AccountId,
    /// Its role in that account, if it has one.
    pub role: Option<Role>,
}

rows!(Member { id, home, role });

/// The users of an account: those who were created in it, and those of other accounts who have a role in it.
pub(super) fn scope(account: AccountId) -> Scope {
    Scope {
        columns: columns!(),
        table: "users",
        within: &[
            "account_id = $1",
            "account_id <> $1 AND id IN (SELECT user_id FROM role_bindings WHERE account_id = $1)",
        ],
        keys: vec![account.to_string()],
    }
}

impl Conn {
    /// The user's membership of the account, if it was created there or has a role there.
    pub async fn find_member(&mut self, account: AccountId, user: UserId) -> Result<Option<Member>, StoreError> {
        const FIND: &str = "SELECT u.id, u.account_id AS home, b.role FROM users u \
             LEFT JOIN role_bindings b ON b.user_id = u.id AND b.account_id = $1 \
             WHERE u.id = $2 AND (u.account_id = $1 OR b.id IS NOT NULL)";
        Ok(on!(self, c => sqlx::query_as(FIND).bind(account).bind(user).fetch_optional(c).await)?)
    }

    /// The user, of any account.
    pub async fn find_user(&mut self, user: UserId) -> Result<Option<User>, StoreError> {
        const FIND: &str = concat!("SELECT ", columns!(), " FROM users WHERE id = $1");
        Ok(on!(self, c => sqlx::query_as(FIND).bind(user).fetch_optional(c).await)?)
    }

    /// How many users were created in the account; counted up to `most`.
    pub async fn count_users(&mut self, account: AccountId, most: i64) -> Result<i64, StoreError> {
        const COUNT: &str = "SELECT count(*) FROM (SELECT 1 FROM users WHERE account_id = $1 LIMIT $2) AS counted";
        Ok(on!(self, c => sqlx::query_scalar(COUNT).bind(account).bind(most).fetch_one(c).await)?)
    }

    /// Whether another user in the account has that email address; equivalent spellings count as the same.
    pub async fn email_is_taken(
        &mut self,
        account: AccountId,
        email: &Email,
        by_other_than: UserId,
    ) -> Result<bool, StoreError> {
        const TAKEN: &str = "SELECT EXISTS (SELECT 1 FROM users u WHERE u.account_id = $1 AND u.email_key = $2 AND \
            u.id <> $3) \
             OR EXISTS (SELECT 1 FROM role_bindings b JOIN users u ON u.id = b.user_id \
                        WHERE b.account_id = $1 AND u.account_id <> $1 AND u.email_key = $2 AND u.id <> $3)";
        Ok(on!(self, c => sqlx::query_scalar(TAKEN).bind(account).bind(email.key()).bind(by_other_than).fetch_one(c)
                .await)?)
    }

    /// The users with that email address in all accounts; equivalent spellings count as the same.
    pub async fn users_by_email(&mut self, email: &Email) -> Result<Vec<User>, StoreError> {
        const FIND: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM users WHERE email_key = $1 AND account_id IN (SELECT id FROM accounts WHERE NOT is_deleted) ORDER \
                BY created_at, id"
        );
        Ok(on!(self, c => sqlx::query_as(FIND).bind(email.key()).fetch_all(c).await)?)
    }

    /// All users, of all accounts, oldest first, for an operator.
    pub async fn all_users(&mut self) -> Result<Vec<User>, StoreError> {
        const FIND: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM users WHERE account_id IN (SELECT id FROM accounts WHERE NOT is_deleted) ORDER BY created_at, id"
        );
        self.next_is_awaited();
        Ok(on!(self, c => sqlx::query_as(FIND).fetch_all(c).await)?)
    }
}

impl Lister {
    /// A page of the account's users.
    ///
    /// # Errors
    /// [`StoreError::TooDear`], or when the store fails.
    pub async fn list_users(
        &mut self,
        account: AccountId,
        selection: &Selection,
        take: Take<'_, User>,
    ) -> Result<Page, StoreError> {
        list(self, &scope(account), selection, take).await
    }
}

impl Writer {
    /// Inserts a user. Returns an upper bound of its account's number of users; `None` if no bound is known.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when its email is taken in its account; or when the store fails.
    pub async fn insert_user(&mut self, user: &User) -> Result<Option<i64>, StoreError> {
        const COUNT: &str =
            "UPDATE accounts SET users_at_most = users_at_most + 1 WHERE id = $1 RETURNING users_at_most";
        insert(self, user).await?;
        Ok(on!(self, c => sqlx::query_scalar(COUNT).bind(user.account_id).fetch_one(c).await)?)
    }

    /// Stores an upper bound of the number of users who were created in the account.
    pub async fn note_users_at_most(&mut self, account: AccountId, most: i64) -> Result<(), StoreError> {
        const NOTE: &str = "UPDATE accounts SET users_at_most = $2 WHERE id = $1";
        on!(self, c => sqlx::query(NOTE).bind(account).bind(most).execute(c).await.map(drop))?;
        Ok(())
    }

    /// Updates a user, except the time when it last authenticated.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when its email is taken in its account; or when the store fails.
    pub async fn update_user(&mut self, user: &User) -> Result<(), StoreError> {
        update(self, user).await
    }

    /// Deletes a user and its role bindings. From the commit on its tokens belong to no user; another statement deletes
    /// them.
    pub async fn delete_user(&mut self, user: UserId) -> Result<(), StoreError> {
        const DELETE: &str = "DELETE FROM users WHERE id = $1";
        self.next_is_bulk();
        on!(self, c => sqlx::query(DELETE).bind(user).execute(c).await.map(drop))?;
        Ok(())
    }

    /// Records when a user authenticated, unless a time less than `every` microseconds before or after `at` is recorded
    /// already. A recorded time further in the future, from before the clock was set back, is overwritten.
    pub async fn note_act(&mut self, user: UserId, at: Timestamp, every: i64) -> Result<(), StoreError> {
        const NOTE: &str = "UPDATE users SET last_act_at = $2 \
             WHERE id = $1 AND (last_act_at IS NULL OR last_act_at <= $2 - $3 OR last_act_at >= $2 + $3)";
        on!(self, c => sqlx::query(NOTE).bind(user).bind(at).bind(every).execute(c).await.map(drop))?;
        Ok(())
    }
}
