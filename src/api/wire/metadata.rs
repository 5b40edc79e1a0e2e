//! The `metadata` of resources on the wire.

use poem_openapi::Object;
use serde::Serialize;

use super::scalar::Time;
use crate::{
    domain::{
        id::UserId,
        label::{self, Labels},
        metadata,
    },
    service::error::FieldErrors,
};

/// A name and a value that clients attach to a resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Object)]
#[oai(deny_unknown_fields)]
pub struct Label {
    /// The label's name: 1 to 127 characters, none of them a control character.
    pub name: String,
    /// The label's value: up to 1,023 characters, none of them a control character.
    pub value: String,
}

/// A resource's labels, and when and by whom it was created and last modified.
#[derive(Debug, Clone, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub struct Metadata {
    /// The resource's labels, in the order in which they were given.
    #[oai(validator(unique_items))]
    pub labels: Vec<Label>,
    /// When the resource was created.
    pub creation_timestamp: Time,
    /// When the resource was last modified; until the first modification, when it was created.
    pub modification_timestamp: Time,
    /// The user who created the resource.
    pub created_by: UserId,
    /// The user who last modified the resource. Absent until the first modification.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    pub modified_by: Option<UserId>,
}

/// The labels of a resource. The other fields that responses have here may be sent back, and are ignored.
#[derive(Debug, Clone, Default, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, rename = "MetadataChange")]
pub struct MetadataChange {
    /// All labels that the resource is to have: at most 64, no two of them equal.
    #[oai(validator(unique_items))]
    pub labels: Option<Vec<Label>>,
    /// Ignored.
    pub creation_timestamp: Option<Time>,
    /// Ignored.
    pub modification_timestamp: Option<Time>,
    /// Ignored.
    pub created_by: Option<UserId>,
    /// Ignored.
    pub modified_by: Option<UserId>,
}

impl From<metadata::Metadata> for Metadata {
    fn from(metadata: metadata::Metadata) -> Self {
        let labels = metadata.labels.as_slice().iter();
        Self {
            labels: labels.map(|label| Label { name: label.name.clone(), value: label.value.clone() }).collect(),
            creation_timestamp: Time(metadata.created_at),
            modification_timestamp: Time(metadata.modified_at),
            created_by: metadata.created_by,
            modified_by: metadata.modified_by,
        }
    }
}

/// Checks the labels of a body; `None` if the body has none or they are invalid.
pub(in crate::api) fn labels(given: Option<MetadataChange>, faults: &mut FieldErrors) -> Option<Labels> {
    let labels = given?.labels?.into_iter().map(|label| label::Label { name: label.name, value: label.value });
    faults.check("metadata.labels", Labels::parse(labels.collect()))
}
