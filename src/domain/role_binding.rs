//! The grant of a role to a user in an account.

use serde::{Deserialize, Serialize};

use super::{
    id::{AccountId, RoleBindingId, UserId},
    metadata::Metadata,
    role::Role,
};

/// The scopes of a grant. An empty list grants nothing; any other is reported and doesn't narrow this API (CONTRACT.md §9).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RoleConstraints(pub Vec<String>);

impl Default for RoleConstraints {
    /// Everything: `["*"]`.
    fn default() -> Self {
        Self(vec!["*".to_owned()])
    }
}

/// Who has which role in which account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleBinding {
    /// Its own id.
    pub id: RoleBindingId,
    /// The account in which the role is held.
    pub account_id: AccountId,
    /// Who holds it.
    pub user_id: UserId,
    /// What is held.
    pub role: Role,
    /// Where it holds.
    pub role_constraints: RoleConstraints,
    /// Its history.
    pub metadata: Metadata,
}
