//! Postal addresses on the wire.

use poem_openapi::Object;
use serde::Serialize;

use crate::{
    domain::{name::FreeText, postal_address},
    service::error::FieldErrors,
};

/// A postal address.
#[derive(Debug, Clone, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
pub struct PostalAddress {
    /// The country, as two letters (ISO 3166-1).
    #[oai(validator(min_length = 2, max_length = 2))]
    pub address_country: String,
    /// The town.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub address_locality: String,
    /// The state or province.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub address_region: String,
    /// The postal code.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub postal_code: String,
    /// Street and number.
    #[serde(rename = "streetAddress1")]
    #[oai(rename = "streetAddress1", validator(min_length = 1, max_length = 63))]
    pub street_address_1: String,
    /// The second line of the street address.
    #[serde(rename = "streetAddress2", skip_serializing_if = "Option::is_none")]
    #[oai(rename = "streetAddress2", skip_serializing_if_is_none, validator(min_length = 1, max_length = 63))]
    pub street_address_2: Option<String>,
}

impl From<postal_address::PostalAddress> for PostalAddress {
    fn from(address: postal_address::PostalAddress) -> Self {
        Self {
            address_country: address.address_country.to_string(),
            address_locality: address.address_locality.to_string(),
            address_region: address.address_region.to_string(),
            postal_code: address.postal_code.to_string(),
            street_address_1: address.street_address_1.to_string(),
            street_address_2: address.street_address_2.map(|text| text.to_string()),
        }
    }
}

impl PostalAddress {
    /// Checks the address of a body; faults are reported with names below that field.
    pub(in crate::api) fn checked(
        self,
        field: &str,
        faults: &mut FieldErrors,
    ) -> Option<postal_address::PostalAddress> {
        let mut text = |name: &str, text: &str| faults.check(&format!("{field}.{name}"), FreeText::parse(text));
        let address_country = text("addressCountry", &self.address_country);
        let address_locality = text("addressLocality", &self.address_locality);
        let address_region = text("addressRegion", &self.address_region);
        let postal_code = text("postalCode", &self.postal_code);
        let street_address_1 = text("streetAddress1", &self.street_address_1);
        let street_address_2 = self.street_address_2.and_then(|line| text("streetAddress2", &line));
        Some(postal_address::PostalAddress {
            address_country: address_country?,
            address_locality: address_locality?,
            address_region: address_region?,
            postal_code: postal_code?,
            street_address_1: street_address_1?,
            street_address_2,
        })
    }
}
