//! The operations on users (spec/contract/CONTRACT.md §7 and §9).

use poem_openapi::{OpenApi, param::Path};

use crate::{
    api::{
        request::{body::Body, collection::CollectionQuery, credentials::Bearer, responder::Responder},
        resources::user::{NewUser, User, UserChange},
        wire::{
            answer::{Answer, Created, Deleted, Modified, Retrieved},
            page::Listed,
            problem::Problem,
            tag::Tag,
        },
    },
    domain::id::{AccountId, UserId},
};

/// The user operations.
pub(in crate::api) struct Users;

#[OpenApi(tag = "Tag::Users")]
impl Users {
    /// Retrieve a user
    ///
    /// Returns a user of the account. With `If-None-Match` or `If-Modified-Since`, the response is 304 if the client
    /// already has the current version.
    #[oai(path = "/accounts/:account_id/core/v1/users/:user_id", method = "get", operation_id = "retrieve_user")]
    async fn retrieve_user(
        &self,
        caller: Bearer,
        /// The account's id.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        /// The user's id.
        user_id: Path<UserId>,
        responder: Responder,
    ) -> Result<Answer<Retrieved<User>>, Problem> {
        let user = caller.service.retrieve_user(&caller, user_id.0).await?;
        responder.retrieved(user)
    }

    /// List users
    ///
    /// Returns the users of the account, one page at a time, oldest first unless `orderBy` is given.
    #[oai(path = "/accounts/:account_id/core/v1/users", method = "get", operation_id = "list_users")]
    async fn list_users(
        &self,
        caller: Bearer,
        /// The account's id.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        query: CollectionQuery,
    ) -> Result<Answer<Listed<User>>, Problem> {
        let (asked, mut items) = query.read::<User>()?;
        let page = caller.service.list_users(&caller, &asked.selection, &mut |item| items.take(item)).await?;
        Ok(asked.answer(items, page)?)
    }

    /// Create a user
    ///
    /// Creates a user in the account. The user needs a role and a token before it can do anything there.
    #[oai(path = "/accounts/:account_id/core/v1/users", method = "post", operation_id = "create_user")]
    async fn create_user(
        &self,
        caller: Bearer,
        /// The account's id.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        responder: Responder,
        body: Body<NewUser>,
    ) -> Result<Answer<Created<User>>, Problem> {
        let permit = caller.service.may_create_user(&caller)?;
        let new = responder.read(body).await?.try_into()?;
        responder.created(caller.service.create_user(permit, new).await?)
    }

    /// Modify a user
    ///
    /// Changes the given fields; fields that are left out stay unchanged. When a user is suspended or disabled, all its
    /// tokens are refused at once; when that is undone, they work again.
    #[oai(path = "/accounts/:account_id/core/v1/users/:user_id", method = "put", operation_id = "modify_user")]
    async fn modify_user(
        &self,
        caller: Bearer,
        /// The account's id.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        /// The user's id.
        user_id: Path<UserId>,
        responder: Responder,
        body: Body<UserChange>,
    ) -> Result<Answer<Modified>, Problem> {
        let permit = caller.service.may_modify_user(&caller, user_id.0).await?;
        let (conditions, change) = responder.read_change(body).await?;
        let user = caller.service.modify_user(permit, change.try_into()?, &conditions).await?;
        responder.modified(user)
    }

    /// Delete a user
    ///
    /// Deletes a user with its tokens and role bindings. An account's last owner can't be deleted.
    #[oai(path = "/accounts/:account_id/core/v1/users/:user_id", method = "delete", operation_id = "delete_user")]
    async fn delete_user(
        &self,
        caller: Bearer,
        /// The account's id.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        /// The user's id.
        user_id: Path<UserId>,
        responder: Responder,
    ) -> Result<Answer<Deleted>, Problem> {
        let permit = caller.service.may_delete_user(&caller, user_id.0).await?;
        caller.service.delete_user(permit, &responder.conditions()?).await?;
        Ok(responder.deleted())
    }
}
