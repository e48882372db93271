//! The description of auth for machines. A test holds it against the list of routes.

use axum::Json;
use axum::response::IntoResponse;
use service::{TOKEN_COOKIE, TOKEN_HEADER};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

#[derive(OpenApi)]
#[openapi(
    info(title = "Pilotlight auth", description = "Signing in and out, and the keys that check our tokens."),
    paths(
        crate::sessions::login,
        crate::sessions::logout,
        crate::sessions::session,
        crate::sessions::refresh,
        crate::keys::serve_jwks,
        crate::page::page_config,
        describe,
    ),
    modifiers(&Tokens)
)]
struct Description;

/// The three ways to send a token. Which routes want one is said at each of them.
struct Tokens;

impl Modify for Tokens {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let schemes = [
            ("header", SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new(TOKEN_HEADER)))),
            ("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer))),
            ("cookie", SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(TOKEN_COOKIE)))),
        ];
        document.components.get_or_insert_default().add_security_schemes_from_iter(schemes);
    }
}

/// The description of auth as OpenAPI 3.1.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Description::openapi()
}

/// This description.
#[utoipa::path(get, path = "/api/auth/openapi.json", tag = "description",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value)))]
pub(crate) async fn describe() -> impl IntoResponse {
    Json(openapi())
}
