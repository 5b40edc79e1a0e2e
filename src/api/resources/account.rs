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
    /// How far the account's life has come. Here it is always `active`.
    AccountState = AccountState
);

/// A tenant: what lies in one account is invisible from another.
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
    /// What the account is called. Need not be unique.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub name: String,
    /// How far the account's life has come: it is `active`.
    pub state: AccountState,
    /// A disabled account refuses everyone but its owners.
    pub is_enabled: Flag,
    /// When the account was enabled last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    pub enabled_timestamp: Option<Time>,
    /// Who answers for the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    pub account_contact: Option<AccountContact>,
    /// Where the account comes from, and its labels.
    pub metadata: Metadata,
}

/// Who answers for an account. All but company, phone and the second line of the street is needed.
#[derive(Debug, Clone, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccountContact {
    /// A first name.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub first_name: String,
    /// A last name.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub last_name: String,
    /// A company.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none, validator(min_length = 1, max_length = 63))]
    pub company_name: Option<String>,
    /// An address to write to.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub email: String,
    /// A number to call.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none, validator(min_length = 1, max_length = 31))]
    pub phone: Option<String>,
    /// Where letters go.
    pub postal_address: PostalAddress,
}

/// Who shall answer for an account. In place of the present contact, and so with all that a contact needs.
#[derive(Debug, Clone, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccountContactChange {
    /// A first name.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub first_name: Option<String>,
    /// A last name.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub last_name: Option<String>,
    /// A company.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub company_name: Option<String>,
    /// An address to write to.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub email: Option<String>,
    /// A number to call.
    #[oai(validator(min_length = 1, max_length = 31))]
    pub phone: Option<String>,
    /// Where letters go.
    pub postal_address: Option<PostalAddressChange>,
}

/// Where letters to an account shall go.
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
    /// What else the street's address needs.
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
    /// What to call the account: printable ASCII, as for tokens.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub name: String,
    /// The account's labels.
    pub metadata: Option<MetadataChange>,
}

/// What shall change about an account. What is left out stays as it is.
#[derive(Debug, Clone, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccountChange {
    /// The media type of the resource.
    pub r#type: AccountType,
    /// The version of the resource's schema.
    pub version: AccountVersion,
    /// If given, the id that the account has.
    pub id: Option<AccountId>,
    /// A new name.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub name: Option<String>,
    /// If given, `active`.
    pub state: Option<AccountState>,
    /// `false` refuses everyone but the owners, `true` takes that back.
    pub is_enabled: Option<Flag>,
    /// Ignored.
    pub enabled_timestamp: Option<Time>,
    /// Who shall answer for the account.
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

/// What a contact can't do without.
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
