//! Tokens.

use super::{
    Conn, StoreError, Writer,
    collection::{Scope, list},
    columns::rows,
    lister::Lister,
    on,
};
use crate::domain::{
    collection::{Field, Kind, Page, Selection, Take},
    id::{AccountId, TokenId, UserId},
    role::Role,
    secret::SecretDigest,
    token::Token,
};

/// The fields that filters, orders and includes may name.
pub static FIELDS: &[Field] = &[
    Field::new("type", Kind::Constant("application/astra-token")),
    Field::new("version", Kind::Constant("1.0")),
    Field::new("id", Kind::Text("id")),
    Field::new("name", Kind::Text("name")),
    Field::new("userID", Kind::Text("user_id")),
    Field::new("metadata", Kind::Object),
    Field::new("metadata.labels[*].name", Kind::Label("name")),
    Field::new("metadata.labels[*].value", Kind::Label("value")),
    Field::new("metadata.creationTimestamp", Kind::Instant("created_at")),
    Field::new("metadata.modificationTimestamp", Kind::Instant("modified_at")),
    Field::new("metadata.createdBy", Kind::Text("created_by")),
    Field::new("metadata.modifiedBy", Kind::OptionalText("modified_by")),
];

rows!(Token { id, user_id, name } with metadata);

/// The tokens of a user.
pub(super) fn scope(user: UserId) -> Scope {
    Scope {
        columns: "id, user_id, name, labels, created_at, modified_at, created_by, modified_by",
        table: "tokens",
        within: &["user_id = $1"],
        keys: vec![user.to_string()],
    }
}

impl Conn {
    /// The token, if it is that user's.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_token(&mut self, user: UserId, token: TokenId) -> Result<Option<Token>, StoreError> {
        const FIND: &str = "SELECT id, user_id, name, labels, created_at, modified_at, created_by, modified_by FROM tokens \
             WHERE id = $1 AND user_id = $2";
        Ok(on!(self, c => sqlx::query_as(FIND).bind(token).bind(user).fetch_optional(c).await)?)
    }

    /// All tokens of a user, oldest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn tokens_of(&mut self, user: UserId) -> Result<Vec<TokenId>, StoreError> {
        const FIND: &str = "SELECT id FROM tokens WHERE user_id = $1 ORDER BY created_at, id";
        Ok(on!(self, c => sqlx::query_scalar(FIND).bind(user).fetch_all(c).await)?)
    }

    /// Whether the user has at least that many tokens.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn has_tokens(&mut self, user: UserId, many: u32) -> Result<bool, StoreError> {
        const COUNT: &str = "SELECT count(*) FROM (SELECT 1 FROM tokens WHERE user_id = $1 LIMIT $2) AS counted";
        let many = i64::from(many);
        let count: i64 = on!(self, c => sqlx::query_scalar(COUNT).bind(user).bind(many).fetch_one(c).await)?;
        Ok(count >= many)
    }

    /// Who else may know the secret of what is made with that token.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn voucher_of(&mut self, token: TokenId) -> Result<Option<UserId>, StoreError> {
        const FIND: &str = "SELECT vouched_by FROM tokens WHERE id = $1";
        Ok(on!(self, c => sqlx::query_scalar(FIND).bind(token).fetch_optional(c).await)?)
    }

    /// The tokens of a user that somebody else has vouched for, with that one's role in the account, if it has any. Operators count as
    /// nobody.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn tokens_vouched_by_others(&mut self, user: UserId, account: AccountId) -> Result<Vec<(TokenId, Option<Role>)>, StoreError> {
        const FIND: &str = "SELECT t.id, b.role FROM tokens t LEFT JOIN role_bindings b ON b.user_id = t.vouched_by AND b.account_id = $2 \
             AND b.role_constraints <> '[]' WHERE t.user_id = $1 AND t.vouched_by <> $1 AND t.vouched_by <> $3 ORDER BY t.created_at, t.id";
        Ok(on!(self, c => sqlx::query_as(FIND).bind(user).bind(account).bind(UserId::nil()).fetch_all(c).await)?)
    }
}

impl Lister {
    /// Some of the user's tokens.
    ///
    /// # Errors
    /// [`StoreError::TooDear`], or when the store fails.
    pub async fn list_tokens(&mut self, user: UserId, selection: &Selection, take: Take<'_, Token>) -> Result<Page, StoreError> {
        list(self, &scope(user), selection, take).await
    }
}

impl Writer {
    /// Keeps a new token, the digest of its secret, and who vouches for it: the user itself, or whoever else may know the secret.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when the secret is another token's; or when the store fails.
    pub async fn insert_token(&mut self, token: &Token, digest: SecretDigest, vouched_by: UserId) -> Result<(), StoreError> {
        const INSERT: &str = "INSERT INTO tokens (id, user_id, name, digest, labels, created_at, modified_at, created_by, vouched_by) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        let m = &token.metadata;
        on!(self, c => sqlx::query(INSERT).bind(token.id).bind(token.user_id).bind(&token.name).bind(digest)
            .bind(&m.labels).bind(m.created_at).bind(m.modified_at).bind(m.created_by).bind(vouched_by).execute(c).await.map(drop))?;
        Ok(())
    }

    /// Keeps the new state of a token.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn update_token(&mut self, token: &Token) -> Result<(), StoreError> {
        const UPDATE: &str = "UPDATE tokens SET name = $2, labels = $3, modified_at = $4, modified_by = $5 WHERE id = $1";
        let m = &token.metadata;
        on!(self, c => sqlx::query(UPDATE).bind(token.id).bind(&token.name).bind(&m.labels).bind(m.modified_at).bind(m.modified_by)
            .execute(c).await.map(drop))?;
        Ok(())
    }

    /// Forgets a token, and with it the digest: its secret is nobody's from the commit on.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete_token(&mut self, token: TokenId) -> Result<(), StoreError> {
        const DELETE: &str = "DELETE FROM tokens WHERE id = $1";
        on!(self, c => sqlx::query(DELETE).bind(token).execute(c).await.map(drop))?;
        Ok(())
    }
}
