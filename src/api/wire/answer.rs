//! Responses that are ready to be sent, and how the document describes each kind of them.

use std::marker::PhantomData;

use poem::{
    IntoResponse, Response,
    http::{HeaderName, HeaderValue, StatusCode, header},
};
use poem_openapi::{
    ApiResponse,
    registry::{MetaHeader, MetaMediaType, MetaResponse, MetaResponses, Registry},
    types::Type,
};

use super::{
    json::JSON,
    resource::Resource,
    validators::{Validators, http_date},
};
use crate::service::caller::Identity;

/// A response that is ready to be sent; `Kind` says how the document describes it.
pub(in crate::api) struct Answer<Kind>(Response, PhantomData<fn() -> Kind>);

/// 200 with a resource, or 304.
pub(in crate::api) struct Retrieved<T>(PhantomData<T>);

/// 201 with a new resource. `T` is the form of the resource in this response: it may contain more than later responses
/// do, such as a token's secret.
pub(in crate::api) struct Created<R, T = R>(PhantomData<(R, T)>);

/// 204 with the new state's entity tag.
pub(in crate::api) struct Modified;

/// 204.
pub(in crate::api) struct Deleted;

impl<Kind> Answer<Kind> {
    /// A response with that status.
    pub fn new(status: StatusCode) -> Self {
        Self(Response::builder().status(status).finish(), PhantomData)
    }

    /// Adds a header. A value that isn't valid in a header is left out; ours are all ASCII.
    pub fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.0.headers_mut().insert(name, value);
        }
        self
    }

    /// Attaches the caller's identity, for the log only.
    pub fn of(mut self, identity: &Identity) -> Self {
        self.0.set_data(identity.clone());
        self
    }

    /// Marks the response as a report of an inactive token, for the metrics.
    pub fn inactive(mut self) -> Self {
        self.0.set_data(Inactive);
        self
    }

    /// Adds `ETag`.
    pub fn validated(self, validators: &Validators) -> Self {
        self.with(header::ETAG, &validators.etag)
    }

    /// Adds `Last-Modified`.
    pub fn dated(self, validators: &Validators) -> Self {
        self.with(header::LAST_MODIFIED, &http_date(validators.modified_at))
    }

    /// Adds a body of that media type.
    pub fn body(mut self, media_type: &str, json: Vec<u8>) -> Self {
        self.0.set_body(json);
        self.with(header::CONTENT_TYPE, media_type)
    }
}

impl<Kind> IntoResponse for Answer<Kind> {
    fn into_response(self) -> Response {
        self.0
    }
}

impl<T: Resource> ApiResponse for Answer<Retrieved<T>> {
    fn meta() -> MetaResponses {
        let ok = response(200, "The resource.", representations::<T>(T::MEDIA_TYPE), &[ETAG, LAST_MODIFIED, VARY]);
        let not_modified =
            response(304, "Unchanged: the client has this version already.", vec![], &[ETAG, LAST_MODIFIED, VARY]);
        MetaResponses { responses: vec![ok, not_modified] }
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: Type, R: Resource> ApiResponse for Answer<Created<R, T>> {
    fn meta() -> MetaResponses {
        let created = response(201, "Created.", representations::<T>(R::MEDIA_TYPE), &[LOCATION, ETAG, VARY]);
        MetaResponses { responses: vec![created] }
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl ApiResponse for Answer<Modified> {
    fn meta() -> MetaResponses {
        MetaResponses { responses: vec![response(204, "Modified.", vec![], &[ETAG])] }
    }

    fn register(_: &mut Registry) {}
}

impl ApiResponse for Answer<Deleted> {
    fn meta() -> MetaResponses {
        MetaResponses { responses: vec![response(204, "Deleted.", vec![], &[])] }
    }

    fn register(_: &mut Registry) {}
}

pub(in crate::api) type HeaderFacts = (&'static str, &'static str);

const ETAG: HeaderFacts = ("ETag", "Names this version of the resource, whatever its media type.");

const LAST_MODIFIED: HeaderFacts = ("Last-Modified", "When the resource last changed, to the second.");

pub(in crate::api) const VARY: HeaderFacts = ("Vary", "`Accept`: the media type depends on it.");

const LOCATION: HeaderFacts = ("Location", "The URL of the new resource.");

pub(in crate::api) fn response(
    status: u16,
    description: &'static str,
    content: Vec<MetaMediaType>,
    headers: &[HeaderFacts],
) -> MetaResponse {
    let headers = headers.iter().map(|(name, description)| MetaHeader {
        name: (*name).to_owned(),
        description: Some((*description).to_owned()),
        required: true,
        deprecated: false,
        schema: String::schema_ref(),
    });
    MetaResponse { description, status: Some(status), status_range: None, content, headers: headers.collect() }
}

/// The media types of a resource: its own first, as in the published document.
fn representations<T: Type>(media_type: &'static str) -> Vec<MetaMediaType> {
    [media_type, JSON].map(|content_type| MetaMediaType { content_type, schema: T::schema_ref() }).into()
}

/// Marks a successful response that reports an inactive token.
#[derive(Debug, Clone, Copy)]
pub(in crate::api) struct Inactive;
