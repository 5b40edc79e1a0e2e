//! Bearer authentication (RFC 6750 §2.1, spec/contract/CONTRACT.md §1).

use std::{ops::Deref, sync::Arc};

use poem::{
    FromRequest, Request, RequestBody,
    http::{HeaderMap, header},
};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaSecurityScheme, Registry},
};

use super::context::Shared;
use crate::{
    api::wire::problem::Problem,
    domain::{event::RequestContext, id::AccountId},
    service::{Error, Service, caller::Caller, verification::Verification},
};

/// The name of the security scheme in the document.
pub(in crate::api) const SCHEME: &str = "bearer";

/// The authenticated caller: the first argument of every handler below `/accounts`. The gate has authenticated it:
/// below `/accounts/{account_id}` as a [`Caller`], and on `/accounts` itself, which addresses no single account, as an
/// [`Identity`](crate::service::caller::Identity).
pub(in crate::api) struct Bearer<Who = Caller> {
    who: Who,
    /// The service that the handler calls.
    pub service: Service,
}

impl<Who> Deref for Bearer<Who> {
    type Target = Who;

    fn deref(&self) -> &Who {
        &self.who
    }
}

impl<'a, Who: Clone + Send + Sync + 'static> ApiExtractor<'a> for Bearer<Who> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        registry.create_security_scheme(
            SCHEME,
            MetaSecurityScheme {
                ty: "http",
                description: Some("A token's secret, as issuing it has shown it."),
                name: None,
                key_in: None,
                scheme: Some("bearer"),
                bearer_format: None,
                flows: None,
                openid_connect_url: None,
            },
        );
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![SCHEME]
    }

    async fn from_request(request: &'a Request, _: &mut RequestBody, _: ExtractParamOptions<()>) -> poem::Result<Self> {
        match request.data::<Who>() {
            Some(who) => Ok(Self { who: who.clone(), service: Shared::of(request)?.service.clone() }),
            None => Err(Problem::from(Error::internal("a protected operation stands outside the gate")).into()),
        }
    }
}

/// An anonymous client, for operations that need no credentials.
pub(in crate::api) struct NoCredentials {
    /// The service that the handler calls.
    pub service: Service,
    /// The context of the request, for events.
    pub context: Arc<RequestContext>,
}

impl<'a> FromRequest<'a> for NoCredentials {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let context = request.data::<Arc<RequestContext>>().cloned();
        let context = context.ok_or_else(|| Problem::from(Error::internal("an operation stands outside the gate")))?;
        Ok(Self { service: Shared::of(request)?.service.clone(), context })
    }
}

/// A request whose secret hasn't been verified.
pub(in crate::api) struct UnverifiedCredentials<'a>(&'a Request);

impl UnverifiedCredentials<'_> {
    /// The secret that the client has presented to a proxy: from the header that the operator has configured, or else
    /// from `Authorization`.
    ///
    /// # Errors
    /// As [`presented`].
    pub fn secret(&self) -> Result<&str, Problem> {
        let shared = Shared::of(self.0)?;
        let mut values = shared.credential_header.iter().flat_map(|name| self.0.headers().get_all(name));
        let (first, second) = (values.next(), values.next());
        match first.map(|value| std::str::from_utf8(value.as_bytes().trim_ascii())) {
            None => presented(self.0.headers()),
            Some(Ok("")) if second.is_none() => Err(Problem::MissingToken),
            Some(Ok(secret)) if second.is_none() => Ok(secret),
            Some(_) => Err(Problem::InvalidToken),
        }
    }

    /// Verifies a secret: returns its token, the user, and the user's role in that account (`None`: in the account that
    /// the user was created in). A refused token counts against the client's budget.
    ///
    /// # Errors
    /// When the secret is missing or refused, or the client has exceeded its budget.
    pub async fn verify(
        &self,
        secret: Result<&str, Problem>,
        account: Option<AccountId>,
    ) -> Result<Verification, Problem> {
        let NoCredentials { service, context } =
            NoCredentials::from_request_without_body(self.0).await.map_err(Error::internal)?;
        let verified = match secret {
            Ok(secret) => service.verify(secret, account, context).await.map_err(Problem::from),
            Err(problem) => Err(problem),
        };
        if let Err(Problem::InvalidToken) = verified {
            Shared::of(self.0)?.budgets.fail(self.0, &service)?;
        }
        verified
    }
}

/// The verified token of a request: the first argument of handlers outside `/accounts` that require one.
pub(in crate::api) struct VerifiedCredentials {
    who: Verification,
    /// The service that the handler calls.
    pub service: Service,
}

impl Deref for VerifiedCredentials {
    type Target = Verification;

    fn deref(&self) -> &Verification {
        &self.who
    }
}

/// In the document, both use the security scheme of [`Bearer`].
macro_rules! bearers {
    ($($extractor:ty, $request:ident => $extract:expr;)*) => {$(
        impl<'a> ApiExtractor<'a> for $extractor {
            const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
            type ParamType = ();
            type ParamRawType = ();

            fn register(registry: &mut Registry) {
                <Bearer as ApiExtractor<'_>>::register(registry);
            }

            fn security_schemes() -> Vec<&'static str> {
                vec![SCHEME]
            }

            async fn from_request($request: &'a Request, _: &mut RequestBody,
                _: ExtractParamOptions<()>) -> poem::Result<Self> {
                $extract
            }
        }
    )*};
}

bearers! {
    UnverifiedCredentials<'a>, request => Ok(Self(request));
    VerifiedCredentials, request => Ok(Self { who: UnverifiedCredentials(request).verify(presented(request.headers()),
        None).await?, service: Shared::of(request)?.service.clone() });
}

/// The bearer token that a request presents in `Authorization`.
///
/// # Errors
/// [`Problem::MissingToken`] when it presents none; [`Problem::InvalidToken`] when it presents several or unreadable
/// ones.
pub(in crate::api) fn presented(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (first, second) = (values.next().ok_or(Problem::MissingToken)?, values.next());
    if second.is_some() {
        return Err(Problem::InvalidToken);
    }
    let (scheme, rest) = first.as_bytes().split_at_checked("Bearer".len()).ok_or(Problem::MissingToken)?;
    let secret = rest.trim_ascii();
    if !scheme.eq_ignore_ascii_case(b"Bearer") || secret.is_empty() || !rest.starts_with(b" ") {
        return Err(Problem::MissingToken);
    }
    std::str::from_utf8(secret).map_err(|_| Problem::InvalidToken)
}
