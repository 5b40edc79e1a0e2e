//! Permissions of the roles: one table (spec/contract/CONTRACT.md §9).

use crate::domain::role::Role;

/// An action in an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// List or read users and role bindings.
    ReadPeople,
    /// Modify a user's names, company, phone and postal address.
    ModifyProfile,
    /// Create and delete users, and modify their other fields.
    AdministerUsers,
    /// Create, modify or delete role bindings. The reach limits the binding's role, before and after the change.
    ChangeRoleBindings,
    /// List or read tokens.
    ReadTokens,
    /// Create tokens.
    CreateTokens,
    /// Modify or delete tokens.
    ChangeTokens,
    /// Introspect the tokens of other users. Every token may introspect itself.
    IntrospectTokens,
    /// List or read events.
    ReadEvents,
    /// Read the account.
    ReadAccount,
    /// Create a further account, and modify or delete this one.
    ChangeAccount,
}

/// The other users whose resources an action includes. Each value includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Others {
    Nobody,
    OfLowerRoles,
    Everyone,
}

/// The reach of an action: the users whose resources it includes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    own: bool,
    others: Others,
}

const NOTHING: Reach = Reach { own: false, others: Others::Nobody };
const OWN: Reach = Reach { own: true, others: Others::Nobody };
const LOWER: Reach = Reach { own: false, others: Others::OfLowerRoles };
const OWN_AND_LOWER: Reach = Reach { own: true, others: Others::OfLowerRoles };
const ALL: Reach = Reach { own: true, others: Others::Everyone };

/// The table: for each action, the reach of viewer, member, admin and owner.
#[rustfmt::skip]
#[expect(clippy::match_same_arms, reason = "a table has a row for each action")]
const fn row(action: Action) -> [Reach; 4] {
    match action {
        //                              viewer   member   admin          owner
        Action::ReadPeople          => [ALL,     ALL,     ALL,           ALL],
        Action::ModifyProfile       => [OWN,     OWN,     OWN_AND_LOWER, ALL],
        Action::AdministerUsers     => [NOTHING, NOTHING, LOWER,         ALL],
        Action::ChangeRoleBindings  => [NOTHING, NOTHING, LOWER,         ALL],
        Action::ReadTokens          => [OWN,     OWN,     OWN_AND_LOWER, ALL],
        Action::CreateTokens        => [OWN,     OWN,     OWN_AND_LOWER, OWN_AND_LOWER],
        Action::ChangeTokens        => [OWN,     OWN,     OWN_AND_LOWER, ALL],
        Action::IntrospectTokens    => [NOTHING, NOTHING, ALL,           ALL],
        Action::ReadEvents          => [OWN,     OWN,     ALL,           ALL],
        Action::ReadAccount         => [ALL,     ALL,     ALL,           ALL],
        Action::ChangeAccount       => [NOTHING, NOTHING, NOTHING,       ALL],
    }
}

impl Action {
    /// The reach of the action for that role.
    #[must_use]
    pub const fn reach(self, role: Role) -> Reach {
        let [viewer, member, admin, owner] = row(self);
        match role {
            Role::Viewer => viewer,
            Role::Member => member,
            Role::Admin => admin,
            Role::Owner => owner,
        }
    }

    /// Whether the action is on something that belongs to the user rather than to the account. On what belongs to a
    /// guest (a user that was created in another account), only the guest itself and callers in that other account may
    /// perform such an action.
    #[must_use]
    pub const fn is_about_the_user(self) -> bool {
        matches!(
            self,
            Self::ModifyProfile | Self::AdministerUsers | Self::ReadTokens | Self::CreateTokens | Self::ChangeTokens
        )
    }

    /// Whether a caller that may act on its own resources only is refused before it learns whether a resource of
    /// another user exists.
    #[must_use]
    pub const fn hides_existence(self) -> bool {
        matches!(self, Self::ReadTokens | Self::CreateTokens | Self::ChangeTokens)
    }
}

impl Reach {
    /// Whether the reach includes the caller's own resources.
    #[must_use]
    pub const fn own(self) -> bool {
        self.own
    }

    /// Whether the reach excludes the resources of other users.
    #[must_use]
    pub fn is_confined(self) -> bool {
        self.others == Others::Nobody
    }

    /// Whether the reach includes everything in the account.
    #[must_use]
    pub fn is_everything(self) -> bool {
        self.others == Others::Everyone
    }

    /// Whether the reach of a caller with the role `caller` includes another user with the role `other`. A user without
    /// a role ranks below viewer.
    #[must_use]
    pub fn covers(self, caller: Role, other: Option<Role>) -> bool {
        match self.others {
            Others::Nobody => false,
            Others::OfLowerRoles => other < Some(caller),
            Others::Everyone => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lower_is_strictly_lower_and_no_role_is_lowest() {
        assert!(LOWER.covers(Role::Viewer, None));
        assert!(LOWER.covers(Role::Owner, Some(Role::Admin)));
        assert!(!LOWER.covers(Role::Owner, Some(Role::Owner)));
        assert!(!LOWER.covers(Role::Admin, Some(Role::Owner)));
    }
}
