//! Tokens over HTTP (CONTRACT.md §7).

use poem_openapi::{Object, OpenApi, param::Path};
use serde::Serialize;

use super::{
    Tag,
    body::Body,
    caller::Bearer,
    collection::{CollectionQuery, Listed},
    exchange::Exchange,
    metadata::{Metadata, MetadataChange, labels},
    problem::Problem,
    resource::{Answer, Created, Deleted, Modified, Resource, Retrieved, Shown, resource},
    scalar::{Identifier, ShownSecret, constant},
};
use crate::{
    domain::{
        id::{AccountId, TokenId, UserId},
        name::ResourceName,
        token,
    },
    service::{self, error::Faults},
    store::token::FIELDS,
};

constant!(
    /// What a token says it is.
    TokenType = "application/astra-token"
);
constant!(
    /// The version of a token's schema.
    TokenVersion = "1.0"
);

/// An API token, without its secret.
#[derive(Debug, Clone, Serialize, Object)]
pub struct Token {
    /// The media type of the resource.
    pub r#type: TokenType,
    /// The version of the resource's schema.
    pub version: TokenVersion,
    /// The token's id. Not a secret.
    pub id: Identifier,
    /// What the token is called. Need not be unique.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub name: String,
    /// Whose token it is.
    #[serde(rename = "userID")]
    #[oai(rename = "userID")]
    pub user_id: Identifier,
    /// Where the token comes from, and its labels.
    pub metadata: Metadata,
}

/// A token that was just issued, with its secret.
#[derive(Debug, Clone, Serialize, Object)]
pub struct IssuedToken {
    /// The token as it will be answered from now on.
    #[serde(flatten)]
    #[oai(flatten)]
    pub token: Token,
    /// The secret to present as bearer token. Nothing else ever shows it again: store it now.
    #[serde(rename = "token")]
    #[oai(rename = "token")]
    pub secret: ShownSecret,
}

/// A token to be issued.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields)]
pub struct NewToken {
    /// The media type of the resource.
    pub r#type: TokenType,
    /// The version of the resource's schema.
    pub version: TokenVersion,
    /// What to call the token: printable ASCII without `< > " ' ; \` and the backtick, without `..`, `--` and `/*`, and without
    /// spaces at its ends.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub name: String,
    /// The token's labels.
    pub metadata: Option<MetadataChange>,
}

/// What shall change about a token. What is left out stays as it is.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields)]
pub struct TokenChange {
    /// The media type of the resource.
    pub r#type: TokenType,
    /// The version of the resource's schema.
    pub version: TokenVersion,
    /// If given, the id that the token has.
    pub id: Option<Identifier>,
    /// A new name, as for a new token.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub name: Option<String>,
    /// If given, the user whose token it is.
    #[oai(rename = "userID")]
    pub user_id: Option<Identifier>,
    /// New labels, in place of all present ones.
    pub metadata: Option<MetadataChange>,
}

impl From<token::Token> for Token {
    fn from(token: token::Token) -> Self {
        Self {
            r#type: TokenType,
            version: TokenVersion,
            id: token.id.into(),
            name: token.name.to_string(),
            user_id: token.user_id.into(),
            metadata: token.metadata.into(),
        }
    }
}

impl TryFrom<NewToken> for token::NewToken {
    type Error = service::Error;

    fn try_from(new: NewToken) -> service::Result<Self> {
        let mut faults = Faults::default();
        let name = faults.check("name", ResourceName::parse(&new.name));
        let labels = labels(new.metadata, &mut faults).unwrap_or_default();
        faults.or_invalid(name).map(|name| Self { name, labels })
    }
}

impl TryFrom<TokenChange> for token::TokenChange {
    type Error = service::Error;

    fn try_from(change: TokenChange) -> service::Result<Self> {
        let mut faults = Faults::default();
        let name = change.name.and_then(|name| faults.check("name", ResourceName::parse(&name)));
        let labels = labels(change.metadata, &mut faults);
        let change = Self { id: change.id.map(|id| id.0), user_id: change.user_id.map(|id| id.0), name, labels };
        faults.or_invalid(Some(change))
    }
}

resource!(Token, "token", "1.0", FIELDS, NewToken, TokenChange);

impl Shown for IssuedToken {
    type Resource = Token;
}

/// The token operations.
pub(super) struct Tokens;

#[OpenApi(tag = "Tag::Tokens")]
impl Tokens {
    /// Retrieve a token
    ///
    /// Returns a token without its secret. With `If-None-Match` or `If-Modified-Since`, a token that the client has already is answered
    /// with 304.
    #[oai(path = "/accounts/:account_id/core/v1/users/:user_id/tokens/:token_id", method = "get", operation_id = "retrieve_token")]
    async fn retrieve_token(
        &self,
        caller: Bearer,
        /// The account.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        /// Whose token it is.
        user_id: Path<UserId>,
        /// The token.
        token_id: Path<TokenId>,
        exchange: Exchange,
    ) -> Result<Answer<Retrieved<Token>>, Problem> {
        let token = caller.service.retrieve_token(&caller, user_id.0, token_id.0).await?;
        exchange.retrieved(&token.into())
    }

    /// List tokens
    ///
    /// Returns the tokens of a user, oldest first unless `orderBy` says otherwise, a page at a time.
    #[oai(path = "/accounts/:account_id/core/v1/users/:user_id/tokens", method = "get", operation_id = "list_tokens")]
    async fn list_tokens(
        &self,
        caller: Bearer,
        /// The account.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        /// Whose tokens to list.
        user_id: Path<UserId>,
        query: CollectionQuery,
    ) -> Result<Answer<Listed<Token>>, Problem> {
        let (asked, mut items) = query.read::<Token>()?;
        let page = caller.service.list_tokens(&caller, user_id.0, &asked.selection, &mut |item| items.take(item)).await?;
        Ok(asked.answer(items, page)?)
    }

    /// Issue a token
    ///
    /// Makes a token for a user and answers with its secret. It is the only time that the secret is shown.
    #[oai(path = "/accounts/:account_id/core/v1/users/:user_id/tokens", method = "post", operation_id = "create_token")]
    async fn create_token(
        &self,
        caller: Bearer,
        /// The account.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        /// For whom to make the token.
        user_id: Path<UserId>,
        exchange: Exchange,
        body: Body<NewToken>,
    ) -> Result<Answer<Created<IssuedToken>>, Problem> {
        caller.service.may_create_token(&caller, user_id.0).await?;
        let new = exchange.read(body).await?.try_into()?;
        let (token, secret) = caller.service.create_token(&caller, user_id.0, new).await?;
        let token = Token::from(token);
        exchange.created(&token, &IssuedToken { token: token.clone(), secret: ShownSecret(secret) })
    }

    /// Modify a token
    ///
    /// Changes the name or the labels of a token; what is left out stays. With `If-Match`, of several writers who have read the same
    /// version just one wins.
    #[oai(path = "/accounts/:account_id/core/v1/users/:user_id/tokens/:token_id", method = "put", operation_id = "modify_token")]
    async fn modify_token(
        &self,
        caller: Bearer,
        /// The account.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        /// Whose token it is.
        user_id: Path<UserId>,
        /// The token.
        token_id: Path<TokenId>,
        exchange: Exchange,
        body: Body<TokenChange>,
    ) -> Result<Answer<Modified>, Problem> {
        caller.service.may_change_token(&caller, user_id.0, token_id.0).await?;
        let (conditions, change) = exchange.read_change(body).await?;
        let admit = |token: &token::Token| conditions.admit_put(&Token::from(token.clone()).validators()?);
        let token = caller.service.modify_token(&caller, user_id.0, token_id.0, change.try_into()?, admit).await?;
        exchange.modified(&Token::from(token))
    }

    /// Revoke a token
    ///
    /// From the moment of the answer the token's secret is refused, everywhere and for ever.
    #[oai(path = "/accounts/:account_id/core/v1/users/:user_id/tokens/:token_id", method = "delete", operation_id = "delete_token")]
    async fn delete_token(
        &self,
        caller: Bearer,
        /// The account.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        /// Whose token it is.
        user_id: Path<UserId>,
        /// The token.
        token_id: Path<TokenId>,
        exchange: Exchange,
    ) -> Result<Answer<Deleted>, Problem> {
        caller.service.may_change_token(&caller, user_id.0, token_id.0).await?;
        let conditions = exchange.conditions()?;
        let admit = |token: &token::Token| conditions.admit_delete(&Token::from(token.clone()).validators()?);
        caller.service.delete_token(&caller, user_id.0, token_id.0, admit).await?;
        Ok(exchange.deleted())
    }
}
