//! Strings with a fixed format: identifiers, instants and constants in JSON, in paths and in the document.

use std::borrow::Cow;

use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef, Registry},
    types::{ParseError, ParseFromJSON, ParseFromParameter, ParseResult, ToJSON, Type},
};
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::domain::{
    clock::Timestamp,
    id::{AccountId, EventId, GroupId, RoleBindingId, TokenId, UserId},
    secret::Secret,
};

/// The pattern of identifiers (spec/contract/CONTRACT.md §3).
pub(in crate::api) const IDENTIFIER: &str = "^([0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\
    |[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}|0{8}-0{4}-0{4}-0{4}-0{12})$";
/// The pattern of the published `type_astra_time`.
const TIME: &str =
    "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.,][0-9]{1,9})?Z$";
/// The pattern of the published `type_base64_data`.
const BASE64: &str = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$";

/// Implements the traits that poem-openapi needs for a string type. Its schema is registered under a name, or inlined
/// where it is used.
macro_rules! string_type {
    ($type:ty, $name:expr, $schema_ref:expr $(, register $schema:expr)? $(, registered by $other:ty)?) => {
        impl Type for $type {
            const IS_REQUIRED: bool = true;
            type RawValueType = Self;
            type RawElementValueType = Self;

            fn name() -> Cow<'static, str> {
                $name.into()
            }

            fn schema_ref() -> MetaSchemaRef {
                $schema_ref
            }

            $(fn register(registry: &mut Registry) {
                registry.create_schema::<$type, _>($name.to_owned(), |_| $schema);
            })?

            $(fn register(registry: &mut Registry) {
                <$other as Type>::register(registry);
            })?

            fn as_raw_value(&self) -> Option<&Self> {
                Some(self)
            }

            fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
                Box::new(self.as_raw_value().into_iter())
            }
        }

        impl ToJSON for $type {
            fn to_json(&self) -> Option<Value> {
                serde_json::to_value(self).ok()
            }
        }
    };
}
pub(in crate::api) use string_type;

/// The schema of a string with that pattern and description.
fn formed(pattern: &str, description: &'static str) -> MetaSchema {
    MetaSchema { pattern: Some(pattern.to_owned()), description: Some(description), ..MetaSchema::new("string") }
}

/// The schema of an enumeration of strings. Clients generated from the document get an enumeration with the name of the
/// Rust type.
pub(in crate::api) fn one_of(values: &[&str], doc: &'static str) -> MetaSchema {
    let values = values.iter().map(|value| Value::from(*value)).collect();
    MetaSchema { enum_items: values, description: Some(doc.trim_ascii_start()), ..MetaSchema::new("string") }
}

pub(in crate::api) fn text<T: Type>(value: Option<Value>) -> Result<String, ParseError<T>> {
    match value {
        Some(Value::String(text)) => Ok(text),
        other => Err(ParseError::expected_type(other.unwrap_or_default())),
    }
}

/// An identifier in a body.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Identifier(pub String);

string_type!(Identifier, "Identifier", MetaSchemaRef::Reference("Identifier".to_owned()), register formed(IDENTIFIER,
    "A lower-case UUID of version 4 or 5, or the nil UUID."));

impl ParseFromJSON for Identifier {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        text(value).map(Self)
    }
}

impl<T: ToString> From<T> for Identifier {
    fn from(id: T) -> Self {
        Self(id.to_string())
    }
}

/// An instant in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time(pub Timestamp);

string_type!(Time, "Time", MetaSchemaRef::Reference("Time".to_owned()), register formed(TIME, "An instant: RFC 3339, \
    UTC, with microseconds."));

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl ParseFromJSON for Time {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        // The pattern admits dates that don't exist, such as 31 February. That doesn't matter: instants in requests are
        // ignored (spec/contract/CONTRACT.md §6).
        let at = Timestamp::parse(&text(value)?).map_or(Timestamp::from_micros(0), |(at, _)| at);
        Ok(Self(at))
    }
}

/// A bearer secret, in the only body that shows it.
#[derive(Debug, Clone)]
pub struct ShownSecret(pub Secret);

string_type!(ShownSecret, "Secret", MetaSchemaRef::Reference("Secret".to_owned()), register formed(BASE64, "A bearer \
    token. It is shown this once; the server keeps no more than a digest of it."));

impl Serialize for ShownSecret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}

impl ParseFromJSON for ShownSecret {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        Secret::parse(&text(value)?).map(Self).map_err(ParseError::custom)
    }
}

/// An opaque position in a collection.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Continuation(pub String);

string_type!(Continuation, "Continuation", MetaSchemaRef::Reference("Continuation".to_owned()), register formed(BASE64,
    "Where the next page begins. Opaque: send it back as it is."));

impl ParseFromJSON for Continuation {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        text(value).map(Self)
    }
}

/// Typed identifiers, in paths and in bodies: in the document, each has the schema `Identifier`.
macro_rules! identifiers {
    ($($id:ty),*) => {$(
        string_type!($id, "Identifier", Identifier::schema_ref(), registered by Identifier);

        impl Serialize for $id {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl ParseFromJSON for $id {
            fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
                text(value)?.parse().map_err(ParseError::custom)
            }
        }

        // The gate replaces malformed identifiers with the nil UUID.
        impl ParseFromParameter for $id {
            fn parse_from_parameter(value: &str) -> ParseResult<Self> {
                value.parse().map_err(ParseError::custom)
            }
        }
    )*};
}

identifiers!(AccountId, UserId, GroupId, TokenId, RoleBindingId, EventId);

/// `constant!(TokenType = "application/astra-token")`: a string that has one value in responses; requests may also give
/// the values after `or`.
macro_rules! constant {
    ($(#[doc = $doc:literal])* $name:ident = $answer:literal $(or $other:literal)*) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name;

        const _: () = {
            #[allow(unused_imports, clippy::allow_attributes, reason = "what the macro below names")]
            use poem_openapi::{
                registry::{MetaSchemaRef, Registry},
                types::{ParseFromJSON, ParseResult, ToJSON, Type},
            };
            use {serde_json::Value, std::borrow::Cow};

            crate::api::wire::scalar::string_type!($name, stringify!($name), MetaSchemaRef::Reference(stringify!($name)
                .to_owned()), register
                crate::api::wire::scalar::one_of(&[$answer, $($other),*], concat!($($doc),*)));

            impl serde::Serialize for $name {
                fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.serialize_str($answer)
                }
            }

            impl ParseFromJSON for $name {
                fn parse_from_json(_: Option<Value>) -> ParseResult<Self> {
                    Ok(Self)
                }
            }
        };
    };
}
pub(in crate::api) use constant;

/// `choice!(UserState = user::UserState)`: an enumeration of the domain, which defines the spelling of its values.
macro_rules! choice {
    ($(#[doc = $doc:literal])* $name:ident = $value:ty) => {
        const _: () = {
            #[allow(unused_imports, clippy::allow_attributes, reason = "what the macro below names")]
            use poem_openapi::{
                registry::{MetaSchemaRef, Registry},
                types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type},
            };
            use {serde_json::Value, std::borrow::Cow};

            crate::api::wire::scalar::string_type!($value, stringify!($name),
                MetaSchemaRef::Reference(stringify!($name).to_owned()), register
                crate::api::wire::scalar::one_of(&<$value>::ALL.iter().map(|value| value.as_str()).collect::<Vec<_>>(),
                    concat!($($doc),*)));

            impl serde::Serialize for $value {
                fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.serialize_str(self.as_str())
                }
            }

            impl ParseFromJSON for $value {
                fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
                    crate::api::wire::scalar::text(value)?.parse().map_err(ParseError::custom)
                }
            }
        };
    };
}
pub(in crate::api) use choice;

/// A boolean, as the text `true` or `false`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag(pub bool);

string_type!(Flag, "Flag", MetaSchemaRef::Reference("Flag".to_owned()), register one_of(&["true", "false"], "Yes or \
    no, as text."));

impl Serialize for Flag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.0 { "true" } else { "false" })
    }
}

impl ParseFromJSON for Flag {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        Ok(Self(text::<Self>(value)? == "true"))
    }
}
