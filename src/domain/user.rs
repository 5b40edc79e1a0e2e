//! Users: whose tokens they are.

use super::{
    Refused,
    clock::Timestamp,
    credential::standing_of_user,
    id::{AccountId, UserId},
    label::Labels,
    metadata::Metadata,
    name::{Email, FreeText},
    postal_address::PostalAddress,
    spelled,
};

spelled! {
    /// Whether a user takes part.
    UserState, "must be active, suspended or pending" {
        /// Its tokens work.
        Active = "active",
        /// Its tokens are refused until it is active again.
        Suspended = "suspended",
        /// Its provider hasn't confirmed it yet. No local user is.
        Pending = "pending",
    }
}

impl UserState {
    /// The state, if a user can be brought into it.
    ///
    /// # Errors
    /// Which states these are.
    pub fn settable(self) -> Result<Self, Refused> {
        match self {
            Self::Active | Self::Suspended => Ok(self),
            Self::Pending => Err(Refused::because("must be active or suspended")),
        }
    }
}

spelled! {
    /// Who vouches for a user's identity. Tokens are this service's own, whoever does.
    AuthProvider, "must be local, cloud-central or ldap" {
        /// This service.
        Local = "local",
        /// A directory in the cloud.
        CloudCentral = "cloud-central",
        /// An LDAP directory.
        Ldap = "ldap",
    }
}

/// A person or a program that holds tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// The account that it was created in: its home.
    pub account_id: AccountId,
    /// How it is reached; unique within an account without regard to case.
    pub email: Email,
    /// What the user says of itself.
    pub profile: Profile,
    /// Who vouches for it.
    pub auth_provider: AuthProvider,
    /// Under which name.
    pub auth_id: FreeText,
    /// Whether it takes part.
    pub state: UserState,
    /// A second switch beside the state, as the published API has it.
    pub is_enabled: bool,
    /// When it was enabled last.
    pub enabled_at: Option<Timestamp>,
    /// When it last authenticated, give or take a minute.
    pub last_act_at: Option<Timestamp>,
    /// Its history.
    pub metadata: Metadata,
}

impl User {
    /// A user that takes part from its creation on, with its email for a name.
    #[must_use]
    pub fn local(id: UserId, account_id: AccountId, email: Email, profile: Profile, metadata: Metadata) -> Self {
        Self {
            id,
            account_id,
            auth_provider: AuthProvider::Local,
            auth_id: FreeText::stored(email.to_string()),
            email,
            profile,
            state: UserState::Active,
            is_enabled: true,
            enabled_at: Some(metadata.created_at),
            last_act_at: None,
            metadata,
        }
    }

    /// Whether its tokens may be used, as far as this depends on it.
    #[must_use]
    pub fn takes_part(&self) -> bool {
        standing_of_user(self.state, self.is_enabled).is_ok()
    }
}

impl User {
    /// Takes over what is given.
    pub fn apply(&mut self, new: UserChange) {
        let followed = self.auth_provider == AuthProvider::Local && self.auth_id.as_str() == self.email.as_str();
        self.email = new.email.unwrap_or_else(|| self.email.clone());
        if followed {
            // The id by which a local user is known is its email, unless it was given another.
            self.auth_id = FreeText::stored(self.email.to_string());
        }
        self.auth_id = new
            .auth_id
            .filter(|id| !followed || id.as_str() != self.auth_id.as_str())
            .unwrap_or_else(|| self.auth_id.clone());
        self.state = new.state.unwrap_or(self.state);
        self.is_enabled = new.is_enabled.unwrap_or(self.is_enabled);
        let profile = &mut self.profile;
        profile.first_name = new.first_name.unwrap_or_else(|| profile.first_name.clone());
        profile.last_name = new.last_name.unwrap_or_else(|| profile.last_name.clone());
        profile.company_name = new.company_name.or_else(|| profile.company_name.clone());
        profile.phone = new.phone.or_else(|| profile.phone.clone());
        profile.postal_address = new.postal_address.or_else(|| profile.postal_address.clone());
        self.metadata.labels = new.labels.unwrap_or_else(|| self.metadata.labels.clone());
    }
}

/// What users may change about themselves (spec/contract/CONTRACT.md §9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// May be empty.
    pub first_name: FreeText,
    /// May be empty.
    pub last_name: FreeText,
    /// For whom it works.
    pub company_name: Option<FreeText>,
    /// How it is called.
    pub phone: Option<FreeText>,
    /// Where it gets its letters.
    pub postal_address: Option<PostalAddress>,
}

impl Profile {
    /// A name and nothing else.
    #[must_use]
    pub fn named(first_name: FreeText, last_name: FreeText) -> Self {
        Self { first_name, last_name, company_name: None, phone: None, postal_address: None }
    }
}

/// What a client gives to have a user made.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// How it is reached.
    pub email: Email,
    /// What is said of it.
    pub profile: Profile,
    /// Who vouches for it.
    pub auth_provider: AuthProvider,
    /// Under which name; the email if none is given.
    pub auth_id: Option<FreeText>,
    /// The client's marks.
    pub labels: Labels,
}

/// What a client gives to modify a user: `None` preserves. What can't change can be repeated.
#[derive(Debug, Clone, Default)]
pub struct UserChange {
    /// Must agree with the user's.
    pub id: Option<UserId>,
    /// Must agree with the user's.
    pub auth_provider: Option<AuthProvider>,
    /// A new name with its provider.
    pub auth_id: Option<FreeText>,
    /// A new address.
    pub email: Option<Email>,
    /// Suspend, or take back.
    pub state: Option<UserState>,
    /// Disable, or enable.
    pub is_enabled: Option<bool>,
    /// A new first name.
    pub first_name: Option<FreeText>,
    /// A new last name.
    pub last_name: Option<FreeText>,
    /// A new company.
    pub company_name: Option<FreeText>,
    /// A new phone.
    pub phone: Option<FreeText>,
    /// A new postal address, in place of the present one.
    pub postal_address: Option<PostalAddress>,
    /// Labels that replace all present ones.
    pub labels: Option<Labels>,
}
