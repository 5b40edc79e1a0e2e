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
    /// Who can hold a role here.
    PrincipalType = "user"
);
choice!(
    /// What is held: each role may all that the ones before it may.
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
    /// Who holds the role: a user.
    pub principal_type: PrincipalType,
    /// The user who holds the role.
    #[serde(rename = "userID")]
    #[oai(rename = "userID")]
    pub user_id: UserId,
    /// The nil UUID: there are no groups here.
    #[serde(rename = "groupID")]
    #[oai(rename = "groupID")]
    pub group_id: GroupId,
    /// The account in which the role is held.
    #[serde(rename = "accountID")]
    #[oai(rename = "accountID")]
    pub account_id: AccountId,
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
    pub user_id: Option<UserId>,
    /// To be left out, or nil: there are no groups here.
    #[oai(rename = "groupID")]
    pub group_id: Option<GroupId>,
    /// The account of the path.
    #[oai(rename = "accountID")]
    pub account_id: AccountId,
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
    pub id: Option<RoleBindingId>,
    /// If given, the user who holds the role.
    #[oai(rename = "userID")]
    pub user_id: Option<UserId>,
    /// If given, nil.
    #[oai(rename = "groupID")]
    pub group_id: Option<GroupId>,
    /// If given, the account of the path.
    #[oai(rename = "accountID")]
    pub account_id: Option<AccountId>,
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
