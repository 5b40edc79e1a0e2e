//! Who may do what: one table (CONTRACT.md §9).

use crate::domain::role::Role;

/// What can be done to something that belongs to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// List or read tokens.
    ReadTokens,
    /// Create tokens.
    CreateTokens,
    /// Modify or delete tokens.
    ChangeTokens,
}

/// How far an action reaches. Each includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// The caller's own.
    Own,
    /// Those of users of lower roles.
    Lower,
    /// Everyone's.
    Everyone,
}

/// The table: for each action, the reach of viewer, member, admin and owner.
const fn row(action: Action) -> [Reach; 4] {
    use Reach::{Everyone, Lower, Own};
    match action {
        //                                              viewer member admin  owner
        Action::ReadTokens | Action::ChangeTokens => [Own, Own, Lower, Everyone],
        Action::CreateTokens => [Own, Own, Lower, Lower],
    }
}

/// How far the action reaches for that role.
#[must_use]
pub const fn reach(role: Role, action: Action) -> Reach {
    let [viewer, member, admin, owner] = row(action);
    match role {
        Role::Viewer => viewer,
        Role::Member => member,
        Role::Admin => admin,
        Role::Owner => owner,
    }
}

impl Reach {
    /// Whether the reach of a caller of that role takes in another user of the account; one without a role ranks below viewer.
    #[must_use]
    pub fn covers(self, caller: Role, other: Option<Role>) -> bool {
        match self {
            Self::Own => false,
            Self::Lower => other < Some(caller),
            Self::Everyone => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lower_is_strictly_lower_and_no_role_is_lowest() {
        assert!(Reach::Lower.covers(Role::Viewer, None));
        assert!(Reach::Lower.covers(Role::Owner, Some(Role::Admin)));
        assert!(!Reach::Lower.covers(Role::Owner, Some(Role::Owner)));
        assert!(!Reach::Lower.covers(Role::Admin, Some(Role::Owner)));
    }
}
