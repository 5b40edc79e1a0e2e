//! Request bodies: documented by their type, read when the handler asks for it, and validated against the schema in the
//! document.

use std::{io, marker::PhantomData};

use http_body_util::combinators::BoxBody;
use hyper::body::{Body as _, Bytes};
use jsonschema::{
    JsonType,
    error::{TypeKind, ValidationErrorKind as Kind},
};
use poem::{
    Request, RequestBody,
    error::ReadBodyError,
    http::{HeaderMap, header},
};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaMediaType, MetaRequest, Registry},
};

use super::{admission::Place, context::Shared, json};
use crate::{
    api::wire::{json::JSON, problem::Problem, problem_body::quoted, resource::RequestResource},
    service::{Error, FieldError},
};

/// The maximum size of a body, in bytes.
const LARGEST: usize = 64 * 1024;
/// The description of bodies in the document.
const DESCRIPTION: &str =
    "JSON, sent as `application/json` or as the resource's own media type, such as `application/astra-token+json`.";

/// A body that hasn't been read: the caller's permission is checked before (spec/contract/CONTRACT.md §2).
pub(in crate::api) struct Body<T> {
    content: poem::Body,
    place: Place,
    shared: Shared,
    draft: PhantomData<fn() -> T>,
}

impl<'a, T: RequestResource> ApiExtractor<'a> for Body<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        // Only one of the media types: for several, client generators create several bodies, or fail.
        let content = MetaMediaType { content_type: JSON, schema: T::schema_ref() };
        Some(MetaRequest { description: Some(DESCRIPTION), content: vec![content], required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        Ok(Self { content: body.take()?, place: Place::of(request), shared: Shared::of(request)?, draft: PhantomData })
    }
}

impl<T: RequestResource> Body<T> {
    /// Reports a `Content-Type` other than JSON as a fault. Forms are accepted: the published curl examples send JSON
    /// as one.
    pub fn check_content_type(headers: &HeaderMap, faults: &mut Vec<FieldError>) {
        let mut values = headers.get_all(header::CONTENT_TYPE).iter();
        let (first, second) = (values.next(), values.next());
        let accepted = first.is_none_or(|value| value.to_str().is_ok_and(is_json::<T>));
        if !accepted || second.is_some() {
            let others = if T::MEDIA_TYPE == JSON { String::new() } else { format!(" or {}", T::MEDIA_TYPE) };
            faults.push(FieldError::new("Content-Type", format!("must be application/json{others}")));
        }
    }

    /// Reads the body.
    ///
    /// # Errors
    /// When it is too large, isn't JSON or doesn't conform to the schema.
    pub async fn read(self) -> Result<T, Problem> {
        let bytes = self.place.leave_for(read_whole(self.content)).await?;
        let value = json::parse(&bytes).ok_or(Problem::NotJson)?;
        let schema = self
            .shared
            .schemas
            .get(&*T::name())
            .ok_or_else(|| Error::internal(format!("no schema for {}", T::name())))?;
        if let Some(error) = schema.iter_errors(&value).next() {
            return Err(Problem::NotTheSchema(sentence(&error)));
        }
        T::parse_from_json(Some(value)).map_err(|error| Error::internal(error.into_message()).into())
    }
}

/// Reads a body to its end; if the request declares a length that is too large, nothing is read.
///
/// # Errors
/// When it is too large, too slow or incomplete.
pub(in crate::api) async fn read_whole(content: poem::Body) -> Result<Bytes, Problem> {
    let content = BoxBody::<Bytes, io::Error>::from(content);
    if content.size_hint().lower() > LARGEST as u64 {
        return Err(Problem::TooLarge);
    }
    match poem::Body::from(content).into_bytes_limit(LARGEST).await {
        Ok(bytes) => Ok(bytes),
        Err(ReadBodyError::PayloadTooLarge) => Err(Problem::TooLarge),
        // The server has set a deadline for the body.
        Err(ReadBodyError::Io(error)) if error.kind() == io::ErrorKind::TimedOut => Err(Problem::BodyTooSlow),
        // The client has closed the connection: the body is incomplete.
        Err(_) => Err(Problem::NotJson),
    }
}

fn is_json<T: RequestResource>(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let own = T::MEDIA_TYPE.trim_end_matches("+json");
    let named = ["application/json", "application/x-www-form-urlencoded", own]
        .iter()
        .any(|known| essence.eq_ignore_ascii_case(known));
    let suffixed = essence.split_once('/').is_some_and(|(kind, subtype)| {
        !kind.is_empty() && subtype.len() > "+json".len() && subtype.to_ascii_lowercase().ends_with("+json")
    });
    named || suffixed
}

/// Describes a validation error in a sentence, which quotes at most a short name and never a value.
fn sentence(error: &jsonschema::ValidationError<'_>) -> String {
    let place = place(error.instance_path().as_str());
    match error.kind() {
        Kind::AdditionalProperties { unexpected } => {
            format!("{place} has no field `{}`.", unexpected.first().map(|name| quoted(name)).unwrap_or_default())
        }
        Kind::Required { property } => format!("{place} lacks the field `{}`.", property.as_str().unwrap_or_default()),
        Kind::Type { kind: TypeKind::Single(kind) } => format!("{place} must be {}.", article(*kind)),
        Kind::Enum { options } => {
            let options: Vec<&str> =
                options.as_array().into_iter().flatten().filter_map(|option| option.as_str()).collect();
            format!("{place} must be {}.", options.join(" or "))
        }
        Kind::MinLength { limit } => format!("{place} must have at least {limit} {}.", plural(*limit)),
        Kind::MaxLength { limit } => format!("{place} must have at most {limit} {}.", plural(*limit)),
        Kind::MaxItems { limit } => format!("{place} must hold at most {limit} items."),
        Kind::MinItems { limit } => {
            format!("{place} must hold at least {limit} {}.", if *limit == 1 { "item" } else { "items" })
        }
        Kind::UniqueItems => format!("{place} must not hold the same item twice."),
        Kind::Pattern { .. } => format!("{place} doesn't have the form that the schema asks for."),
        other => format!("{place} breaks the schema's rule `{}`.", other.keyword()),
    }
}

fn plural(count: u64) -> &'static str {
    if count == 1 { "character" } else { "characters" }
}

fn article(kind: JsonType) -> &'static str {
    match kind {
        JsonType::Array => "an array",
        JsonType::Boolean => "true or false",
        JsonType::Integer => "a whole number",
        JsonType::Null => "null",
        JsonType::Number => "a number",
        JsonType::Object => "an object",
        JsonType::String => "a string",
    }
}

/// Translates a JSON pointer such as `/metadata/labels/0/name` into `metadata.labels[0].name`. All its parts are names
/// from the schema, which allows no other keys.
fn place(pointer: &str) -> String {
    let mut path = String::new();
    for part in pointer.split('/').skip(1) {
        if part.bytes().all(|b| b.is_ascii_digit()) {
            path += &format!("[{part}]");
        } else {
            path += if path.is_empty() { "" } else { "." };
            path += part;
        }
    }
    if path.is_empty() { "The body".to_owned() } else { format!("`{path}`") }
}
