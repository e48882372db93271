//! Bodies of the browser's requests, and of the answers that are no view.

use serde::{Deserialize, Serialize};

use crate::time::Rfc3339;

/// `POST /api/login`
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LoginBody {
    /// `admin` when absent.
    #[serde(default)]
    pub user: Option<String>,
    pub password: String,
}

/// Who is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UserView {
    pub name: String,
    /// `admin`, `user` or `viewer`.
    pub role: String,
}

/// Answer to a sign-in and to a refresh.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LoginReply {
    pub token: String,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub expires_at: Rfc3339,
    pub user: UserView,
}

/// `GET /api/session`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionReply {
    pub user: UserView,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub expires_at: Rfc3339,
}

/// `POST /api/workspaces/{id}/extend`
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExtendBody {
    pub minutes: u32,
}

/// `POST /api/workspaces/{id}/keep-alive`
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeepAliveBody {
    /// The tab is in the foreground.
    pub visible: bool,
    /// Seconds since the person's last own input (pointer, key, wheel) while it was; `null` or absent when there was
    /// none.
    #[serde(default)]
    pub interacted_seconds_ago: Option<f64>,
}

/// `POST /api/workspaces/{id}/ticket`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TicketReply {
    /// Opens ComfyUI once.
    pub url: String,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub expires_at: Rfc3339,
}
