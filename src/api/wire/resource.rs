//! The traits of resources and their representations (spec/contract/CONTRACT.md §4), and the macro that implements
//! them.

use poem_openapi::types::{ParseFromJSON, Type};
use serde::Serialize;

use super::{
    json::to_json,
    metadata::Metadata,
    validators::{Validators, etag},
};
use crate::{
    domain::collection::{Field, Kind},
    service::Result,
};

/// A resource as clients see it.
pub(in crate::api) trait Resource: Type + Serialize {
    /// The resource's media type with `+json`, spelled as published.
    const MEDIA_TYPE: &'static str;
    /// The `type` of a collection of such resources.
    const COLLECTION_TYPE: &'static str;
    /// The `version` of the resource and of a collection of such resources.
    const VERSION: &'static str;
    /// The fields that `filter`, `orderBy` and `include` may name.
    fn fields() -> &'static [Field];
    /// The resource's id.
    fn id(&self) -> String;
    /// The resource's metadata.
    fn metadata(&self) -> &Metadata;

    /// The resource's JSON, and its validators for conditional requests: the MD5 of the JSON, and the last
    /// modification.
    ///
    /// # Errors
    /// When the resource can't be serialized.
    fn representation(&self) -> Result<Representation> {
        let json = to_json(self)?;
        let validators = Validators { etag: etag(&json), modified_at: self.metadata().modification_timestamp.0 };
        Ok(Representation { json, validators })
    }
}

/// A resource as JSON, with its validators.
pub(in crate::api) struct Representation {
    pub json: Vec<u8>,
    pub validators: Validators,
}

/// A type of the domain that clients see as a resource.
pub(in crate::api) trait Represented: Clone {
    /// The resource that clients see.
    type Resource: Resource + From<Self>;
}

/// Defines the type and version of a resource in one place: its own type, the type of a collection, the media type, and
/// the request bodies that create or change it.
///
/// ```text
/// resource! {
///     TokenType = "application/astra-token", TokenVersion = "1.0";
///     Token of token::Token, FIELDS, NewToken, TokenChange
/// }
/// ```
///
/// The resource must have the members `id` and `metadata`.
macro_rules! resource {
    (
        $(#[doc = $type_doc:literal])* $type:ident = $name:literal,
        $(#[doc = $version_doc:literal])* $version:ident = $newest:literal $(or $older:literal)*;
        $resource:ident of $noun:ty, $fields:expr $(, $draft:ident)*
    ) => {
        crate::api::wire::scalar::constant!($(#[doc = $type_doc])* $type = $name);
        crate::api::wire::scalar::constant!($(#[doc = $version_doc])* $version = $newest $(or $older)*);

        impl crate::api::wire::resource::Resource for $resource {
            const MEDIA_TYPE: &'static str = concat!($name, "+json");
            const COLLECTION_TYPE: &'static str = concat!($name, "s");
            const VERSION: &'static str = $newest;

            fn fields() -> &'static [crate::domain::collection::Field] {
                static ALL: std::sync::LazyLock<Vec<crate::domain::collection::Field>> =
                    std::sync::LazyLock::new(|| crate::api::wire::resource::with_constants($name, $newest, $fields));
                &ALL
            }

            fn id(&self) -> String {
                self.id.to_string()
            }

            fn metadata(&self) -> &crate::api::wire::metadata::Metadata {
                &self.metadata
            }
        }

        impl crate::api::wire::resource::Represented for $noun {
            type Resource = $resource;
        }

        $(impl crate::api::wire::resource::RequestResource for $draft {
            const MEDIA_TYPE: &'static str = <$resource as crate::api::wire::resource::Resource>::MEDIA_TYPE;
        })*
    };
}
pub(in crate::api) use resource;

/// The fields of a resource: the constants `type` and `version`, and the fields in the store.
pub(in crate::api) fn with_constants(name: &'static str, version: &'static str, stored: &[Field]) -> Vec<Field> {
    let constants = [("type", name), ("version", version)].map(|(path, value)| Field::new(path, Kind::Constant(value)));
    constants.into_iter().chain(stored.iter().copied()).collect()
}

/// The body of a request.
pub(in crate::api) trait RequestResource: ParseFromJSON {
    /// The media type that `Content-Type` may name in addition to `application/json`.
    const MEDIA_TYPE: &'static str;
}
