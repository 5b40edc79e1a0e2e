//! The operations on tokens (spec/contract/CONTRACT.md §7 and §9).

use poem_openapi::{OpenApi, param::Path};

use crate::{
    api::{
        request::{body::Body, collection::CollectionQuery, credentials::Bearer, responder::Responder},
        resources::token::{IssuedToken, NewToken, Token, TokenChange},
        wire::{
            answer::{Answer, Created, Deleted, Modified, Retrieved},
            page::Listed,
            problem::Problem,
            scalar::ShownSecret,
            tag::Tag,
        },
    },
    domain::id::{AccountId, TokenId, UserId},
};

/// The token operations.
pub(in crate::api) struct Tokens;

#[OpenApi(tag = "Tag::Tokens")]
impl Tokens {
    /// Retrieve a token
    ///
    /// Returns a token without its secret. With `If-None-Match` or `If-Modified-Since`, the response is 304 if the
    /// client already has the current version.
    #[oai(
        path = "/accounts/:account_id/core/v1/users/:user_id/tokens/:token_id",
        method = "get",
        operation_id = "retrieve_token"
    )]
    async fn retrieve_token(
        &self,
        caller: Bearer,
        /// The account's id.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        /// The user that the token belongs to.
        user_id: Path<UserId>,
        /// The token's id.
        token_id: Path<TokenId>,
        responder: Responder,
    ) -> Result<Answer<Retrieved<Token>>, Problem> {
        let token = caller.service.retrieve_token(&caller, user_id.0, token_id.0).await?;
        responder.retrieved(token)
    }

    /// List tokens
    ///
    /// Returns the tokens of a user, one page at a time, oldest first unless `orderBy` is given.
    #[oai(path = "/accounts/:account_id/core/v1/users/:user_id/tokens", method = "get", operation_id = "list_tokens")]
    async fn list_tokens(
        &self,
        caller: Bearer,
        /// The account's id.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        /// The user whose tokens are listed.
        user_id: Path<UserId>,
        query: CollectionQuery,
    ) -> Result<Answer<Listed<Token>>, Problem> {
        let (asked, mut items) = query.read::<Token>()?;
        let page =
            caller.service.list_tokens(&caller, user_id.0, &asked.selection, &mut |item| items.take(item)).await?;
        Ok(asked.answer(items, page)?)
    }

    /// Issue a token
    ///
    /// Issues a token for a user, and returns it with its secret. The secret is shown only in this response.
    #[oai(path = "/accounts/:account_id/core/v1/users/:user_id/tokens", method = "post", operation_id = "create_token")]
    async fn create_token(
        &self,
        caller: Bearer,
        /// The account's id.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        /// The user that the token is issued for.
        user_id: Path<UserId>,
        responder: Responder,
        body: Body<NewToken>,
    ) -> Result<Answer<Created<Token, IssuedToken>>, Problem> {
        let permit = caller.service.may_create_token(&caller, user_id.0).await?;
        let new = responder.read(body).await?.try_into()?;
        let (token, secret) = caller.service.create_token(permit, new).await?;
        responder.created_with(token, |token| IssuedToken { token, secret: ShownSecret(secret) })
    }

    /// Modify a token
    ///
    /// Changes the name or the labels of a token. Fields that are left out stay unchanged. With `If-Match`, only one of
    /// several clients that have read the same version succeeds.
    #[oai(
        path = "/accounts/:account_id/core/v1/users/:user_id/tokens/:token_id",
        method = "put",
        operation_id = "modify_token"
    )]
    async fn modify_token(
        &self,
        caller: Bearer,
        /// The account's id.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        /// The user that the token belongs to.
        user_id: Path<UserId>,
        /// The token's id.
        token_id: Path<TokenId>,
        responder: Responder,
        body: Body<TokenChange>,
    ) -> Result<Answer<Modified>, Problem> {
        let permit = caller.service.may_change_token(&caller, user_id.0, token_id.0).await?;
        let (conditions, change) = responder.read_change(body).await?;
        let token = caller.service.modify_token(permit, change.try_into()?, &conditions).await?;
        responder.modified(token)
    }

    /// Revoke a token
    ///
    /// Deletes a token. From the moment of the response, its secret is refused everywhere and permanently.
    #[oai(
        path = "/accounts/:account_id/core/v1/users/:user_id/tokens/:token_id",
        method = "delete",
        operation_id = "delete_token"
    )]
    async fn delete_token(
        &self,
        caller: Bearer,
        /// The account's id.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        /// The user that the token belongs to.
        user_id: Path<UserId>,
        /// The token's id.
        token_id: Path<TokenId>,
        responder: Responder,
    ) -> Result<Answer<Deleted>, Problem> {
        let permit = caller.service.may_change_token(&caller, user_id.0, token_id.0).await?;
        caller.service.delete_token(permit, &responder.conditions()?).await?;
        Ok(responder.deleted())
    }
}
