//! Users: whose tokens they are.

use std::{fmt, str::FromStr};

use super::{
    Refused,
    clock::Timestamp,
    id::{AccountId, UserId},
    metadata::Metadata,
    name::{Email, PersonName},
};

/// Whether a user takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserState {
    /// Its tokens work.
    Active,
    /// Its tokens are refused until it is active again.
    Suspended,
}

impl UserState {
    /// The wire's and the store's spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }
}

impl fmt::Display for UserState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for UserState {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        match text {
            "active" => Ok(Self::Active),
            "suspended" => Ok(Self::Suspended),
            _ => Err(Refused::because("must be active or suspended")),
        }
    }
}

/// A person or a program that holds tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// The account that it was created in.
    pub account_id: AccountId,
    /// How it is reached; unique within the account without regard to case.
    pub email: Email,
    /// May be empty.
    pub first_name: PersonName,
    /// May be empty.
    pub last_name: PersonName,
    /// Whether it takes part.
    pub state: UserState,
    /// A second switch beside the state, as the published API has it.
    pub is_enabled: bool,
    /// When it was enabled last.
    pub enabled_at: Option<Timestamp>,
    /// Its history.
    pub metadata: Metadata,
}
