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

/// `POST /api/workspaces/{id}/start`; no body is a plain start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StartBody {
    /// Go on trying for so long while no placement has a machine: 1 to 2880.
    #[serde(default)]
    pub keep_trying_minutes: Option<u32>,
}

/// `POST /api/workspaces/{id}/preferences`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PreferencesBody {
    /// Put back into ComfyUI's queue what an interruption has left in it.
    pub restore_queue: bool,
}

/// `POST /api/workspaces/{id}/move-disk`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MoveDiskBody {
    /// The zone that is gone, as the failure names it.
    pub lost_zone: String,
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
