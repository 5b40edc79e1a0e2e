//! The table of tokens and its queries.

use std::collections::BTreeSet;

use sqlx::{ColumnIndex, Decode, FromRow, Row, Type};

use super::{
    Conn, StoreError, Writer,
    collection::{Scope, list},
    lister::Lister,
    on,
    table::table,
    user::Member,
};
use crate::domain::{
    collection::{Page, Selection, Take},
    id::{AccountId, TokenId, UserId},
    role::Role,
    secret::SecretDigest,
    token::Token,
};

table! {
    "tokens" holds token: Token, given digest: SecretDigest;
    mut name: Text as "name",
    const user_id: Text as "userID",
    const digest = digest,
    metadata,
}

/// The tokens of a user.
pub(super) fn scope(user: UserId) -> Scope {
    Scope { columns: columns!(), table: "tokens", within: &["user_id = $1"], keys: vec![user.to_string()] }
}

/// A user as an account sees it, and one of its tokens.
#[derive(Debug)]
pub struct MemberAndToken {
    /// The user.
    pub member: Member,
    /// The token, if it is that user's.
    pub token: Option<Token>,
}

impl<'r, R: Row> FromRow<'r, R> for MemberAndToken
where
    Token: FromRow<'r, R>,
    UserId: Decode<'r, R::Database> + Type<R::Database>,
    AccountId: Decode<'r, R::Database> + Type<R::Database>,
    Option<Role>: Decode<'r, R::Database> + Type<R::Database>,
    Option<TokenId>: Decode<'r, R::Database> + Type<R::Database>,
    &'static str: ColumnIndex<R>,
{
    fn from_row(row: &'r R) -> sqlx::Result<Self> {
        let (id, home, role) = (row.try_get("member_id")?, row.try_get("home")?, row.try_get("role")?);
        let token = row.try_get::<Option<TokenId>, _>("id")?.map(|_| Token::from_row(row)).transpose()?;
        Ok(Self { member: Member { id, home, role }, token })
    }
}

impl Conn {
    /// The user, if it is in the account, and the token, if it is that user's.
    pub async fn find_member_and_token(
        &mut self,
        account: AccountId,
        user: UserId,
        token: TokenId,
    ) -> Result<Option<MemberAndToken>, StoreError> {
        const FIND: &str = concat!(
            "SELECT m.id AS member_id, m.home, m.role, s.* \
             FROM (SELECT u.id, u.account_id AS home, b.role FROM users u \
             LEFT JOIN role_bindings b ON b.user_id = u.id AND b.account_id = $1 \
             WHERE u.id = $2 AND (u.account_id = $1 OR b.id IS NOT NULL)) m LEFT JOIN (SELECT ",
            columns!(),
            " FROM tokens WHERE id = $3 AND user_id = $2) s ON TRUE"
        );
        Ok(on!(self, c => sqlx::query_as(FIND).bind(account).bind(user).bind(token).fetch_optional(c).await)?)
    }

    /// The token, if it belongs to that user.
    pub async fn find_token(&mut self, user: UserId, token: TokenId) -> Result<Option<Token>, StoreError> {
        const FIND: &str = concat!("SELECT ", columns!(), " FROM tokens WHERE id = $1 AND user_id = $2");
        Ok(on!(self, c => sqlx::query_as(FIND).bind(token).bind(user).fetch_optional(c).await)?)
    }

    /// How many tokens a user has, or a deletion: tokens that are still to be deleted have its id in place of their
    /// user's. Counted up to `most`.
    pub async fn count_tokens(&mut self, holder: &str, most: i64) -> Result<i64, StoreError> {
        const COUNT: &str = "SELECT count(*) FROM (SELECT 1 FROM tokens WHERE user_id = $1 LIMIT $2) AS counted";
        Ok(on!(self, c => sqlx::query_scalar(COUNT).bind(holder).bind(most).fetch_one(c).await)?)
    }

    /// All tokens of a user, oldest first, for an operator.
    pub async fn tokens_of(&mut self, user: UserId) -> Result<Vec<Token>, StoreError> {
        const FIND: &str = concat!("SELECT ", columns!(), " FROM tokens WHERE user_id = $1 ORDER BY created_at, id");
        self.next_is_awaited();
        Ok(on!(self, c => sqlx::query_as(FIND).bind(user).fetch_all(c).await)?)
    }

    /// The users other than the token's own who may know its secret.
    pub async fn knowers_of(&mut self, token: TokenId) -> Result<BTreeSet<UserId>, StoreError> {
        const FIND: &str = "SELECT user_id FROM token_knowers WHERE token_id = $1";
        let found: Vec<UserId> = on!(self, c => sqlx::query_scalar(FIND).bind(token).fetch_all(c).await)?;
        Ok(found.into_iter().collect())
    }

    /// The other users who may know the secret of any of that user's tokens, each with its role in the account; `None`
    /// without a role or a scope there, and for deleted users.
    pub async fn knowers_of_tokens_of(
        &mut self,
        user: UserId,
        account: AccountId,
    ) -> Result<Vec<(UserId, Option<Role>)>, StoreError> {
        const FIND: &str = "SELECT DISTINCT k.user_id, b.role FROM tokens t JOIN token_knowers k ON k.token_id = t.id \
             LEFT JOIN role_bindings b ON b.user_id = k.user_id AND b.account_id = $2 AND b.role_constraints <> '[]' \
             WHERE t.user_id = $1 AND k.user_id <> $1 ORDER BY k.user_id";
        Ok(on!(self, c => sqlx::query_as(FIND).bind(user).bind(account).fetch_all(c).await)?)
    }
}

impl Lister {
    /// A page of the user's tokens.
    ///
    /// # Errors
    /// [`StoreError::TooDear`], or when the store fails.
    pub async fn list_tokens(
        &mut self,
        user: UserId,
        selection: &Selection,
        take: Take<'_, Token>,
    ) -> Result<Page, StoreError> {
        list(self, &scope(user), selection, take).await
    }
}

impl Writer {
    /// Inserts a token, the digest of its secret, and the other users who may know the secret. Returns the user's home
    /// account, and an upper bound of the user's number of tokens; `None` if no bound is known.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when another token has the same secret; when there is no such user; or when the store
    /// fails.
    pub async fn insert_token(
        &mut self,
        token: &Token,
        digest: SecretDigest,
        knowers: &BTreeSet<UserId>,
    ) -> Result<(AccountId, Option<i64>), StoreError> {
        // There is no foreign key to the user, so this statement checks that the user exists.
        const COUNT: &str =
            "UPDATE users SET tokens_at_most = tokens_at_most + 1 WHERE id = $1 RETURNING account_id, tokens_at_most";
        const KNOWER: &str = "INSERT INTO token_knowers (token_id, user_id) VALUES ($1, $2)";
        let user = on!(self, c => sqlx::query_as(COUNT).bind(token.user_id).fetch_one(c).await)?;
        insert(self, token, digest).await?;
        for knower in knowers {
            on!(self, c => sqlx::query(KNOWER).bind(token.id).bind(knower).execute(c).await.map(drop))?;
        }
        Ok(user)
    }

    /// Stores an upper bound of the user's number of tokens.
    pub async fn note_tokens_at_most(&mut self, user: UserId, most: i64) -> Result<(), StoreError> {
        const NOTE: &str = "UPDATE users SET tokens_at_most = $2 WHERE id = $1";
        on!(self, c => sqlx::query(NOTE).bind(user).bind(most).execute(c).await.map(drop))?;
        Ok(())
    }

    /// Moves those of the user's tokens whose secrets `knower` may know to a deletion. Returns how many. From the
    /// commit on they belong to no user.
    pub async fn detach_tokens_known_by(
        &mut self,
        knower: UserId,
        user: UserId,
        deletion: &str,
    ) -> Result<u64, StoreError> {
        const DETACH: &str = "UPDATE tokens SET user_id = $3 WHERE user_id = $2 AND id IN (SELECT token_id FROM \
            token_knowers WHERE user_id = $1)";
        Ok(on!(self, c => sqlx::query(DETACH).bind(knower).bind(user).bind(deletion).execute(c)
                .await.map(|done| done.rows_affected()))?)
    }

    /// Deletes the token with that digest, if its user or home account is deleted.
    pub async fn forget_orphan(&mut self, digest: SecretDigest) -> Result<(), StoreError> {
        const DELETE: &str = "DELETE FROM tokens WHERE digest = $1 AND NOT EXISTS (SELECT 1 FROM users u \
             JOIN accounts a ON a.id = u.account_id WHERE u.id = tokens.user_id AND NOT a.is_deleted)";
        on!(self, c => sqlx::query(DELETE).bind(digest).execute(c).await.map(drop))?;
        Ok(())
    }

    /// Updates a token.
    pub async fn update_token(&mut self, token: &Token) -> Result<(), StoreError> {
        update(self, token).await
    }

    /// Deletes a token, and with it the digest: its secret is invalid from the commit on.
    pub async fn delete_token(&mut self, token: TokenId) -> Result<(), StoreError> {
        const DELETE: &str = "DELETE FROM tokens WHERE id = $1";
        on!(self, c => sqlx::query(DELETE).bind(token).execute(c).await.map(drop))?;
        Ok(())
    }
}
