//! Credentials: the data of a token and its user that authentication needs, and whether the token may be used now.

use super::{
    clock::Timestamp,
    id::{AccountId, TokenId, UserId},
    name::{Email, ResourceName},
    role::Role,
    role_binding::RoleConstraints,
    user::{User, UserState},
};

/// A token, its user, and the user's role in one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The token's id.
    pub token_id: TokenId,
    /// The token's name.
    pub token_name: ResourceName,
    /// When the token was issued.
    pub issued_at: Timestamp,
    /// When a refusal of the token was last recorded as an event.
    pub refused_at: Option<Timestamp>,
    /// The id of the token's user.
    pub user_id: UserId,
    /// The user's email address.
    pub email: Email,
    /// Whether the user is active or suspended.
    pub state: UserState,
    /// Whether the user is enabled.
    pub is_enabled: bool,
    /// The account that the user was created in.
    pub home: AccountId,
    /// When the user last authenticated, as far as the store has recorded it.
    pub last_act_at: Option<Timestamp>,
    /// The user's role in the account; `None` if it has none there.
    pub role: Option<Role>,
    /// The scopes of that role.
    pub role_constraints: Option<RoleConstraints>,
    /// Whether the account is enabled; `None` if the user has no role in it.
    pub account_is_enabled: Option<bool>,
}

/// The account in which a credential's role is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountChoice {
    /// No account, or an account that can't exist: there is no role.
    None,
    /// The given account.
    Given(AccountId),
    /// The account that the user was created in.
    Home,
}

impl From<Option<AccountId>> for AccountChoice {
    fn from(account: Option<AccountId>) -> Self {
        account.map_or(Self::None, Self::Given)
    }
}

/// Why a token may not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The user is suspended.
    #[error("the token's user is suspended")]
    Suspended,
    /// The identity provider hasn't confirmed the user yet.
    #[error("the token's user is pending")]
    Pending,
    /// The user is disabled.
    #[error("the token's user is disabled")]
    Disabled,
}

impl Credential {
    /// Whether the token may be used at that instant. Only this function decides it.
    ///
    /// # Errors
    /// Why it may not.
    pub fn standing(&self, _now: Timestamp) -> Result<(), Refusal> {
        standing_of_user(self.state, self.is_enabled)
    }
}

impl User {
    /// Whether the user is active and enabled, so that its tokens may be used.
    #[must_use]
    pub const fn takes_part(&self) -> bool {
        standing_of_user(self.state, self.is_enabled).is_ok()
    }
}

/// Whether a user's state allows the use of its tokens.
const fn standing_of_user(state: UserState, is_enabled: bool) -> Result<(), Refusal> {
    match (state, is_enabled) {
        (UserState::Suspended, _) => Err(Refusal::Suspended),
        (UserState::Pending, _) => Err(Refusal::Pending),
        (UserState::Active, false) => Err(Refusal::Disabled),
        (UserState::Active, true) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(state: UserState, is_enabled: bool) -> Credential {
        Credential {
            token_id: TokenId::nil(),
            token_name: ResourceName::stored("x".to_owned()),
            issued_at: Timestamp::from_micros(0),
            refused_at: None,
            user_id: UserId::nil(),
            email: Email::stored("x@example.com".to_owned()),
            state,
            is_enabled,
            home: AccountId::nil(),
            last_act_at: None,
            role: None,
            role_constraints: None,
            account_is_enabled: None,
        }
    }

    #[test]
    fn a_token_may_be_used_while_its_user_is_active_and_enabled() {
        for (state, is_enabled, standing) in [
            (UserState::Active, true, Ok(())),
            (UserState::Active, false, Err(Refusal::Disabled)),
            (UserState::Suspended, true, Err(Refusal::Suspended)),
            (UserState::Suspended, false, Err(Refusal::Suspended)),
            (UserState::Pending, true, Err(Refusal::Pending)),
        ] {
            let credential = credential(state, is_enabled);
            for now in [i64::MIN, 0, i64::MAX] {
                assert_eq!(credential.standing(Timestamp::from_micros(now)), standing, "{state} {is_enabled} {now}");
            }
        }
    }

    #[test]
    fn neither_the_role_nor_its_account_decides_about_the_token() {
        let mut credential = credential(UserState::Active, true);
        (credential.role, credential.account_is_enabled) = (Some(Role::Viewer), Some(false));
        credential.refused_at = Some(Timestamp::from_micros(0));
        assert_eq!(credential.standing(Timestamp::from_micros(1)), Ok(()));
    }

    #[test]
    fn an_account_that_cannot_exist_is_none() {
        assert_eq!(AccountChoice::from(None), AccountChoice::None);
        assert_eq!(AccountChoice::from(Some(AccountId::nil())), AccountChoice::Given(AccountId::nil()));
    }
}
