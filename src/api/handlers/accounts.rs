//! The operations on accounts (spec/contract/CONTRACT.md §7 and §9).

use poem_openapi::{OpenApi, param::Path};

use crate::{
    api::{
        request::{body::Body, collection::CollectionQuery, credentials::Bearer, responder::Responder},
        resources::account::{Account, AccountChange, NewAccount},
        wire::{
            answer::{Answer, Created, Deleted, Modified, Retrieved},
            page::Listed,
            problem::Problem,
            tag::Tag,
        },
    },
    domain::id::AccountId,
    service::caller::Identity,
};

/// The account operations.
pub(in crate::api) struct Accounts;

#[OpenApi(tag = "Tag::Accounts")]
impl Accounts {
    /// Retrieve an account
    ///
    /// Returns the account. With `If-None-Match` or `If-Modified-Since`, the response is 304 if the client already has
    /// the current version.
    #[oai(path = "/accounts/:account_id", method = "get", operation_id = "retrieve_account")]
    async fn retrieve_account(
        &self,
        caller: Bearer,
        /// The account's id.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        responder: Responder,
    ) -> Result<Answer<Retrieved<Account>>, Problem> {
        let account = caller.service.retrieve_account(&caller).await?;
        responder.retrieved(account)
    }

    /// List accounts
    ///
    /// Returns the accounts in which the caller has a role, one page at a time, oldest first unless `orderBy` is given.
    #[oai(path = "/accounts", method = "get", operation_id = "list_accounts")]
    async fn list_accounts(
        &self,
        caller: Bearer<Identity>,
        query: CollectionQuery,
    ) -> Result<Answer<Listed<Account>>, Problem> {
        let (asked, mut items) = query.read::<Account>()?;
        let page = caller.service.list_accounts(&caller, &asked.selection, &mut |item| items.take(item)).await?;
        Ok(asked.answer(items, page)?)
    }

    /// Create an account
    ///
    /// Creates an account; the caller becomes its owner. Permitted for owners of any account, until they have a role in
    /// 100 accounts.
    #[oai(path = "/accounts", method = "post", operation_id = "create_account")]
    async fn create_account(
        &self,
        caller: Bearer<Identity>,
        responder: Responder,
        body: Body<NewAccount>,
    ) -> Result<Answer<Created<Account>>, Problem> {
        let permit = caller.service.may_create_account(&caller).await?;
        let new = responder.read(body).await?.try_into()?;
        responder.created(caller.service.create_account(permit, new).await?)
    }

    /// Modify an account
    ///
    /// Changes the name, the contact or the labels of an account, or disables or enables it. Fields that are left out
    /// stay unchanged.
    #[oai(path = "/accounts/:account_id", method = "put", operation_id = "modify_account")]
    async fn modify_account(
        &self,
        caller: Bearer,
        /// The account's id.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        responder: Responder,
        body: Body<AccountChange>,
    ) -> Result<Answer<Modified>, Problem> {
        let permit = caller.service.may_change_account(&caller)?;
        let (conditions, change) = responder.read_change(body).await?;
        let account = caller.service.modify_account(permit, change.try_into()?, &conditions).await?;
        responder.modified(account)
    }

    /// Delete an account
    ///
    /// Deletes an account with everything that it contains, including its events. Refused while one of its users is the
    /// last owner of another account.
    #[oai(path = "/accounts/:account_id", method = "delete", operation_id = "delete_account")]
    async fn delete_account(
        &self,
        caller: Bearer,
        /// The account's id.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        responder: Responder,
    ) -> Result<Answer<Deleted>, Problem> {
        let permit = caller.service.may_change_account(&caller)?;
        caller.service.delete_account(permit, &responder.conditions()?).await?;
        Ok(responder.deleted())
    }
}
