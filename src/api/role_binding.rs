//! Role bindings over HTTP (CONTRACT.md §9): those of an account, and among them those of a user.

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
    scalar::{Identifier, choice, constant},
};
use crate::{
    domain::{
        id::{AccountId, RoleBindingId, UserId},
        role_binding::{self, RoleBindingDraft, RoleConstraints},
    },
    service::{self, error::Faults},
    store::role_binding::FIELDS,
};

constant!(
    /// What a role binding says it is.
    RoleBindingType = "application/astra-roleBinding"
);
constant!(
    /// The version of a role binding's schema.
    RoleBindingVersion = "1.1" or "1.0"
);
constant!(
    /// Who can hold a role here.
    PrincipalType = "user"
);
choice!(
    /// What is held: each role may all that the ones before it may.
    Role = "viewer", "member", "admin", "owner"
);

/// The grant of a role in an account to a user.
#[derive(Debug, Clone, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub struct RoleBinding {
    /// The media type of the resource.
    pub r#type: RoleBindingType,
    /// The version of the resource's schema.
    pub version: RoleBindingVersion,
    /// The binding's id.
    pub id: Identifier,
    /// Who holds the role: a user.
    pub principal_type: PrincipalType,
    /// The user who holds the role.
    #[serde(rename = "userID")]
    #[oai(rename = "userID")]
    pub user_id: Identifier,
    /// The nil UUID: there are no groups here.
    #[serde(rename = "groupID")]
    #[oai(rename = "groupID")]
    pub group_id: Identifier,
    /// The account in which the role is held.
    #[serde(rename = "accountID")]
    #[oai(rename = "accountID")]
    pub account_id: Identifier,
    /// What is held.
    pub role: Role,
    /// Where it holds. `*` stands for everywhere; an empty list grants nothing.
    #[oai(validator(unique_items))]
    pub role_constraints: Vec<String>,
    /// Where the binding comes from, and its labels.
    pub metadata: Metadata,
}

/// A role to be granted.
#[derive(Debug, Clone, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewRoleBinding {
    /// The media type of the resource.
    pub r#type: RoleBindingType,
    /// The version of the resource's schema.
    pub version: RoleBindingVersion,
    /// The user who shall hold the role. Below a user it may be left out.
    #[oai(rename = "userID")]
    pub user_id: Option<Identifier>,
    /// To be left out, or nil: there are no groups here.
    #[oai(rename = "groupID")]
    pub group_id: Option<Identifier>,
    /// The account of the path.
    #[oai(rename = "accountID")]
    pub account_id: Identifier,
    /// What shall be held.
    pub role: Role,
    /// Where it shall hold; everywhere, if left out.
    #[oai(validator(unique_items))]
    pub role_constraints: Option<Vec<String>>,
    /// The binding's labels.
    pub metadata: Option<MetadataChange>,
}

/// What shall change about a role binding.
#[derive(Debug, Clone, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
pub struct RoleBindingChange {
    /// The media type of the resource.
    pub r#type: RoleBindingType,
    /// The version of the resource's schema.
    pub version: RoleBindingVersion,
    /// If given, the id that the binding has.
    pub id: Option<Identifier>,
    /// If given, the user who holds the role.
    #[oai(rename = "userID")]
    pub user_id: Option<Identifier>,
    /// If given, nil.
    #[oai(rename = "groupID")]
    pub group_id: Option<Identifier>,
    /// If given, the account of the path.
    #[oai(rename = "accountID")]
    pub account_id: Option<Identifier>,
    /// What shall be held.
    pub role: Role,
    /// Where it shall hold; where it does, if left out.
    #[oai(validator(unique_items))]
    pub role_constraints: Option<Vec<String>>,
    /// New labels, in place of all present ones.
    pub metadata: Option<MetadataChange>,
}

impl From<role_binding::RoleBinding> for RoleBinding {
    fn from(binding: role_binding::RoleBinding) -> Self {
        Self {
            r#type: RoleBindingType,
            version: RoleBindingVersion,
            id: binding.id.into(),
            principal_type: PrincipalType,
            user_id: binding.user_id.into(),
            group_id: UserId::nil().into(),
            account_id: binding.account_id.into(),
            role: binding.role.into(),
            role_constraints: binding.role_constraints.as_slice().to_vec(),
            metadata: binding.metadata.into(),
        }
    }
}

impl TryFrom<NewRoleBinding> for RoleBindingDraft {
    type Error = service::Error;

    fn try_from(new: NewRoleBinding) -> service::Result<Self> {
        let NewRoleBinding { r#type, version, user_id, group_id, account_id, role, role_constraints, metadata } = new;
        let account_id = Some(account_id);
        RoleBindingChange { r#type, version, id: None, user_id, group_id, account_id, role, role_constraints, metadata }.try_into()
    }
}

impl TryFrom<RoleBindingChange> for RoleBindingDraft {
    type Error = service::Error;

    fn try_from(change: RoleBindingChange) -> service::Result<Self> {
        let mut faults = Faults::default();
        let role = faults.check("role", change.role.0.parse());
        let constraints = change.role_constraints.map(RoleConstraints::parse);
        let role_constraints = constraints.and_then(|constraints| faults.check("roleConstraints", constraints));
        let labels = labels(change.metadata, &mut faults);
        let text = |id: Option<Identifier>| id.map(|id| id.0);
        let (id, account_id) = (text(change.id), text(change.account_id));
        let (user_id, group_id) = (text(change.user_id), text(change.group_id));
        faults.or_invalid(role).map(|role| Self { id, account_id, user_id, group_id, role, role_constraints, labels })
    }
}

resource!(RoleBinding, "roleBinding", "1.1", FIELDS, NewRoleBinding, RoleBindingChange);

impl Shown for RoleBinding {
    type Resource = Self;
}

type Of = Option<UserId>;

async fn retrieve(caller: &Bearer, of: Of, id: RoleBindingId, exchange: &Exchange) -> Result<Answer<Retrieved<RoleBinding>>, Problem> {
    let binding = caller.service.retrieve_role_binding(caller, of, id).await?;
    exchange.retrieved(&RoleBinding::from(binding))
}

async fn list(caller: &Bearer, of: Of, query: CollectionQuery) -> Result<Answer<Listed<RoleBinding>>, Problem> {
    let (asked, mut items) = query.read::<RoleBinding>()?;
    let page = caller.service.list_role_bindings(caller, of, &asked.selection, &mut |item| items.take(item)).await?;
    Ok(asked.answer(items, page)?)
}

async fn create(caller: &Bearer, of: Of, exchange: &Exchange, body: Body<NewRoleBinding>) -> Result<Answer<Created<RoleBinding>>, Problem> {
    caller.service.may_create_role_binding(caller, of).await?;
    let new = exchange.read(body).await?.try_into()?;
    let binding = RoleBinding::from(caller.service.create_role_binding(caller, of, new).await?);
    exchange.created(&binding, &binding)
}

async fn modify(
    caller: &Bearer,
    of: Of,
    id: RoleBindingId,
    exchange: &Exchange,
    body: Body<RoleBindingChange>,
) -> Result<Answer<Modified>, Problem> {
    caller.service.may_change_role_binding(caller, of, id).await?;
    let (conditions, change) = exchange.read_change(body).await?;
    let admit = |binding: &role_binding::RoleBinding| conditions.admit_put(&RoleBinding::from(binding.clone()).validators()?);
    let binding = caller.service.modify_role_binding(caller, of, id, change.try_into()?, admit).await?;
    exchange.modified(&RoleBinding::from(binding))
}

async fn delete(caller: &Bearer, of: Of, id: RoleBindingId, exchange: &Exchange) -> Result<Answer<Deleted>, Problem> {
    caller.service.may_change_role_binding(caller, of, id).await?;
    let conditions = exchange.conditions()?;
    let admit = |binding: &role_binding::RoleBinding| conditions.admit_delete(&RoleBinding::from(binding.clone()).validators()?);
    caller.service.delete_role_binding(caller, of, id, admit).await?;
    Ok(exchange.deleted())
}

/// The role binding operations.
pub(super) struct RoleBindings;

#[OpenApi(tag = "Tag::RoleBindings")]
impl RoleBindings {
    /// Retrieve a role binding
    ///
    /// Returns a role binding in the account. With `If-None-Match` or `If-Modified-Since`, one that the client has already is answered with 304.
    #[oai(path = "/accounts/:account_id/core/v1/roleBindings/:roleBinding_id", method = "get", operation_id = "retrieve_role_binding")]
    async fn retrieve_role_binding(
        &self,
        caller: Bearer,
        /// The account.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        /// The role binding.
        #[oai(name = "roleBinding_id")]
        id: Path<RoleBindingId>,
        exchange: Exchange,
    ) -> Result<Answer<Retrieved<RoleBinding>>, Problem> {
        retrieve(&caller, None, id.0, &exchange).await
    }

    /// List role bindings
    ///
    /// Returns the role bindings in the account, oldest first unless `orderBy` says otherwise, a page at a time.
    #[oai(path = "/accounts/:account_id/core/v1/roleBindings", method = "get", operation_id = "list_role_bindings")]
    async fn list_role_bindings(
        &self,
        caller: Bearer,
        /// The account.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        query: CollectionQuery,
    ) -> Result<Answer<Listed<RoleBinding>>, Problem> {
        list(&caller, None, query).await
    }

    /// Grant a role
    ///
    /// Gives a user of the account a role in it. A user has one role in an account at most.
    #[oai(path = "/accounts/:account_id/core/v1/roleBindings", method = "post", operation_id = "create_role_binding")]
    async fn create_role_binding(
        &self,
        caller: Bearer,
        /// The account.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        exchange: Exchange,
        body: Body<NewRoleBinding>,
    ) -> Result<Answer<Created<RoleBinding>>, Problem> {
        create(&caller, None, &exchange, body).await
    }

    /// Modify a role binding
    ///
    /// Changes the role, its constraints or the labels. An account's last owner stays its owner.
    #[oai(path = "/accounts/:account_id/core/v1/roleBindings/:roleBinding_id", method = "put", operation_id = "modify_role_binding")]
    async fn modify_role_binding(
        &self,
        caller: Bearer,
        /// The account.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        /// The role binding.
        #[oai(name = "roleBinding_id")]
        id: Path<RoleBindingId>,
        exchange: Exchange,
        body: Body<RoleBindingChange>,
    ) -> Result<Answer<Modified>, Problem> {
        modify(&caller, None, id.0, &exchange, body).await
    }

    /// Revoke a role binding
    ///
    /// Takes a role back. A local user of the account who loses its last one is deleted with its tokens. An account's last owner stays its owner.
    #[oai(path = "/accounts/:account_id/core/v1/roleBindings/:roleBinding_id", method = "delete", operation_id = "delete_role_binding")]
    async fn delete_role_binding(
        &self,
        caller: Bearer,
        /// The account.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        /// The role binding.
        #[oai(name = "roleBinding_id")]
        id: Path<RoleBindingId>,
        exchange: Exchange,
    ) -> Result<Answer<Deleted>, Problem> {
        delete(&caller, None, id.0, &exchange).await
    }

    /// Retrieve a role binding of a user
    ///
    /// Returns a role binding of the user. With `If-None-Match` or `If-Modified-Since`, one that the client has already is answered with 304.
    #[oai(
        path = "/accounts/:account_id/core/v1/users/:user_id/roleBindings/:roleBinding_id",
        method = "get",
        operation_id = "retrieve_user_role_binding"
    )]
    async fn retrieve_user_role_binding(
        &self,
        caller: Bearer,
        /// The account.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        /// The user.
        user_id: Path<UserId>,
        /// The role binding.
        #[oai(name = "roleBinding_id")]
        id: Path<RoleBindingId>,
        exchange: Exchange,
    ) -> Result<Answer<Retrieved<RoleBinding>>, Problem> {
        retrieve(&caller, Some(user_id.0), id.0, &exchange).await
    }

    /// List role bindings of a user
    ///
    /// Returns the role bindings of the user, oldest first unless `orderBy` says otherwise, a page at a time.
    #[oai(path = "/accounts/:account_id/core/v1/users/:user_id/roleBindings", method = "get", operation_id = "list_user_role_bindings")]
    async fn list_user_role_bindings(
        &self,
        caller: Bearer,
        /// The account.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        /// The user.
        user_id: Path<UserId>,
        query: CollectionQuery,
    ) -> Result<Answer<Listed<RoleBinding>>, Problem> {
        list(&caller, Some(user_id.0), query).await
    }

    /// Grant a role to a user
    ///
    /// Gives a user of the account a role in it. A user has one role in an account at most.
    #[oai(path = "/accounts/:account_id/core/v1/users/:user_id/roleBindings", method = "post", operation_id = "create_user_role_binding")]
    async fn create_user_role_binding(
        &self,
        caller: Bearer,
        /// The account.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        /// The user.
        user_id: Path<UserId>,
        exchange: Exchange,
        body: Body<NewRoleBinding>,
    ) -> Result<Answer<Created<RoleBinding>>, Problem> {
        create(&caller, Some(user_id.0), &exchange, body).await
    }

    /// Modify a role binding of a user
    ///
    /// Changes the role, its constraints or the labels. An account's last owner stays its owner.
    #[oai(
        path = "/accounts/:account_id/core/v1/users/:user_id/roleBindings/:roleBinding_id",
        method = "put",
        operation_id = "modify_user_role_binding"
    )]
    async fn modify_user_role_binding(
        &self,
        caller: Bearer,
        /// The account.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        /// The user.
        user_id: Path<UserId>,
        /// The role binding.
        #[oai(name = "roleBinding_id")]
        id: Path<RoleBindingId>,
        exchange: Exchange,
        body: Body<RoleBindingChange>,
    ) -> Result<Answer<Modified>, Problem> {
        modify(&caller, Some(user_id.0), id.0, &exchange, body).await
    }

    /// Revoke a role binding of a user
    ///
    /// Takes a role back. A local user of the account who loses its last one is deleted with its tokens. An account's last owner stays its owner.
    #[oai(
        path = "/accounts/:account_id/core/v1/users/:user_id/roleBindings/:roleBinding_id",
        method = "delete",
        operation_id = "delete_user_role_binding"
    )]
    async fn delete_user_role_binding(
        &self,
        caller: Bearer,
        /// The account.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        /// The user.
        user_id: Path<UserId>,
        /// The role binding.
        #[oai(name = "roleBinding_id")]
        id: Path<RoleBindingId>,
        exchange: Exchange,
    ) -> Result<Answer<Deleted>, Problem> {
        delete(&caller, Some(user_id.0), id.0, &exchange).await
    }
}
