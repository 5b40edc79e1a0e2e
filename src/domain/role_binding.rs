//! Role bindings: each grants a role in an account to a user.

use serde::{Deserialize, Serialize};

use super::{
    Refused,
    id::{AccountId, GroupId, RoleBindingId, UserId},
    label::Labels,
    metadata::Metadata,
    name::is_control,
    role::Role,
};

const MOST_CONSTRAINTS: usize = 64;
const LONGEST_CONSTRAINT: usize = 255;

/// The scopes of a role binding. An empty list grants nothing; any other is only stored and returned, and doesn't
/// restrict this API (spec/contract/CONTRACT.md §9).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RoleConstraints(Vec<String>);

impl Default for RoleConstraints {
    /// All scopes: `["*"]`.
    fn default() -> Self {
        Self(vec!["*".to_owned()])
    }
}

impl RoleConstraints {
    /// Checks the rules that the JSON schema doesn't express.
    ///
    /// # Errors
    /// Which rule is broken.
    pub fn parse(constraints: Vec<String>) -> Result<Self, Refused> {
        if constraints.len() > MOST_CONSTRAINTS {
            return Err(Refused::because(format!("must not hold more than {MOST_CONSTRAINTS} constraints")));
        }
        if constraints
            .iter()
            .any(|text| text.is_empty() || text.chars().count() > LONGEST_CONSTRAINT || text.contains(is_control))
        {
            let rule = format!(
                "must hold constraints of 1 to {LONGEST_CONSTRAINT} characters, none of them a control character"
            );
            return Err(Refused::because(rule));
        }
        Ok(Self(constraints))
    }

    /// The scopes, in the order in which they were given.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }

    /// Whether there is any scope; without one nothing is granted.
    #[must_use]
    pub fn grant(&self) -> bool {
        !self.0.is_empty()
    }
}

/// The grant of a role in an account to a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleBinding {
    /// The role binding's id.
    pub id: RoleBindingId,
    /// The account in which the role is held.
    pub account_id: AccountId,
    /// The user that holds the role.
    pub user_id: UserId,
    /// The granted role.
    pub role: Role,
    /// The scopes of the role.
    pub role_constraints: RoleConstraints,
    /// Labels, creation and last modification.
    pub metadata: Metadata,
}

impl RoleBinding {
    /// A role binding that makes the user an owner of the account, with all scopes.
    #[must_use]
    pub fn of_owner(id: RoleBindingId, account_id: AccountId, user_id: UserId, metadata: Metadata) -> Self {
        Self { id, account_id, user_id, role: Role::Owner, role_constraints: RoleConstraints::default(), metadata }
    }

    /// The role that the binding grants; `None` if it has no scope.
    #[must_use]
    pub fn granted(&self) -> Option<Role> {
        self.role_constraints.grant().then_some(self.role)
    }

    /// Whether the binding grants the role of owner. The user counts as one only while it is active and enabled.
    #[must_use]
    pub fn makes_owner(&self) -> bool {
        self.granted() == Some(Role::Owner)
    }
}

/// A request to create or modify a role binding. `None` keeps the present value; a field that can't change may be given
/// with its present value.
#[derive(Debug, Clone)]
pub struct RoleBindingDraft {
    /// If given, must equal the role binding's id.
    pub id: Option<RoleBindingId>,
    /// If given, must equal the account's id.
    pub account_id: Option<AccountId>,
    /// The user that holds the role; must equal that in the request's path, or that of the existing binding.
    pub user_id: Option<UserId>,
    /// The group that holds the role; must be `None` or nil, because this service has no groups.
    pub group_id: Option<GroupId>,
    /// The role to grant.
    pub role: Role,
    /// The scopes of the role.
    pub role_constraints: Option<RoleConstraints>,
    /// The new labels, which replace all present ones.
    pub labels: Option<Labels>,
}
