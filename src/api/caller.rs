//! Bearer authentication (RFC 6750 §2.1, CONTRACT.md §1).

use std::ops::Deref;

use poem::{
    Request, RequestBody,
    http::{HeaderMap, header},
};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaSecurityScheme, Registry},
};

use super::{Shared, problem::Problem};
use crate::service::{Error, Service, caller::Caller};

/// What the document calls the scheme.
pub(super) const SCHEME: &str = "bearer";

/// Who was authenticated: the first argument of every handler below `/accounts`. The gate has let it in: below
/// `/accounts/{account_id}` as a [`Caller`], and on `/accounts` itself, where no account is spoken to, as an
/// [`Identity`](crate::service::caller::Identity).
pub(super) struct Bearer<Who = Caller> {
    who: Who,
    /// What it may call.
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

/// The secret that a request presents.
///
/// # Errors
/// [`Problem::MissingToken`] when it presents none; [`Problem::InvalidToken`] when it presents several or unreadable ones.
pub(super) fn presented(headers: &HeaderMap) -> Result<&str, Problem> {
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
