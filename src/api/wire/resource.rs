//! What every resource is on the wire, and the kinds of answers about one (spec/contract/CONTRACT.md §4).

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
    /// Its media type with `+json`, spelled as published.
    const MEDIA_TYPE: &'static str;
    /// The `type` of a collection of it.
    const COLLECTION_TYPE: &'static str;
    /// The `version` of it and of a collection of it.
    const VERSION: &'static str;
    /// What filters, orders and includes may name.
    fn fields() -> &'static [Field];
    /// Its id.
    fn id(&self) -> String;
    /// Its history.
    fn metadata(&self) -> &Metadata;

    /// Its JSON, and what conditional requests are held against: the MD5 of that, and its last modification.
    ///
    /// # Errors
    /// When the resource can't be written as JSON.
    fn representation(&self) -> Result<Representation> {
        let json = to_json(self)?;
        let validators = Validators { etag: etag(&json), modified_at: self.metadata().modification_timestamp.0 };
        Ok(Representation { json, validators })
    }
}

/// A resource as it goes over the wire.
pub(in crate::api) struct Representation {
    pub json: Vec<u8>,
    pub validators: Validators,
}

/// A noun of the domain that clients see as a resource.
pub(in crate::api) trait Represented: Clone {
    /// What they see.
    type Resource: Resource + From<Self>;
}

/// What a resource is called and which version it has, once: its type, that of a collection of it, its media type; and
/// the bodies that ask for it.
///
/// ```text
/// resource! {
///     TokenType = "application/astra-token", TokenVersion = "1.0";
///     Token of token::Token, FIELDS, NewToken, TokenChange
/// }
/// ```
///
/// The resource has the members `id` and `metadata`.
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

/// The fields of a resource: its type and version, which say nothing new of any one, and those that the store knows.
pub(in crate::api) fn with_constants(name: &'static str, version: &'static str, stored: &[Field]) -> Vec<Field> {
    let constants = [("type", name), ("version", version)].map(|(path, value)| Field::new(path, Kind::Constant(value)));
    constants.into_iter().chain(stored.iter().copied()).collect()
}

/// A resource in a request.
pub(in crate::api) trait RequestResource: ParseFromJSON {
    /// Its media type with `+json`.
    const MEDIA_TYPE: &'static str;
}
