//! Postal addresses.

use serde::{Deserialize, Serialize};

use super::name::FreeText;

/// Where letters reach somebody. Members are called as on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PostalAddress {
    /// The country's two letters.
    pub address_country: FreeText,
    /// The town.
    pub address_locality: FreeText,
    /// The state or province.
    pub address_region: FreeText,
    /// The postal code.
    pub postal_code: FreeText,
    /// Street and number.
    #[serde(rename = "streetAddress1")]
    pub street_address_1: FreeText,
    /// What else the street's address needs.
    #[serde(rename = "streetAddress2")]
    pub street_address_2: Option<FreeText>,
}
