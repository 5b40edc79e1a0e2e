//! Users.

use super::{Conn, StoreError, Writer, columns::rows, on};
use crate::domain::{
    id::{AccountId, UserId},
    role::Role,
    role_binding::RoleConstraints,
    user::User,
};

/// A user as an account sees it.
#[derive(Debug)]
pub struct Member {
    /// The user.
    pub id: UserId,
    /// Its role there, if it has any.
    pub role: Option<Role>,
    /// The scopes of that role.
    pub role_constraints: Option<RoleConstraints>,
}

rows!(Member { id, role, role_constraints });

impl Conn {
    /// The user, if it is in the account: created there or bound there.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_member(&mut self, account: AccountId, user: UserId) -> Result<Option<Member>, StoreError> {
        const FIND: &str = "SELECT u.id, b.role, b.role_constraints FROM users u \
             LEFT JOIN role_bindings b ON b.user_id = u.id AND b.account_id = $1 \
             WHERE u.id = $2 AND (u.account_id = $1 OR b.id IS NOT NULL)";
        Ok(on!(self, c => sqlx::query_as(FIND).bind(account).bind(user).fetch_optional(c).await)?)
    }
}

impl Writer {
    /// Keeps a new user.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when its email is taken in its account; or when the store fails.
    pub async fn insert_user(&mut self, user: &User) -> Result<(), StoreError> {
        const INSERT: &str = "INSERT INTO users (id, account_id, email, email_key, first_name, last_name, state, is_enabled, enabled_at, \
             labels, created_at, modified_at, created_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
        let m = &user.metadata;
        on!(self, c => sqlx::query(INSERT).bind(user.id).bind(user.account_id).bind(&user.email).bind(user.email.key())
            .bind(&user.first_name).bind(&user.last_name).bind(user.state).bind(user.is_enabled).bind(user.enabled_at)
            .bind(&m.labels).bind(m.created_at).bind(m.modified_at).bind(m.created_by).execute(c).await.map(drop))?;
        Ok(())
    }
}
