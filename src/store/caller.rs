//! Whose secret is this? The hottest query.

use super::{Conn, StoreError, columns::rows, on};
use crate::domain::{
    clock::Timestamp,
    id::{AccountId, TokenId, UserId},
    name::{Email, ResourceName},
    role::Role,
    role_binding::RoleConstraints,
    secret::SecretDigest,
    user::UserState,
};

/// A token's holder, and what it is in one account.
#[derive(Debug)]
pub struct Holder {
    /// The token.
    pub token_id: TokenId,
    /// What it is called.
    pub token_name: ResourceName,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// Whose token it is.
    pub user_id: UserId,
    /// How that user is reached.
    pub email: Email,
    /// Whether that user takes part.
    pub state: UserState,
    /// Whether that user is switched on.
    pub is_enabled: bool,
    /// When the token was last turned away with an event to tell of it.
    pub refused_at: Option<Timestamp>,
    /// The account that the user was created in.
    pub home: AccountId,
    /// When it last authenticated.
    pub last_act_at: Option<Timestamp>,
    /// Its role in the account, if it has any.
    pub role: Option<Role>,
    /// The scopes of that role.
    pub role_constraints: Option<RoleConstraints>,
    /// Whether the account is switched on, if the user has a role in it.
    pub account_is_enabled: Option<bool>,
}

rows!(Holder {
    token_id,
    token_name,
    issued_at,
    refused_at,
    user_id,
    email,
    state,
    is_enabled,
    home,
    last_act_at,
    role,
    role_constraints,
    account_is_enabled,
});

/// A role that a user has in an account.
#[derive(Debug)]
pub struct Grant {
    /// The account.
    pub account_id: AccountId,
    /// The role there.
    pub role: Role,
    /// Its scopes.
    pub role_constraints: RoleConstraints,
    /// Whether the account is switched on.
    pub account_is_enabled: bool,
}

rows!(Grant { account_id, role, role_constraints, account_is_enabled });

/// Of the tokens, the one of the digest, or else the one whose digest comes next: what is known and what isn't costs the same work, until it
/// is compared in `usable!`, last.
macro_rules! nearest {
    () => {
        "(SELECT id, name, created_at, refused_at, user_id, digest FROM tokens WHERE digest >= $1 ORDER BY digest LIMIT 1)"
    };
}

/// One comparison, so that no database does a part of it earlier.
macro_rules! usable {
    () => {
        "CASE WHEN u.state = 'active' AND u.is_enabled THEN t.digest = $1 ELSE FALSE END"
    };
}

macro_rules! holder {
    (in $account:literal where $($condition:tt)+) => {
        holder!("tokens", $account, $($condition)+)
    };
    (of the usable in $account:literal) => {
        holder!(nearest!(), $account, usable!())
    };
    ($tokens:expr, $account:literal, $condition:expr) => {
        concat!(
            "SELECT t.id AS token_id, t.name AS token_name, t.created_at AS issued_at, t.refused_at, t.user_id, u.email, u.state, \
             u.is_enabled, u.account_id AS home, u.last_act_at, \
             CASE WHEN a.id IS NOT NULL THEN b.role END AS role, b.role_constraints, a.is_enabled AS account_is_enabled FROM ",
            $tokens,
            " t JOIN users u ON u.id = t.user_id JOIN accounts h ON h.id = u.account_id AND NOT h.is_deleted \
             LEFT JOIN role_bindings b ON b.user_id = u.id AND b.account_id = ",
            $account,
            " LEFT JOIN accounts a ON a.id = b.account_id AND NOT a.is_deleted WHERE ",
            $condition
        )
    };
}

impl Conn {
    /// The holder of a secret, as the account sees it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_holder(&mut self, digest: SecretDigest, account: Option<AccountId>) -> Result<Option<Holder>, StoreError> {
        const FIND: &str = holder!(in "$2" where "t.digest = $1");
        Ok(on!(self, c => sqlx::query_as(FIND).bind(digest).bind(account).fetch_optional(c).await)?)
    }

    /// The holder of a secret that may be used now, as the account sees it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_usable_holder(&mut self, digest: SecretDigest, account: Option<AccountId>) -> Result<Option<Holder>, StoreError> {
        const FIND: &str = holder!(of the usable in "$2");
        Ok(on!(self, c => sqlx::query_as(FIND).bind(digest).bind(account).fetch_optional(c).await)?)
    }

    /// The holder of a secret that may be used now, as its home account sees it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_usable_holder_at_home(&mut self, digest: SecretDigest) -> Result<Option<Holder>, StoreError> {
        const FIND: &str = holder!(of the usable in "u.account_id");
        Ok(on!(self, c => sqlx::query_as(FIND).bind(digest).fetch_optional(c).await)?)
    }

    /// The holder of a token that was found by its secret before, as the account sees it now.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_holder_again(&mut self, token: TokenId, account: Option<AccountId>) -> Result<Option<Holder>, StoreError> {
        const FIND: &str = holder!(in "$2" where "t.id = $1");
        Ok(on!(self, c => sqlx::query_as(FIND).bind(token).bind(account).fetch_optional(c).await)?)
    }

    /// The roles of a user, in whichever accounts, the oldest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn grants_of(&mut self, user: UserId) -> Result<Vec<Grant>, StoreError> {
        const FIND: &str = "SELECT b.account_id, b.role, b.role_constraints, a.is_enabled AS account_is_enabled \
             FROM role_bindings b JOIN accounts a ON a.id = b.account_id AND NOT a.is_deleted WHERE b.user_id = $1 ORDER BY b.created_at, b.id";
        Ok(on!(self, c => sqlx::query_as(FIND).bind(user).fetch_all(c).await)?)
    }
}
