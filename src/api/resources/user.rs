//! Users over HTTP (spec/contract/CONTRACT.md §9).

use poem_openapi::Object;
use serde::Serialize;

use super::postal_address::PostalAddress;
use crate::{
    api::wire::{
        metadata::{Metadata, MetadataChange, labels},
        resource::resource,
        scalar::{Flag, Time, choice},
    },
    domain::{
        id::UserId,
        name::{Email, FreeText},
        user::{self, AuthProvider, UserState},
    },
    service::{self, error::FieldErrors},
    store::user::FIELDS,
};

resource! {
    /// Media type of a user.
    UserType = "application/astra-user",
    /// The version of a user's schema.
    UserVersion = "1.2" or "1.1" or "1.0";
    User of user::User, FIELDS, NewUser, UserChange
}

choice!(
    /// Whether a user takes part. Local users are never `pending`.
    UserState = UserState
);
choice!(
    /// Who vouches for a user's identity.
    AuthProvider = AuthProvider
);

/// A person or a program that holds tokens.
#[derive(Debug, Clone, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub struct User {
    /// The media type of the resource.
    pub r#type: UserType,
    /// The version of the resource's schema.
    pub version: UserVersion,
    /// The user's id.
    pub id: UserId,
    /// Whether the user takes part: a suspended user's tokens are refused.
    pub state: UserState,
    /// Whether the user is switched on: a disabled user's tokens are refused.
    pub is_enabled: Flag,
    /// The name by which the provider knows the user.
    #[serde(rename = "authID")]
    #[oai(rename = "authID")]
    pub auth_id: String,
    /// Who vouches for the user's identity.
    pub auth_provider: AuthProvider,
    /// May be empty.
    #[oai(validator(max_length = 63))]
    pub first_name: String,
    /// May be empty.
    #[oai(validator(max_length = 63))]
    pub last_name: String,
    /// For whom the user works.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none, validator(min_length = 1, max_length = 63))]
    pub company_name: Option<String>,
    /// How the user is reached; unique within the account without regard to case.
    pub email: String,
    /// How the user is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    pub phone: Option<String>,
    /// Where the user gets its letters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    pub postal_address: Option<PostalAddress>,
    /// Always `false`: this server sends no mail.
    pub send_welcome_email: Flag,
    /// When the user was enabled last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    pub enable_timestamp: Option<Time>,
    /// When the user last authenticated, give or take a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    pub last_act_timestamp: Option<Time>,
    /// Where the user comes from, and its labels.
    pub metadata: Metadata,
}

/// A user to be created.
#[derive(Debug, Clone, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewUser {
    /// The media type of the resource.
    pub r#type: UserType,
    /// The version of the resource's schema.
    pub version: UserVersion,
    /// The name by which the provider knows the user; the email, if left out.
    #[oai(rename = "authID")]
    pub auth_id: Option<String>,
    /// Who vouches for the user's identity; `local`, if left out.
    pub auth_provider: Option<AuthProvider>,
    /// A first name, in any script.
    #[oai(validator(max_length = 63))]
    pub first_name: Option<String>,
    /// A last name, in any script.
    #[oai(validator(max_length = 63))]
    pub last_name: Option<String>,
    /// For whom the user works.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub company_name: Option<String>,
    /// How the user is reached: 3 to 254 characters, one `@` with something on both sides. No two users of an account
    /// have the same, however it is spelled.
    pub email: String,
    /// How the user is called.
    pub phone: Option<String>,
    /// Where the user gets its letters.
    pub postal_address: Option<PostalAddress>,
    /// Ignored: this server sends no mail.
    pub send_welcome_email: Option<Flag>,
    /// The user's labels.
    pub metadata: Option<MetadataChange>,
}

/// What shall change about a user. What is left out stays as it is. Users may change their own names, company, phone
/// and postal address; all else is for admins and owners.
#[derive(Debug, Clone, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
pub struct UserChange {
    /// The media type of the resource.
    pub r#type: UserType,
    /// The version of the resource's schema.
    pub version: UserVersion,
    /// If given, the id that the user has.
    pub id: Option<UserId>,
    /// `suspended` has the user's tokens refused, `active` makes them work again.
    pub state: Option<UserState>,
    /// `false` has the user's tokens refused, `true` makes them work again.
    pub is_enabled: Option<Flag>,
    /// A new name with the provider.
    #[oai(rename = "authID")]
    pub auth_id: Option<String>,
    /// If given, the provider that the user has.
    pub auth_provider: Option<AuthProvider>,
    /// A new first name.
    #[oai(validator(max_length = 63))]
    pub first_name: Option<String>,
    /// A new last name.
    #[oai(validator(max_length = 63))]
    pub last_name: Option<String>,
    /// A new company.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub company_name: Option<String>,
    /// A new email.
    pub email: Option<String>,
    /// A new phone.
    pub phone: Option<String>,
    /// A new postal address, in place of the present one.
    pub postal_address: Option<PostalAddress>,
    /// Ignored.
    pub send_welcome_email: Option<Flag>,
    /// Ignored.
    pub enable_timestamp: Option<Time>,
    /// Ignored.
    pub last_act_timestamp: Option<Time>,
    /// New labels, in place of all present ones.
    pub metadata: Option<MetadataChange>,
}

impl From<user::User> for User {
    fn from(user: user::User) -> Self {
        let text = |text: FreeText| text.to_string();
        Self {
            r#type: UserType,
            version: UserVersion,
            id: user.id,
            state: user.state,
            is_enabled: Flag(user.is_enabled),
            auth_id: user.auth_id.to_string(),
            auth_provider: user.auth_provider,
            first_name: user.profile.first_name.to_string(),
            last_name: user.profile.last_name.to_string(),
            company_name: user.profile.company_name.map(text),
            email: user.email.to_string(),
            phone: user.profile.phone.map(text),
            postal_address: user.profile.postal_address.map(Into::into),
            send_welcome_email: Flag(false),
            enable_timestamp: user.enabled_at.map(Time),
            last_act_timestamp: user.last_act_at.map(Time),
            metadata: user.metadata.into(),
        }
    }
}

/// A text that a body may give.
fn text(name: &str, given: Option<String>, faults: &mut FieldErrors) -> Option<FreeText> {
    given.and_then(|text| faults.check(name, FreeText::parse(&text)))
}

/// An id may be as long as the email that it defaults to.
fn auth_id(given: Option<String>, faults: &mut FieldErrors) -> Option<FreeText> {
    given.and_then(|id| faults.check("authID", FreeText::parse_auth_id(&id)))
}

impl TryFrom<NewUser> for user::NewUser {
    type Error = service::Error;

    fn try_from(new: NewUser) -> service::Result<Self> {
        let mut faults = FieldErrors::default();
        let email = faults.check("email", Email::parse(&new.email));
        let empty = || FreeText::stored(String::new());
        let profile = user::Profile {
            first_name: text("firstName", new.first_name, &mut faults).unwrap_or_else(empty),
            last_name: text("lastName", new.last_name, &mut faults).unwrap_or_else(empty),
            company_name: text("companyName", new.company_name, &mut faults),
            phone: text("phone", new.phone, &mut faults),
            postal_address: new.postal_address.and_then(|address| address.checked("postalAddress", &mut faults)),
        };
        let auth_id = auth_id(new.auth_id, &mut faults);
        let labels = labels(new.metadata, &mut faults).unwrap_or_default();
        let auth_provider = new.auth_provider.unwrap_or(AuthProvider::Local);
        faults.or_invalid(email).map(|email| Self { email, profile, auth_provider, auth_id, labels })
    }
}

impl TryFrom<UserChange> for user::UserChange {
    type Error = service::Error;

    fn try_from(change: UserChange) -> service::Result<Self> {
        let mut faults = FieldErrors::default();
        let change = Self {
            id: change.id,
            auth_provider: change.auth_provider,
            auth_id: auth_id(change.auth_id, &mut faults),
            email: change.email.and_then(|email| faults.check("email", Email::parse(&email))),
            state: change.state.and_then(|state| faults.check("state", state.settable())),
            is_enabled: change.is_enabled.map(|flag| flag.0),
            first_name: text("firstName", change.first_name, &mut faults),
            last_name: text("lastName", change.last_name, &mut faults),
            company_name: text("companyName", change.company_name, &mut faults),
            phone: text("phone", change.phone, &mut faults),
            postal_address: change.postal_address.and_then(|address| address.checked("postalAddress", &mut faults)),
            labels: labels(change.metadata, &mut faults),
        };
        faults.or_invalid(Some(change))
    }
}
