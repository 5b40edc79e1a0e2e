//! The document and Swagger UI, served from the binary.

use std::sync::Arc;

use poem::{
    EndpointExt as _, IntoResponse as _, Response, Route, get, handler,
    http::{StatusCode, header},
    web::{Data, Path},
};
use utoipa_swagger_ui::Config;

/// Only this server: no script, style, image or request from or to anywhere else. Swagger UI sets styles in elements.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; \
    base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The document in both notations, and in both versions of OpenAPI.
#[derive(Clone)]
pub(super) struct Documents {
    pub json: String,
    pub yaml: String,
    pub json_3_0: String,
}

/// The routes below `/` that aren't operations.
pub(super) fn routes(documents: Documents) -> Route {
    // Relative, so that it also holds below a path prefix.
    let config = Config::from("../openapi.json").try_it_out_enabled(true).display_request_duration(true).filter(true).validator_url("none");
    Route::new()
        .at("/", get(home))
        .at("/openapi.json", get(json).data(documents.clone()))
        .at("/openapi.yaml", get(yaml).data(documents.clone()))
        .at("/openapi-3.0.json", get(json_3_0).data(documents))
        .at("/swagger-ui", get(home))
        .at("/swagger-ui/*path", get(swagger_ui).data(Arc::new(config)))
}

/// A relative redirect (RFC 9110 §10.2.2): it holds below a path prefix, too.
#[handler]
fn home() -> Response {
    Response::builder().status(StatusCode::FOUND).header(header::LOCATION, "swagger-ui/").finish()
}

#[handler]
fn json(Data(documents): Data<&Documents>) -> Response {
    Response::builder().content_type("application/json").body(documents.json.clone())
}

#[handler]
fn json_3_0(Data(documents): Data<&Documents>) -> Response {
    Response::builder().content_type("application/json").body(documents.json_3_0.clone())
}

#[handler]
fn yaml(Data(documents): Data<&Documents>) -> Response {
    Response::builder().content_type("application/yaml").body(documents.yaml.clone())
}

#[handler]
fn swagger_ui(Path(path): Path<String>, Data(config): Data<&Arc<Config<'static>>>) -> Response {
    match utoipa_swagger_ui::serve(&path, Arc::clone(config)) {
        Ok(Some(file)) => Response::builder()
            .content_type(&file.content_type)
            .header(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY)
            .header(header::X_FRAME_OPTIONS, "DENY")
            .body(file.bytes.into_owned()),
        Ok(None) | Err(_) => super::problem::Problem::NotFound.into_response(),
    }
}
