//! Users.

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
    // Written as the user acts, and by nothing else.
    const last_act_at: OptionalInstant as "lastActTimestamp",
    metadata,
}

/// A user as an account sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// The user.
    pub id: UserId,
    /// The account that it was created in.
    pub home: AccountId,
    /// Its role in the account that looks, if it has any.
    pub role: Option<Role>,
}

rows!(Member { id, home, role });

/// The users of an account: those who are at home in it, and guests who have a role in it.
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
    /// The user, if it is in the account: created there or bound there.
    pub async fn find_member(&mut self, account: AccountId, user: UserId) -> Result<Option<Member>, StoreError> {
        const FIND: &str = "SELECT u.id, u.account_id AS home, b.role FROM users u \
             LEFT JOIN role_bindings b ON b.user_id = u.id AND b.account_id = $1 \
             WHERE u.id = $2 AND (u.account_id = $1 OR b.id IS NOT NULL)";
        Ok(on!(self, c => sqlx::query_as(FIND).bind(account).bind(user).fetch_optional(c).await)?)
    }

    /// The user, whichever accounts it is in.
    pub async fn find_user(&mut self, user: UserId) -> Result<Option<User>, StoreError> {
        const FIND: &str = concat!("SELECT ", columns!(), " FROM users WHERE id = $1");
        Ok(on!(self, c => sqlx::query_as(FIND).bind(user).fetch_optional(c).await)?)
    }

    /// How many users were created in the account; counted up to `most`.
    pub async fn count_users(&mut self, account: AccountId, most: i64) -> Result<i64, StoreError> {
        const COUNT: &str = "SELECT count(*) FROM (SELECT 1 FROM users WHERE account_id = $1 LIMIT $2) AS counted";
        Ok(on!(self, c => sqlx::query_scalar(COUNT).bind(account).bind(most).fetch_one(c).await)?)
    }

    /// Whether somebody else in the account has that email, however it is spelled.
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

    /// The users of that email, in whichever account, however it is spelled.
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
    /// Some of the account's users.
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
    /// Keeps a new user. Returns how many its account has now at most, as far as that is known.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when its email is taken in its account; or when the store fails.
    pub async fn insert_user(&mut self, user: &User) -> Result<Option<i64>, StoreError> {
        const COUNT: &str =
            "UPDATE accounts SET users_at_most = users_at_most + 1 WHERE id = $1 RETURNING users_at_most";
        insert(self, user).await?;
        Ok(on!(self, c => sqlx::query_scalar(COUNT).bind(user.account_id).fetch_one(c).await)?)
    }

    /// Notes that no more users than that were created in the account.
    pub async fn note_users_at_most(&mut self, account: AccountId, most: i64) -> Result<(), StoreError> {
        const NOTE: &str = "UPDATE accounts SET users_at_most = $2 WHERE id = $1";
        on!(self, c => sqlx::query(NOTE).bind(account).bind(most).execute(c).await.map(drop))?;
        Ok(())
    }

    /// Keeps the new state of a user, but for when it last authenticated.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when its email is taken in its account; or when the store fails.
    pub async fn update_user(&mut self, user: &User) -> Result<(), StoreError> {
        update(self, user).await
    }

    /// Forgets a user and its role bindings. Its tokens are nobody's from the commit on, and deleted by another
    /// statement.
    pub async fn delete_user(&mut self, user: UserId) -> Result<(), StoreError> {
        const DELETE: &str = "DELETE FROM users WHERE id = $1";
        self.next_is_bulk();
        on!(self, c => sqlx::query(DELETE).bind(user).execute(c).await.map(drop))?;
        Ok(())
    }

    /// Notes when a user has authenticated, unless that was noted less than that many microseconds from then. What was
    /// noted later, before the clock went back, counts as long ago.
    pub async fn note_act(&mut self, user: UserId, at: Timestamp, every: i64) -> Result<(), StoreError> {
        const NOTE: &str = "UPDATE users SET last_act_at = $2 \
             WHERE id = $1 AND (last_act_at IS NULL OR last_act_at <= $2 - $3 OR last_act_at >= $2 + $3)";
        on!(self, c => sqlx::query(NOTE).bind(user).bind(at).bind(every).execute(c).await.map(drop))?;
        Ok(())
    }
}
