//! Queries that find a token and its user by the digest of its secret or by its id; the first is the most frequent
//! query.

use sqlx::{ColumnIndex, Decode, FromRow, Row, Type};

use super::{Conn, StoreError, columns::rows, on};
use crate::domain::{
    credential::{AccountChoice, Credential},
    id::{AccountId, TokenId, UserId},
    role::Role,
    role_binding::RoleConstraints,
    secret::SecretDigest,
};

type Result<T> = std::result::Result<T, StoreError>;

rows!(Credential {
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

/// The token with the requested digest, or else the one with the next greater digest.
#[derive(Debug)]
pub struct Nearest {
    /// The digest of that token's secret.
    pub digest: SecretDigest,
    /// The token and its user. An error in decoding them is kept here, so that it fails only requests for this token,
    /// not those for a digest before it.
    pub credential: Result<Credential>,
}

impl<'r, R: Row> FromRow<'r, R> for Nearest
where
    SecretDigest: Decode<'r, R::Database> + Type<R::Database>,
    Credential: FromRow<'r, R>,
    &'static str: ColumnIndex<R>,
{
    fn from_row(row: &'r R) -> sqlx::Result<Self> {
        Ok(Self { digest: row.try_get("digest")?, credential: Credential::from_row(row).map_err(StoreError::from) })
    }
}

/// A role that a user has in an account.
#[derive(Debug)]
pub struct Grant {
    /// The account.
    pub account_id: AccountId,
    /// The user's role in that account.
    pub role: Role,
    /// Its scopes.
    pub role_constraints: RoleConstraints,
    /// Whether the account is enabled.
    pub account_is_enabled: bool,
}

rows!(Grant { account_id, role, role_constraints, account_is_enabled });

/// SQL that selects the credentials of the tokens in a subquery, with further columns and joins; `$2` is the account,
/// NULL for the user's home account. A token whose user or home account is deleted isn't found.
macro_rules! find {
    ($tokens:literal) => {
        concat!(
            "SELECT t.id AS token_id, t.name AS token_name, t.created_at AS issued_at, t.refused_at, t.digest, \
             t.user_id, u.email, u.state, u.is_enabled, u.account_id AS home, u.last_act_at, \
             CASE WHEN a.id IS NOT NULL THEN b.role END AS role, b.role_constraints, \
             a.is_enabled AS account_is_enabled FROM (",
            $tokens,
            ") t JOIN users u ON u.id = t.user_id JOIN accounts h ON h.id = u.account_id AND NOT h.is_deleted \
             LEFT JOIN role_bindings b ON b.user_id = u.id AND b.account_id = COALESCE($2, u.account_id) \
             LEFT JOIN accounts a ON a.id = b.account_id AND NOT a.is_deleted"
        )
    };
}

/// The value of `$2` in `find!`. The nil account stands for none: nobody has a role in it.
const fn bound(account: AccountChoice) -> Option<AccountId> {
    match account {
        AccountChoice::None => Some(AccountId::nil()),
        AccountChoice::Given(account) => Some(account),
        AccountChoice::Home => None,
    }
}

impl Conn {
    /// The token with that digest, or else the one with the next greater digest: whether the digest is known or not,
    /// the database does the same work and returns a row. The caller has to compare the digests. `None` when there is
    /// no such token, or when its user or home account is deleted.
    pub async fn find_nearest(&mut self, digest: SecretDigest, account: AccountChoice) -> Result<Option<Nearest>> {
        const FIND: &str = find!(
            "SELECT id, name, created_at, refused_at, user_id, digest FROM tokens \
             WHERE digest >= $1 ORDER BY digest LIMIT 1"
        );
        Ok(on!(self, c => sqlx::query_as(FIND).bind(digest).bind(bound(account)).fetch_optional(c).await)?)
    }

    /// The credential of a token.
    pub async fn find_credential(&mut self, token: TokenId, account: AccountChoice) -> Result<Option<Credential>> {
        const FIND: &str = find!("SELECT id, name, created_at, refused_at, user_id, digest FROM tokens WHERE id = $1");
        Ok(on!(self, c => sqlx::query_as(FIND).bind(token).bind(bound(account)).fetch_optional(c).await)?)
    }

    /// The roles of a user in all accounts, oldest first.
    pub async fn grants_of(&mut self, user: UserId) -> Result<Vec<Grant>> {
        const FIND: &str = "SELECT b.account_id, b.role, b.role_constraints, a.is_enabled AS account_is_enabled \
             FROM role_bindings b JOIN accounts a ON a.id = b.account_id AND NOT a.is_deleted \
             WHERE b.user_id = $1 ORDER BY b.created_at, b.id";
        Ok(on!(self, c => sqlx::query_as(FIND).bind(user).fetch_all(c).await)?)
    }
}
