//! What crosses a process: the JSON of browsers, VMs and Pub/Sub, the claims of our tokens, and the configuration of
//! workspaces. Shapes and conversions only; what they mean is decided in `domain`.

mod calendar;
mod claims;
mod config;
mod failure;
mod heartbeat;
mod nudge;
mod problem;
mod requests;
mod run_view;
mod time;
mod view;
mod webhook;

pub use claims::{SessionClaims, TICKET_USE, TicketClaims};
pub use config::{
    BudgetConfig, ConfigError, LimitsConfig, PlacementConfig, SpotConfig, WhenUsedUpConfig, WorkspaceConfig,
    workspaces_from_json,
};
pub use failure::FailureView;
pub use heartbeat::{
    BootReportBody, HeartbeatBody, HeartbeatReply, ReadingBody, parse_boot_step, parse_signal, phase_name, wish_name,
};
pub use nudge::{Nudge, PushEnvelope, PushMessage};
pub use problem::{PROBLEM_JSON, Problem};
pub use requests::{
    ExtendBody, KeepAliveBody, LoginBody, LoginReply, MoveDiskBody, PreferencesBody, SessionReply, StartBody,
    TicketReply, UserView,
};
pub use run_view::{AttemptView, PhaseSecondsView, RunView, RunsReply};
pub use time::Rfc3339;
pub use view::{
    BootStepView, BootView, BudgetView, CostView, DiskView, KeepTryingView, LastStopView, LimitsView, PlacementView,
    WorkspaceView, WorkspacesReply,
};
pub use webhook::{
    Telling, WebhookConfig, WebhookConfigError, WebhookShape, WebhooksConfig, event_id, webhooks_from_json,
};
