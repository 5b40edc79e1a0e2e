//! Role bindings over HTTP (spec/contract/CONTRACT.md §9): those of an account, and among them those of a user.

use poem_openapi::Object;
use serde::Serialize;

use crate::{
    api::wire::{
        metadata::{Metadata, MetadataChange, labels},
        resource::resource,
        scalar::{choice, constant},
    },
    domain::{
        id::{AccountId, GroupId, RoleBindingId, UserId},
        role::Role,
        role_binding::{self, RoleBindingDraft, RoleConstraints},
    },
    service::{self, error::FieldErrors},
    store::role_binding::FIELDS,
};

resource! {
    /// Media type of a role binding.
    RoleBindingType = "application/astra-roleBinding",
    /// The version of a role binding's schema.
    RoleBindingVersion = "1.1" or "1.0";
    RoleBinding of role_binding::RoleBinding, FIELDS, NewRoleBinding, RoleBindingChange
}

constant!(
    /// The kind of principal that can hold a role.
    PrincipalType = "user"
);
choice!(
    /// A role in an account. Each role has all permissions of the roles before it.
    Role = Role
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
    pub id: RoleBindingId,
    /// The kind of principal that holds the role: always a user.
    pub principal_type: PrincipalType,
    /// The user who holds the role.
    #[serde(rename = "userID")]
    #[oai(rename = "userID")]
    pub user_id: UserId,
    /// Always the nil UUID: this server has no groups.
    #[serde(rename = "groupID")]
    #[oai(rename = "groupID")]
    pub group_id: GroupId,
    /// The account in which the role is held.
    #[serde(rename = "accountID")]
    #[oai(rename = "accountID")]
    pub account_id: AccountId,
    /// The role.
    pub role: Role,
    /// The scopes of the role. `*` means everything; an empty list grants nothing.
    #[oai(validator(unique_items))]
    pub role_constraints: Vec<String>,
    /// The binding's labels, creation and last modification.
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
    /// The user that the role is granted to. May be left out if the path names the user.
    #[oai(rename = "userID")]
    pub user_id: Option<UserId>,
    /// Must be left out or the nil UUID: this server has no groups.
    #[oai(rename = "groupID")]
    pub group_id: Option<GroupId>,
    /// The account in which the role is granted: must be the account in the path.
    #[oai(rename = "accountID")]
    pub account_id: AccountId,
    /// The role to grant.
    pub role: Role,
    /// The scopes of the role; if left out, everything: `["*"]`.
    #[oai(validator(unique_items))]
    pub role_constraints: Option<Vec<String>>,
    /// The binding's labels.
    pub metadata: Option<MetadataChange>,
}

/// Changes to a role binding.
#[derive(Debug, Clone, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
pub struct RoleBindingChange {
    /// The media type of the resource.
    pub r#type: RoleBindingType,
    /// The version of the resource's schema.
    pub version: RoleBindingVersion,
    /// If given, must be the binding's id.
    pub id: Option<RoleBindingId>,
    /// If given, must be the user who holds the role.
    #[oai(rename = "userID")]
    pub user_id: Option<UserId>,
    /// If given, must be the nil UUID.
    #[oai(rename = "groupID")]
    pub group_id: Option<GroupId>,
    /// If given, must be the account in the path.
    #[oai(rename = "accountID")]
    pub account_id: Option<AccountId>,
    /// The role. Required also if it does not change.
    pub role: Role,
    /// The new scopes of the role; if left out, they stay unchanged.
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
            id: binding.id,
            principal_type: PrincipalType,
            user_id: binding.user_id,
            group_id: GroupId::nil(),
            account_id: binding.account_id,
            role: binding.role,
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
        RoleBindingChange { r#type, version, id: None, user_id, group_id, account_id, role, role_constraints, metadata }
            .try_into()
    }
}

impl TryFrom<RoleBindingChange> for RoleBindingDraft {
    type Error = service::Error;

    fn try_from(change: RoleBindingChange) -> service::Result<Self> {
        let mut faults = FieldErrors::default();
        let constraints = change.role_constraints.map(RoleConstraints::parse);
        let role_constraints = constraints.and_then(|constraints| faults.check("roleConstraints", constraints));
        let labels = labels(change.metadata, &mut faults);
        let RoleBindingChange { id, account_id, user_id, group_id, role, .. } = change;
        faults.or_invalid(Some(Self { id, account_id, user_id, group_id, role, role_constraints, labels }))
    }
}
