//! A JSON body, or a problem document that says what is wrong with it.

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, JsonRejection};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;

use crate::error::ApiError;

/// The request's JSON body.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if !says_json(request.headers()) {
            return Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "not_json",
                "The request cannot be understood",
            )
            .detail("The body is not called JSON.")
            .hint("Send the header `content-type: application/json`."));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| refuse_bytes(&rejection))?;
        // serde reads a list as if it were an object, field by field; nothing we take is a list.
        if bytes.trim_ascii_start().first() == Some(&b'[') {
            return Err(wrong_shape("found a list; expected an object"));
        }
        axum::Json::from_bytes(&bytes).map(|axum::Json(body)| Self(body)).map_err(|rejection| refuse(&rejection))
    }
}

/// The request's JSON body, or what stands for none.
#[derive(Debug)]
pub struct OptionalBody<T>(pub T);

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for OptionalBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let bytes =
            Bytes::from_request(Request::new(body), state).await.map_err(|rejection| refuse_bytes(&rejection))?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        let Body(body) = Body::from_request(Request::from_parts(parts, bytes.into()), state).await?;
        Ok(Self(body))
    }
}

fn says_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn wrong_shape(detail: impl Into<String>) -> ApiError {
    ApiError::bad_request("invalid_body", detail).hint("Send exactly the documented fields; unknown ones are refused.")
}

fn refuse(rejection: &JsonRejection) -> ApiError {
    let detail = rejection.body_text();
    match rejection {
        JsonRejection::JsonDataError(_) => wrong_shape(detail),
        JsonRejection::JsonSyntaxError(_) => ApiError::bad_request("malformed_json", detail),
        _ => ApiError::bad_request("unreadable_body", detail),
    }
}

fn refuse_bytes(rejection: &BytesRejection) -> ApiError {
    let detail = rejection.body_text();
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "The request is too large")
            .detail(detail);
    }
    ApiError::bad_request("unreadable_body", detail)
}
