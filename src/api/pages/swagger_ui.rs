//! The document and Swagger UI, served from the binary.

use std::{borrow::Cow, sync::Arc};

use hyper::body::Bytes;
use poem::{
    EndpointExt as _, IntoResponse as _, Response, Route, get, handler,
    http::{StatusCode, header},
    web::{Data, Path},
};
use utoipa_swagger_ui::Config;

/// Allows only this server: no script, style, image or request from or to any other. Swagger UI needs inline styles.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; \
    object-src 'none'; \
    base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The document as JSON and YAML in OpenAPI 3.1, and as JSON in OpenAPI 3.0. All responses share the same bytes: a copy
/// for each client that doesn't read its response would fill the memory.
#[derive(Clone)]
pub(in crate::api) struct Documents {
    pub json: Bytes,
    pub yaml: Bytes,
    pub json_3_0: Bytes,
}

/// The routes below `/` that aren't operations.
pub(in crate::api) fn routes(documents: Documents, demo: bool) -> Route {
    // Relative, so that it also works below a path prefix.
    let config = Config::from("../openapi.json")
        .try_it_out_enabled(true)
        .display_request_duration(true)
        .filter(true)
        .validator_url("none");
    Route::new()
        .at("/", get(home))
        .at("/openapi.json", get(json).data(documents.clone()))
        .at("/openapi.yaml", get(yaml).data(documents.clone()))
        .at("/openapi-3.0.json", get(json_3_0).data(documents))
        .at("/swagger-ui", get(home))
        .at("/swagger-ui/*path", get(swagger_ui).data(Arc::new(Ui { config: Arc::new(config), demo })))
}

/// The configuration of Swagger UI.
struct Ui {
    config: Arc<Config<'static>>,
    demo: bool,
}

/// Shown by browsers that run no scripts. Appended after the end of the page: HTML parsers move it into the body.
const WITHOUT_SCRIPT: &str = "<noscript><p>This page needs JavaScript. The document itself: <a \
    href=\"../openapi.json\">openapi.json</a>.</p></noscript>\n";

/// Signs in with the token in the URL's fragment, which browsers don't send, and removes it from the URL. Only for
/// demonstrations: with it, a link could make somebody act as another user without noticing.
const SIGN_IN: &str = r##"
const token = new URLSearchParams(location.hash.slice(1)).get("token");
// Before Swagger UI looks at the address, to open the operation that it names.
if (token) history.replaceState(null, "", "#/Tokens/retrieve_token");
window.addEventListener("load", () => {
  const schema = { type: "http", scheme: "bearer" };
  if (token) window.ui.authActions.authorize({ bearer: { name: "bearer", schema, value: token } });
});
"##;

/// A relative redirect (RFC 9110 §10.2.2), which also works below a path prefix.
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
fn swagger_ui(Path(path): Path<String>, Data(ui): Data<&Arc<Ui>>) -> Response {
    match utoipa_swagger_ui::serve(&path, Arc::clone(&ui.config)) {
        Ok(Some(mut file)) => {
            match path.as_str() {
                "" | "index.html" => file.bytes.to_mut().extend_from_slice(WITHOUT_SCRIPT.as_bytes()),
                "swagger-initializer.js" if ui.demo => file.bytes.to_mut().extend_from_slice(SIGN_IN.as_bytes()),
                _ => {}
            }
            Response::builder()
                .content_type(&file.content_type)
                .header(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY)
                .header(header::X_FRAME_OPTIONS, "DENY")
                .body(match file.bytes {
                    Cow::Borrowed(bytes) => Bytes::from_static(bytes),
                    Cow::Owned(bytes) => bytes.into(),
                })
        }
        Ok(None) | Err(_) => crate::api::wire::problem::Problem::NotFound.into_response(),
    }
}
