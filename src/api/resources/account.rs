//! Accounts over HTTP (spec/contract/CONTRACT.md §9).

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
        Refused,
        account::{self, AccountState},
        id::AccountId,
        name::{Email, FreeText, ResourceName},
    },
    service::{self, error::FieldErrors},
    store::account::FIELDS,
};

resource! {
    /// Media type of an account.
    AccountType = "application/astra-account",
    /// The version of an account's schema.
    AccountVersion = "1.0";
    Account of account::Account, FIELDS, NewAccount, AccountChange
}

choice!(
    /// The state of an account. On this server it is always `active`.
    AccountState = AccountState
);

/// A tenant: the contents of an account are invisible from other accounts.
#[derive(Debug, Clone, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub struct Account {
    /// The media type of the resource.
    pub r#type: AccountType,
    /// The version of the resource's schema.
    pub version: AccountVersion,
    /// The account's id.
    pub id: AccountId,
    /// The account's name. Need not be unique.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub name: String,
    /// The account's state: always `active`.
    pub state: AccountState,
    /// Whether the account is enabled. A disabled account refuses everyone but its owners.
    pub is_enabled: Flag,
    /// When the account was last enabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    pub enabled_timestamp: Option<Time>,
    /// The contact for the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    pub account_contact: Option<AccountContact>,
    /// The account's labels, creation and last modification.
    pub metadata: Metadata,
}

/// The contact for an account. All fields but `companyName`, `phone` and `streetAddress2` are required.
#[derive(Debug, Clone, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccountContact {
    /// The contact's first name.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub first_name: String,
    /// The contact's last name.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub last_name: String,
    /// The contact's company.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none, validator(min_length = 1, max_length = 63))]
    pub company_name: Option<String>,
    /// The contact's email address.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub email: String,
    /// The contact's phone number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none, validator(min_length = 1, max_length = 31))]
    pub phone: Option<String>,
    /// The contact's postal address.
    pub postal_address: PostalAddress,
}

/// A new contact for an account. It replaces the present contact, so all fields that a contact requires must be given.
#[derive(Debug, Clone, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccountContactChange {
    /// The contact's first name.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub first_name: Option<String>,
    /// The contact's last name.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub last_name: Option<String>,
    /// The contact's company.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub company_name: Option<String>,
    /// The contact's email address.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub email: Option<String>,
    /// The contact's phone number.
    #[oai(validator(min_length = 1, max_length = 31))]
    pub phone: Option<String>,
    /// The contact's postal address.
    pub postal_address: Option<PostalAddressChange>,
}

/// The postal address of a new contact.
#[derive(Debug, Clone, Default, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
pub struct PostalAddressChange {
    /// The country, as two letters (ISO 3166-1).
    #[oai(validator(min_length = 2, max_length = 2))]
    pub address_country: Option<String>,
    /// The town.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub address_locality: Option<String>,
    /// The state or province.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub address_region: Option<String>,
    /// The postal code.
    #[oai(validator(min_length = 1, max_length = 31))]
    pub postal_code: Option<String>,
    /// Street and number.
    #[oai(rename = "streetAddress1", validator(min_length = 1, max_length = 63))]
    pub street_address_1: Option<String>,
    /// The second line of the street address.
    #[oai(rename = "streetAddress2", validator(min_length = 1, max_length = 63))]
    pub street_address_2: Option<String>,
}

/// An account to be created.
#[derive(Debug, Clone, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewAccount {
    /// The media type of the resource.
    pub r#type: AccountType,
    /// The version of the resource's schema.
    pub version: AccountVersion,
    /// The account's name: printable ASCII, under the same rules as a token's name.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub name: String,
    /// The account's labels.
    pub metadata: Option<MetadataChange>,
}

/// Changes to an account. Fields that are left out stay unchanged.
#[derive(Debug, Clone, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccountChange {
    /// The media type of the resource.
    pub r#type: AccountType,
    /// The version of the resource's schema.
    pub version: AccountVersion,
    /// If given, must be the account's id.
    pub id: Option<AccountId>,
    /// A new name.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub name: Option<String>,
    /// If given, must be `active`.
    pub state: Option<AccountState>,
    /// `false` disables the account, which then refuses everyone but its owners; `true` enables it again.
    pub is_enabled: Option<Flag>,
    /// Ignored.
    pub enabled_timestamp: Option<Time>,
    /// A new contact, in place of the present one.
    pub account_contact: Option<AccountContactChange>,
    /// New labels, in place of all present ones.
    pub metadata: Option<MetadataChange>,
}

impl From<account::Account> for Account {
    fn from(account: account::Account) -> Self {
        Self {
            r#type: AccountType,
            version: AccountVersion,
            id: account.id,
            name: account.name.to_string(),
            state: AccountState::Active,
            is_enabled: Flag(account.is_enabled),
            enabled_timestamp: account.enabled_at.map(Time),
            account_contact: account.contact.map(Into::into),
            metadata: account.metadata.into(),
        }
    }
}

impl From<account::AccountContact> for AccountContact {
    fn from(contact: account::AccountContact) -> Self {
        Self {
            first_name: contact.first_name.to_string(),
            last_name: contact.last_name.to_string(),
            company_name: contact.company_name.map(|text| text.to_string()),
            email: contact.email.to_string(),
            phone: contact.phone.map(|text| text.to_string()),
            postal_address: contact.postal_address.into(),
        }
    }
}

/// Checks that a required field of a contact is given.
fn needed(name: &str, given: Option<String>, faults: &mut FieldErrors) -> Option<String> {
    let name = format!("accountContact.{name}");
    faults.check(&name, given.ok_or_else(|| Refused("must be given with the contact".to_owned())))
}

impl AccountContactChange {
    fn checked(self, faults: &mut FieldErrors) -> Option<account::AccountContact> {
        let text = |name: &str, given: Option<String>, faults: &mut FieldErrors| {
            let text = needed(name, given, faults)?;
            faults.check(&format!("accountContact.{name}"), FreeText::parse(&text))
        };
        let first_name = text("firstName", self.first_name, faults);
        let last_name = text("lastName", self.last_name, faults);
        let company_name = self.company_name.and_then(|company| text("companyName", Some(company), faults));
        let phone = self.phone.and_then(|phone| text("phone", Some(phone), faults));
        let email = needed("email", self.email, faults)
            .and_then(|email| faults.check("accountContact.email", Email::parse(&email)));
        let given = self.postal_address.unwrap_or_default();
        let mut line = |name: &str, given: Option<String>| needed(&format!("postalAddress.{name}"), given, faults);
        let country = line("addressCountry", given.address_country);
        let locality = line("addressLocality", given.address_locality);
        let region = line("addressRegion", given.address_region);
        let code = line("postalCode", given.postal_code);
        let street = line("streetAddress1", given.street_address_1);
        let address = PostalAddress {
            address_country: country?,
            address_locality: locality?,
            address_region: region?,
            postal_code: code?,
            street_address_1: street?,
            street_address_2: given.street_address_2,
        };
        let postal_address = address.checked("accountContact.postalAddress", faults)?;
        Some(account::AccountContact {
            first_name: first_name?,
            last_name: last_name?,
            company_name,
            email: email?,
            phone,
            postal_address,
        })
    }
}

impl TryFrom<NewAccount> for account::NewAccount {
    type Error = service::Error;

    fn try_from(new: NewAccount) -> service::Result<Self> {
        let mut faults = FieldErrors::default();
        let name = faults.check("name", ResourceName::parse(&new.name));
        let labels = labels(new.metadata, &mut faults).unwrap_or_default();
        faults.or_invalid(name).map(|name| Self { name, labels })
    }
}

impl TryFrom<AccountChange> for account::AccountChange {
    type Error = service::Error;

    fn try_from(change: AccountChange) -> service::Result<Self> {
        let mut faults = FieldErrors::default();
        if change.state.is_some_and(|state| state != AccountState::Active) {
            faults.refuse("state", "must be active");
        }
        let change = Self {
            id: change.id,
            name: change.name.and_then(|name| faults.check("name", ResourceName::parse(&name))),
            is_enabled: change.is_enabled.map(|flag| flag.0),
            contact: change.account_contact.and_then(|contact| contact.checked(&mut faults)),
            labels: labels(change.metadata, &mut faults),
        };
        faults.or_invalid(Some(change))
    }
}
