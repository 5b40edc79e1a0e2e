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

/// A mark that clients put on a resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Object)]
#[oai(deny_unknown_fields)]
pub struct Label {
    /// What is told: 1 to 127 characters, none of them a control character.
    pub name: String,
    /// What is told of it: up to 1,023 characters, none of them a control character.
    pub value: String,
}

/// Where a resource comes from, and the marks that clients have put on it.
#[derive(Debug, Clone, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub struct Metadata {
    /// The clients' marks, in the order in which they were given.
    #[oai(validator(unique_items))]
    pub labels: Vec<Label>,
    /// When the resource was created.
    pub creation_timestamp: Time,
    /// When the resource was last modified; when it was created, until then.
    pub modification_timestamp: Time,
    /// The user who created the resource.
    pub created_by: UserId,
    /// The user who last modified the resource. Absent until the first modification.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    pub modified_by: Option<UserId>,
}

/// The marks to put on a resource. Everything else that answers have here may be sent back, and is ignored.
#[derive(Debug, Clone, Default, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, rename = "MetadataChange")]
pub struct MetadataChange {
    /// All the marks that the resource shall have: at most 64, no two alike.
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

/// The labels that a body asks for, if it says anything of them.
pub(in crate::api) fn labels(given: Option<MetadataChange>, faults: &mut FieldErrors) -> Option<Labels> {
    let labels = given?.labels?.into_iter().map(|label| label::Label { name: label.name, value: label.value });
    faults.check("metadata.labels", Labels::parse(labels.collect()))
}
