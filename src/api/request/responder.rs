//! What handlers need of a request besides path and body, and the responses that they build with it.

use poem::{
    FromRequest, Request, RequestBody,
    http::{HeaderMap, StatusCode, header, uri::Authority},
};
use serde::Serialize;

use super::{
    body::Body,
    context::Shared,
    preconditions::{Conditions, Freshness},
    routed::RoutedRequest,
};
use crate::{
    api::wire::{
        answer::{Answer, Created, Deleted, Modified, Retrieved},
        json::{JSON, to_json},
        problem::Problem,
        resource::{Representation, Represented, RequestResource, Resource},
        validators::Validators,
    },
    service::FieldError,
};

/// The parts of a request from which handlers build their responses.
pub(in crate::api) struct Responder {
    media_type: String,
    headers: HeaderMap,
    /// The URL of the requested collection or resource, without its query.
    url: String,
}

impl<'a> FromRequest<'a> for Responder {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let routed = RoutedRequest::of(request)?;
        let url = format!("{}{}", base_url(request)?, routed.path);
        let media_type = routed.media_type.unwrap_or_else(|| JSON.to_owned());
        Ok(Self { media_type, headers: request.headers().clone(), url })
    }
}

impl Responder {
    /// The resource that clients see of a value of the domain. A version that the request chooses would be applied
    /// here, and for pages in [`Items::take`](crate::api::wire::page::Items::take).
    #[expect(clippy::unused_self, reason = "what is shown is the request's to say")]
    fn shown<T: Represented>(&self, noun: T) -> T::Resource {
        noun.into()
    }

    /// 200, or 304 if the client already has this version.
    ///
    /// # Errors
    /// When conditional headers are malformed or not satisfied.
    pub fn retrieved<T: Represented>(&self, noun: T) -> Result<Answer<Retrieved<T::Resource>>, Problem> {
        let mut faults = vec![];
        let conditions = Conditions::read(&self.headers, &mut faults);
        refuse(faults)?;
        let Representation { json, validators } = self.shown(noun).representation()?;
        let fresh = conditions.freshness(&validators)? == Freshness::Send;
        let answer = Answer::new(if fresh { StatusCode::OK } else { StatusCode::NOT_MODIFIED })
            .validated(&validators)
            .dated(&validators)
            .with(header::VARY, "Accept");
        Ok(if fresh { answer.body(&self.media_type, json) } else { answer })
    }

    /// 201 with the new resource as `GET` returns it.
    ///
    /// # Errors
    /// When the resource can't be serialized.
    pub fn created<T: Represented>(&self, noun: T) -> Result<Answer<Created<T::Resource>>, Problem> {
        let resource = self.shown(noun);
        let Representation { json, validators } = resource.representation()?;
        Ok(self.created_at(&resource, &validators, json))
    }

    /// 201 with a form of the new resource that contains more than `GET` returns, such as a token's secret.
    ///
    /// # Errors
    /// When it can't be serialized.
    pub fn created_with<T: Represented, S: Serialize>(
        &self,
        noun: T,
        form: impl FnOnce(T::Resource) -> S,
    ) -> Result<Answer<Created<T::Resource, S>>, Problem> {
        let resource = self.shown(noun);
        let validators = resource.representation()?.validators;
        let answer = self.created_at(&resource, &validators, vec![]);
        Ok(answer.body(&self.media_type, to_json(&form(resource))?))
    }

    fn created_at<R: Resource, S>(
        &self,
        resource: &R,
        validators: &Validators,
        json: Vec<u8>,
    ) -> Answer<Created<R, S>> {
        Answer::new(StatusCode::CREATED)
            .validated(validators)
            .with(header::VARY, "Accept")
            .with(header::LOCATION, &format!("{}/{}", self.url, resource.id()))
            .body(&self.media_type, json)
    }

    /// 204 with the new entity tag.
    ///
    /// # Errors
    /// When the resource can't be serialized.
    pub fn modified<T: Represented>(&self, noun: T) -> Result<Answer<Modified>, Problem> {
        Ok(Answer::new(StatusCode::NO_CONTENT).validated(&self.shown(noun).representation()?.validators))
    }

    /// 204.
    #[expect(clippy::unused_self, reason = "all answers come from the responder")]
    pub fn deleted(&self) -> Answer<Deleted> {
        Answer::new(StatusCode::NO_CONTENT)
    }

    /// Reads the body of a `POST`.
    ///
    /// # Errors
    /// When the headers or the body are malformed.
    pub async fn read<T: RequestResource>(&self, body: Body<T>) -> Result<T, Problem> {
        let mut faults = vec![];
        Body::<T>::check_content_type(&self.headers, &mut faults);
        refuse(faults)?;
        body.read().await
    }

    /// Reads the conditions and the body of a `PUT`.
    ///
    /// # Errors
    /// When the headers or the body are malformed.
    pub async fn read_change<T: RequestResource>(&self, body: Body<T>) -> Result<(Conditions, T), Problem> {
        let mut faults = vec![];
        Body::<T>::check_content_type(&self.headers, &mut faults);
        let conditions = Conditions::read(&self.headers, &mut faults);
        refuse(faults)?;
        Ok((conditions, body.read().await?))
    }

    /// Reads the conditions of a `DELETE`.
    ///
    /// # Errors
    /// When they are malformed.
    pub fn conditions(&self) -> Result<Conditions, Problem> {
        let mut faults = vec![];
        let conditions = Conditions::read(&self.headers, &mut faults).of_delete();
        refuse(faults)?;
        Ok(conditions)
    }
}

fn refuse(faults: Vec<FieldError>) -> Result<(), Problem> {
    if faults.is_empty() { Ok(()) } else { Err(Problem::InvalidHeaders(faults)) }
}

/// The URL at which the client reaches this server: the configured one, else the one in the request, else the address
/// of the connection.
pub(in crate::api) fn base_url(request: &Request) -> Result<String, Problem> {
    if let Some(url) = &Shared::of(request)?.public_url {
        return Ok(url.as_str().to_owned());
    }
    let host = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    let named = request.uri().authority().cloned().or_else(|| host?.parse::<Authority>().ok());
    // An authority may contain a user name, which our URLs never repeat.
    let named = named.filter(|authority| !authority.as_str().contains('@')).map(|authority| authority.to_string());
    let local = || request.local_addr().as_socket_addr().map_or_else(|| "localhost".to_owned(), ToString::to_string);
    Ok(format!("{}://{}", request.scheme(), named.unwrap_or_else(local)))
}
