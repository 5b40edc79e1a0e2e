//! The grant of a role to a user in an account.

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

/// The scopes of a grant. An empty list grants nothing; any other is reported and doesn't narrow this API
/// (spec/contract/CONTRACT.md §9).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RoleConstraints(Vec<String>);

impl Default for RoleConstraints {
    /// Everything: `["*"]`.
    fn default() -> Self {
        Self(vec!["*".to_owned()])
    }
}

impl RoleConstraints {
    /// Checks the rules that a JSON schema can't say.
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

    /// Whether anything is granted at all.
    #[must_use]
    pub fn grant(&self) -> bool {
        !self.0.is_empty()
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

impl RoleBinding {
    /// Makes an owner, of everything in the account.
    #[must_use]
    pub fn of_owner(id: RoleBindingId, account_id: AccountId, user_id: UserId, metadata: Metadata) -> Self {
        Self { id, account_id, user_id, role: Role::Owner, role_constraints: RoleConstraints::default(), metadata }
    }

    /// The role that it gives: none without any scope.
    #[must_use]
    pub fn granted(&self) -> Option<Role> {
        self.role_constraints.grant().then_some(self.role)
    }

    /// Whether it makes an owner of a user that takes part.
    #[must_use]
    pub fn makes_owner(&self) -> bool {
        self.granted() == Some(Role::Owner)
    }
}

/// What a client gives to have a binding made, or to modify one: `None` preserves. What can't change can be repeated.
#[derive(Debug, Clone)]
pub struct RoleBindingDraft {
    /// Must agree with the binding's.
    pub id: Option<RoleBindingId>,
    /// Must agree with the account's.
    pub account_id: Option<AccountId>,
    /// Who shall hold the role; must agree with what is known of it.
    pub user_id: Option<UserId>,
    /// Which group shall; must be none, for there are none.
    pub group_id: Option<GroupId>,
    /// What shall be held.
    pub role: Role,
    /// Where it shall hold.
    pub role_constraints: Option<RoleConstraints>,
    /// Labels that replace all present ones.
    pub labels: Option<Labels>,
}
