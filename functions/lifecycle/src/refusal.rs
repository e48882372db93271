//! The domain's denials as problem documents.

use axum::http::StatusCode;
use domain::{BudgetOf, Denied, Phase, Record, Seconds};
use service::ApiError;

/// How a denial is told.
pub(crate) fn refuse(denied: Denied, record: &Record) -> ApiError {
    let conflict = |code, title| ApiError::new(StatusCode::CONFLICT, code, title);
    match denied {
        Denied::StillStopping => conflict("still_stopping", "The machine is still stopping")
            .detail("A start must wait until the machine is down, so that it cannot be mistaken for the run before.")
            .hint("Try again in half a minute.")
            .retry_after(Seconds(15)),
        Denied::NotReady => {
            let hint = match record.phase {
                Phase::Stopped | Phase::Failed => "Press Start first.",
                Phase::Placing | Phase::Booting => "It is on its way; try again when it is ready.",
                _ => "It is being stopped; start it again when it is down.",
            };
            conflict("not_ready", "ComfyUI is not running")
                .detail(format!("The workspace is {:?}.", record.phase))
                .hint(hint)
        }
        Denied::AtHardLimit => conflict("at_hard_limit", "This run cannot be made longer")
            .hint("Stop it and start a new one; files and queue results are kept."),
        Denied::ExtensionOutOfBounds => {
            ApiError::new(StatusCode::BAD_REQUEST, "minutes_out_of_bounds", "That is no possible extension")
                .hint("Ask for at least a minute, and for less than the workspace's hard limit.")
        }
        Denied::BudgetUsedUp { of, spent, limit } => {
            let whose = match of {
                BudgetOf::Workspace => "this workspace",
                BudgetOf::User => "you",
            };
            conflict("budget_used_up", "This month's budget is used up")
                .detail(format!("${:.2} of the ${:.2} for {whose} are spent.", spent.dollars(), limit.dollars()))
                .hint("An admin may start it all the same. The next month begins with a new budget.")
        }
        Denied::NothingToMove => conflict("nothing_to_move", "There is no disk to be taken from that zone")
            .detail("No start of this workspace has failed because that zone does not answer.")
            .hint("Press Start: the disk moves by itself where its zone answers."),
        Denied::WrongRun { current } => conflict("wrong_run", "That run is over")
            .detail(format!("The message names another run than the current one, {current}.")),
        Denied::WrongInstance => ApiError::forbidden("wrong_instance", "This VM is not the one the workspace runs on."),
    }
}
