//! The operations on role bindings (spec/contract/CONTRACT.md §7 and §9).

use crate::api::resources::role_binding::RoleBindingChange;
use poem_openapi::{OpenApi, param::Path};

use crate::{
    api::{
        request::{body::Body, collection::CollectionQuery, credentials::Bearer, responder::Responder},
        resources::role_binding::{NewRoleBinding, RoleBinding},
        wire::{
            answer::{Answer, Created, Deleted, Modified, Retrieved},
            page::Listed,
            problem::Problem,
            tag::Tag,
        },
    },
    domain::id::{AccountId, RoleBindingId, UserId},
};

/// The role binding operations.
pub(in crate::api) struct RoleBindings;

#[OpenApi(tag = "Tag::RoleBindings")]
impl RoleBindings {
    /// Retrieve a role binding
    ///
    /// Returns a role binding in the account. With `If-None-Match` or `If-Modified-Since`, the response is 304 if the
    /// client already has the current version.
    #[oai(
        path = "/accounts/:account_id/core/v1/roleBindings/:roleBinding_id",
        method = "get",
        operation_id = "retrieve_role_binding"
    )]
    async fn retrieve_role_binding(
        &self,
        caller: Bearer,
        /// The account's id.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        /// The role binding's id.
        #[oai(name = "roleBinding_id")]
        id: Path<RoleBindingId>,
        responder: Responder,
    ) -> Result<Answer<Retrieved<RoleBinding>>, Problem> {
        retrieve(&caller, None, id.0, &responder).await
    }

    /// List role bindings
    ///
    /// Returns the role bindings in the account, one page at a time, oldest first unless `orderBy` is given.
    #[oai(path = "/accounts/:account_id/core/v1/roleBindings", method = "get", operation_id = "list_role_bindings")]
    async fn list_role_bindings(
        &self,
        caller: Bearer,
        /// The account's id.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        query: CollectionQuery,
    ) -> Result<Answer<Listed<RoleBinding>>, Problem> {
        list(&caller, None, query).await
    }

    /// Grant a role
    ///
    /// Grants a user of the account a role in it. A user has at most one role in an account.
    #[oai(path = "/accounts/:account_id/core/v1/roleBindings", method = "post", operation_id = "create_role_binding")]
    async fn create_role_binding(
        &self,
        caller: Bearer,
        /// The account's id.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        responder: Responder,
        body: Body<NewRoleBinding>,
    ) -> Result<Answer<Created<RoleBinding>>, Problem> {
        create(&caller, None, &responder, body).await
    }

    /// Modify a role binding
    ///
    /// Changes the role, its constraints or the labels. The last owner of an account can't lose that role.
    #[oai(
        path = "/accounts/:account_id/core/v1/roleBindings/:roleBinding_id",
        method = "put",
        operation_id = "modify_role_binding"
    )]
    async fn modify_role_binding(
        &self,
        caller: Bearer,
        /// The account's id.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        /// The role binding's id.
        #[oai(name = "roleBinding_id")]
        id: Path<RoleBindingId>,
        responder: Responder,
        body: Body<RoleBindingChange>,
    ) -> Result<Answer<Modified>, Problem> {
        modify(&caller, None, id.0, &responder, body).await
    }

    /// Revoke a role binding
    ///
    /// Revokes a role by deleting its role binding. If it is the last role binding of a local user who was created in
    /// this account, the user is deleted too, with its tokens. The last owner of an account can't lose that role.
    #[oai(
        path = "/accounts/:account_id/core/v1/roleBindings/:roleBinding_id",
        method = "delete",
        operation_id = "delete_role_binding"
    )]
    async fn delete_role_binding(
        &self,
        caller: Bearer,
        /// The account's id.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        /// The role binding's id.
        #[oai(name = "roleBinding_id")]
        id: Path<RoleBindingId>,
        responder: Responder,
    ) -> Result<Answer<Deleted>, Problem> {
        delete(&caller, None, id.0, &responder).await
    }

    /// Retrieve a role binding of a user
    ///
    /// Returns a role binding of the user. With `If-None-Match` or `If-Modified-Since`, the response is 304 if the
    /// client already has the current version.
    #[oai(
        path = "/accounts/:account_id/core/v1/users/:user_id/roleBindings/:roleBinding_id",
        method = "get",
        operation_id = "retrieve_user_role_binding"
    )]
    async fn retrieve_user_role_binding(
        &self,
        caller: Bearer,
        /// The account's id.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        /// The user's id.
        user_id: Path<UserId>,
        /// The role binding's id.
        #[oai(name = "roleBinding_id")]
        id: Path<RoleBindingId>,
        responder: Responder,
    ) -> Result<Answer<Retrieved<RoleBinding>>, Problem> {
        retrieve(&caller, Some(user_id.0), id.0, &responder).await
    }

    /// List role bindings of a user
    ///
    /// Returns the role bindings of the user, one page at a time, oldest first unless `orderBy` is given.
    #[oai(
        path = "/accounts/:account_id/core/v1/users/:user_id/roleBindings",
        method = "get",
        operation_id = "list_user_role_bindings"
    )]
    async fn list_user_role_bindings(
        &self,
        caller: Bearer,
        /// The account's id.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        /// The user's id.
        user_id: Path<UserId>,
        query: CollectionQuery,
    ) -> Result<Answer<Listed<RoleBinding>>, Problem> {
        list(&caller, Some(user_id.0), query).await
    }

    /// Grant a role to a user
    ///
    /// Grants a user of the account a role in it. A user has at most one role in an account.
    #[oai(
        path = "/accounts/:account_id/core/v1/users/:user_id/roleBindings",
        method = "post",
        operation_id = "create_user_role_binding"
    )]
    async fn create_user_role_binding(
        &self,
        caller: Bearer,
        /// The account's id.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        /// The user's id.
        user_id: Path<UserId>,
        responder: Responder,
        body: Body<NewRoleBinding>,
    ) -> Result<Answer<Created<RoleBinding>>, Problem> {
        create(&caller, Some(user_id.0), &responder, body).await
    }

    /// Modify a role binding of a user
    ///
    /// Changes the role, its constraints or the labels. The last owner of an account can't lose that role.
    #[oai(
        path = "/accounts/:account_id/core/v1/users/:user_id/roleBindings/:roleBinding_id",
        method = "put",
        operation_id = "modify_user_role_binding"
    )]
    async fn modify_user_role_binding(
        &self,
        caller: Bearer,
        /// The account's id.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        /// The user's id.
        user_id: Path<UserId>,
        /// The role binding's id.
        #[oai(name = "roleBinding_id")]
        id: Path<RoleBindingId>,
        responder: Responder,
        body: Body<RoleBindingChange>,
    ) -> Result<Answer<Modified>, Problem> {
        modify(&caller, Some(user_id.0), id.0, &responder, body).await
    }

    /// Revoke a role binding of a user
    ///
    /// Revokes a role by deleting its role binding. If it is the last role binding of a local user who was created in
    /// this account, the user is deleted too, with its tokens. The last owner of an account can't lose that role.
    #[oai(
        path = "/accounts/:account_id/core/v1/users/:user_id/roleBindings/:roleBinding_id",
        method = "delete",
        operation_id = "delete_user_role_binding"
    )]
    async fn delete_user_role_binding(
        &self,
        caller: Bearer,
        /// The account's id.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        /// The user's id.
        user_id: Path<UserId>,
        /// The role binding's id.
        #[oai(name = "roleBinding_id")]
        id: Path<RoleBindingId>,
        responder: Responder,
    ) -> Result<Answer<Deleted>, Problem> {
        delete(&caller, Some(user_id.0), id.0, &responder).await
    }
}

async fn modify(
    caller: &Bearer,
    of: Of,
    id: RoleBindingId,
    responder: &Responder,
    body: Body<RoleBindingChange>,
) -> Result<Answer<Modified>, Problem> {
    let permit = caller.service.may_change_role_binding(caller, of, id).await?;
    let (conditions, change) = responder.read_change(body).await?;
    let binding = caller.service.modify_role_binding(permit, change.try_into()?, &conditions).await?;
    responder.modified(binding)
}

async fn delete(caller: &Bearer, of: Of, id: RoleBindingId, responder: &Responder) -> Result<Answer<Deleted>, Problem> {
    let permit = caller.service.may_change_role_binding(caller, of, id).await?;
    caller.service.delete_role_binding(permit, &responder.conditions()?).await?;
    Ok(responder.deleted())
}

/// The user in whose collection a role binding is sought, if it is sought in one.
type Of = Option<UserId>;

async fn retrieve(
    caller: &Bearer,
    of: Of,
    id: RoleBindingId,
    responder: &Responder,
) -> Result<Answer<Retrieved<RoleBinding>>, Problem> {
    let binding = caller.service.retrieve_role_binding(caller, of, id).await?;
    responder.retrieved(binding)
}

async fn list(caller: &Bearer, of: Of, query: CollectionQuery) -> Result<Answer<Listed<RoleBinding>>, Problem> {
    let (asked, mut items) = query.read::<RoleBinding>()?;
    let page = caller.service.list_role_bindings(caller, of, &asked.selection, &mut |item| items.take(item)).await?;
    Ok(asked.answer(items, page)?)
}

async fn create(
    caller: &Bearer,
    of: Of,
    responder: &Responder,
    body: Body<NewRoleBinding>,
) -> Result<Answer<Created<RoleBinding>>, Problem> {
    let permit = caller.service.may_create_role_binding(caller, of).await?;
    let new = responder.read(body).await?.try_into()?;
    responder.created(caller.service.create_role_binding(permit, new).await?)
}
