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
    /// The state of a user. Local users are never `pending`.
    UserState = UserState
);
choice!(
    /// The identity provider of a user.
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
    /// The user's state: a suspended user's tokens are refused.
    pub state: UserState,
    /// Whether the user is enabled: a disabled user's tokens are refused.
    pub is_enabled: Flag,
    /// The user's identifier at the identity provider.
    #[serde(rename = "authID")]
    #[oai(rename = "authID")]
    pub auth_id: String,
    /// The user's identity provider.
    pub auth_provider: AuthProvider,
    /// The user's first name. May be empty.
    #[oai(validator(max_length = 63))]
    pub first_name: String,
    /// The user's last name. May be empty.
    #[oai(validator(max_length = 63))]
    pub last_name: String,
    /// The user's company.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none, validator(min_length = 1, max_length = 63))]
    pub company_name: Option<String>,
    /// The user's email address; unique within the account without regard to case.
    pub email: String,
    /// The user's phone number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    pub phone: Option<String>,
    /// The user's postal address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    pub postal_address: Option<PostalAddress>,
    /// Always `false`: this server sends no mail.
    pub send_welcome_email: Flag,
    /// When the user was last enabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    pub enable_timestamp: Option<Time>,
    /// When the user last authenticated, accurate to about a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    pub last_act_timestamp: Option<Time>,
    /// The user's labels, creation and last modification.
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
    /// The user's identifier at the identity provider; the email, if left out.
    #[oai(rename = "authID")]
    pub auth_id: Option<String>,
    /// The user's identity provider; `local`, if left out.
    pub auth_provider: Option<AuthProvider>,
    /// The user's first name, in any script.
    #[oai(validator(max_length = 63))]
    pub first_name: Option<String>,
    /// The user's last name, in any script.
    #[oai(validator(max_length = 63))]
    pub last_name: Option<String>,
    /// The user's company.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub company_name: Option<String>,
    /// The user's email address: 3 to 254 characters, with one `@` that is neither first nor last. Unique within the
    /// account without regard to case.
    pub email: String,
    /// The user's phone number.
    pub phone: Option<String>,
    /// The user's postal address.
    pub postal_address: Option<PostalAddress>,
    /// Ignored: this server sends no mail.
    pub send_welcome_email: Option<Flag>,
    /// The user's labels.
    pub metadata: Option<MetadataChange>,
}

/// Changes to a user. Fields that are left out stay unchanged. Users may change their own names, company, phone and
/// postal address; everything else may be changed by admins and owners only.
#[derive(Debug, Clone, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
pub struct UserChange {
    /// The media type of the resource.
    pub r#type: UserType,
    /// The version of the resource's schema.
    pub version: UserVersion,
    /// If given, must be the user's id.
    pub id: Option<UserId>,
    /// `suspended`: the user's tokens are refused; `active`: they work again.
    pub state: Option<UserState>,
    /// `false`: the user's tokens are refused; `true`: they work again.
    pub is_enabled: Option<Flag>,
    /// A new identifier at the identity provider.
    #[oai(rename = "authID")]
    pub auth_id: Option<String>,
    /// If given, must be the user's identity provider.
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
    /// A new email address.
    pub email: Option<String>,
    /// A new phone number.
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

/// Checks an optional text of a body.
fn text(name: &str, given: Option<String>, faults: &mut FieldErrors) -> Option<FreeText> {
    given.and_then(|text| faults.check(name, FreeText::parse(&text)))
}

/// Checks the `authID` of a body. It may be as long as the email that it defaults to.
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
