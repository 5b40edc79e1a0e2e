//! Postal addresses.

use serde::{Deserialize, Serialize};

use super::name::FreeText;

/// A postal address, serialized with the field names of the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PostalAddress {
    /// The country's two-letter code.
    pub address_country: FreeText,
    /// The town.
    pub address_locality: FreeText,
    /// The state or province.
    pub address_region: FreeText,
    /// The postal code.
    pub postal_code: FreeText,
    /// The street and number.
    #[serde(rename = "streetAddress1")]
    pub street_address_1: FreeText,
    /// The second line of the street address.
    #[serde(rename = "streetAddress2")]
    pub street_address_2: Option<FreeText>,
}
