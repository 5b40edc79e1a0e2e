//! Users: the owners of tokens, and the requests to create and modify them.

use super::{
    Refused,
    clock::Timestamp,
    id::{AccountId, UserId},
    label::Labels,
    metadata::Metadata,
    name::{Email, FreeText},
    postal_address::PostalAddress,
    spelled,
};

spelled! {
    /// The state of a user.
    UserState, "must be active, suspended or pending" {
        /// The user's tokens are accepted, if the user is enabled.
        Active = "active",
        /// The user's tokens are refused until the user is active again.
        Suspended = "suspended",
        /// The identity provider hasn't confirmed the user yet. Doesn't apply to local users.
        Pending = "pending",
    }
}

impl UserState {
    /// The state, if a request may set it.
    ///
    /// # Errors
    /// When a request may not set it; the reason names the states that it may set.
    pub fn settable(self) -> Result<Self, Refused> {
        match self {
            Self::Active | Self::Suspended => Ok(self),
            Self::Pending => Err(Refused::because("must be active or suspended")),
        }
    }
}

spelled! {
    /// The identity provider of a user. Whichever it is, this service issues the tokens.
    AuthProvider, "must be local, cloud-central or ldap" {
        /// This service.
        Local = "local",
        /// A directory service in the cloud.
        CloudCentral = "cloud-central",
        /// An LDAP directory.
        Ldap = "ldap",
    }
}

/// A person or a program that holds tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The user's id.
    pub id: UserId,
    /// The account that the user was created in: its home account.
    pub account_id: AccountId,
    /// The user's email address; unique within an account without regard to case.
    pub email: Email,
    /// The fields that the user may change itself.
    pub profile: Profile,
    /// The user's identity provider.
    pub auth_provider: AuthProvider,
    /// The user's id at that provider.
    pub auth_id: FreeText,
    /// Whether the user is active, suspended or pending.
    pub state: UserState,
    /// Whether the user is enabled: a second switch in addition to the state, as in the published API.
    pub is_enabled: bool,
    /// When the user was last enabled.
    pub enabled_at: Option<Timestamp>,
    /// When the user last authenticated, to within about a minute.
    pub last_act_at: Option<Timestamp>,
    /// Labels, creation and last modification.
    pub metadata: Metadata,
}

impl User {
    /// A new local user, active and enabled, whose `auth_id` is its email.
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

    /// Applies the change. Fields that are `None` keep their value.
    pub fn apply(&mut self, new: UserChange) {
        let followed = self.auth_provider == AuthProvider::Local && self.auth_id.as_str() == self.email.as_str();
        self.email = new.email.unwrap_or_else(|| self.email.clone());
        if followed {
            // The `auth_id` of a local user is its email, unless another one was set.
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

/// The fields of a user that the user may change itself (spec/contract/CONTRACT.md §9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The first name; may be empty.
    pub first_name: FreeText,
    /// The last name; may be empty.
    pub last_name: FreeText,
    /// The company that the user works for.
    pub company_name: Option<FreeText>,
    /// The phone number.
    pub phone: Option<FreeText>,
    /// The postal address.
    pub postal_address: Option<PostalAddress>,
}

impl Profile {
    /// A profile with these names and nothing else.
    #[must_use]
    pub fn named(first_name: FreeText, last_name: FreeText) -> Self {
        Self { first_name, last_name, company_name: None, phone: None, postal_address: None }
    }
}

/// A request to create a user.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// The user's email address.
    pub email: Email,
    /// The user's names and other data of its profile.
    pub profile: Profile,
    /// The user's identity provider.
    pub auth_provider: AuthProvider,
    /// The user's id at that provider; the email if `None`.
    pub auth_id: Option<FreeText>,
    /// The labels set by the client.
    pub labels: Labels,
}

/// A request to modify a user. `None` keeps the present value; a field that can't change may be given with its present
/// value.
#[derive(Debug, Clone, Default)]
pub struct UserChange {
    /// If given, must equal the user's id.
    pub id: Option<UserId>,
    /// If given, must equal the user's identity provider.
    pub auth_provider: Option<AuthProvider>,
    /// The new id at the identity provider.
    pub auth_id: Option<FreeText>,
    /// The new email address.
    pub email: Option<Email>,
    /// The new state.
    pub state: Option<UserState>,
    /// Whether to enable or disable the user.
    pub is_enabled: Option<bool>,
    /// The new first name.
    pub first_name: Option<FreeText>,
    /// The new last name.
    pub last_name: Option<FreeText>,
    /// The new company.
    pub company_name: Option<FreeText>,
    /// The new phone number.
    pub phone: Option<FreeText>,
    /// The new postal address, which replaces the present one as a whole.
    pub postal_address: Option<PostalAddress>,
    /// The new labels, which replace all present ones.
    pub labels: Option<Labels>,
}
