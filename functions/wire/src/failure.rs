//! Why a workspace cannot run, in words for the person who pressed Start.

use domain::{BootStep, Failure, FailureCode, Placement, Workspace};
use serde::{Deserialize, Serialize};

use crate::time::Rfc3339;

/// Why it cannot run, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FailureView {
    pub code: String,
    pub title: String,
    pub hint: String,
    pub detail: String,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub retry_at: Option<Rfc3339>,
    /// Where it is, if it is in one place; for `zone_gone` the zone that does not answer.
    pub zone: Option<String>,
    /// Where something can be done about it.
    pub url: Option<String>,
    /// Trying for longer may help.
    pub can_keep_trying: bool,
}

/// What people call a placement's machine: its GPU (`nvidia-tesla-t4` is an NVIDIA T4), or its type where it has none.
fn machine_name(placement: &Placement) -> String {
    if placement.accelerator.is_empty() {
        return placement.machine_type.clone();
    }
    let parts = placement.accelerator.split('-').filter(|part| !part.is_empty() && *part != "tesla");
    parts.map(str::to_uppercase).collect::<Vec<_>>().join(" ")
}

/// How a failure is told.
pub(crate) fn failure_view(failure: &Failure, workspace: &Workspace, project: &str) -> FailureView {
    let machine = workspace.placements.first().map_or_else(|| "machine".to_owned(), machine_name);
    let zone = failure.zone.as_deref().unwrap_or("its zone");
    let (code, title, hint) = match failure.code {
        FailureCode::BootTimedOut | FailureCode::BootFailed => return boot_failure_view(failure),
        FailureCode::StockOut => (
            "stock_out",
            format!("No {machine} to be had in {zone} just now"),
            "Google has none free at this moment; nothing is wrong with your project. Try again in a few minutes, or have it tried for you.",
        ),
        FailureCode::Quota => ("quota", format!("The project's quota does not allow this {machine}"), ""),
        FailureCode::Permission => (
            "permission",
            "Pilotlight may not start this machine".to_owned(),
            "The service account of lifecycle lacks a permission that Terraform grants: run terraform apply.",
        ),
        FailureCode::NotFound => (
            "not_found",
            "The machine that is declared does not exist".to_owned(),
            "Somebody has deleted it or its disk. Run terraform apply to make it again; the data disk is kept.",
        ),
        FailureCode::Refused => {
            ("refused", "Google refused to start the machine".to_owned(), "The detail says why. Trying again is safe.")
        }
        FailureCode::ZoneGone => (
            "zone_gone",
            format!("{zone} does not answer, and the data disk may be held there"),
            "Wait until Google has mended the zone. If it is gone for longer, an admin can have the disk taken from it.",
        ),
        FailureCode::Interrupted => (
            "interrupted",
            "Google keeps taking the machine back".to_owned(),
            "Your files are safe. Start again later, or declare a standard placement, which Google does not take back.",
        ),
        FailureCode::PlacingTimedOut => (
            "placing_timed_out",
            "No machine in time".to_owned(),
            "Google took too long to give an answer. Nothing runs now; press Start to try again.",
        ),
        FailureCode::StopTimedOut => (
            "stop_timed_out",
            "The machine has not stopped yet".to_owned(),
            "Pilotlight goes on asking it to stop. Look at it in the Google Cloud console if this lasts.",
        ),
    };
    let url = (failure.code == FailureCode::Quota).then(|| quota_url(project));
    let can_keep_trying = matches!(failure.code, FailureCode::StockOut | FailureCode::PlacingTimedOut);
    let hint = match failure.code {
        FailureCode::Quota => format!(
            "Ask for more GPU quota in {} on the console's page of quotas. Neither waiting nor another zone of the region helps.",
            failure.zone.as_deref().map_or("its region", region)
        ),
        _ => hint.to_owned(),
    };
    FailureView { url, can_keep_trying, ..view(failure, code, title, hint) }
}

/// The console's page of the project's quotas.
fn quota_url(project: &str) -> String {
    format!("https://console.cloud.google.com/iam-admin/quotas?project={project}")
}

/// `us-central1` of `us-central1-a`.
fn region(zone: &str) -> &str {
    zone.rsplit_once('-').map_or(zone, |(region, _)| region)
}

fn view(failure: &Failure, code: &str, title: String, hint: String) -> FailureView {
    FailureView {
        code: code.to_owned(),
        title,
        hint,
        detail: failure.detail.clone(),
        retry_at: failure.retry_at.map(Rfc3339),
        zone: failure.zone.clone(),
        url: None,
        can_keep_trying: false,
    }
}

/// How a machine that came up without its ComfyUI is told of, and where it stopped.
fn boot_failure_view(failure: &Failure) -> FailureView {
    let doing = failure.step.map_or("it set itself up", |step| match step {
        BootStep::Placing | BootStep::Booting => "it started",
        BootStep::MountingDisk => "it attached its disk",
        BootStep::Installing => "it installed what it needs",
        BootStep::GettingCertificate => "it got its certificate",
        BootStep::StartingComfyui => "ComfyUI started",
    });
    if failure.code == FailureCode::BootFailed {
        let hint = format!(
            "Something went wrong while {doing}; the detail has its last words. It was stopped again and your files are safe."
        );
        return view(failure, "boot_failed", "The machine could not set itself up".to_owned(), hint);
    }
    let hint = format!(
        "Nothing moved any more while {doing}. It was stopped again and your files are safe. The detail says what it did last; the VM's log says more."
    );
    view(failure, "boot_timed_out", "The machine came up, but ComfyUI did not".to_owned(), hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::MicroUsd;

    #[test]
    fn a_boot_that_failed_says_where_with_its_last_words_and_that_the_files_are_safe() {
        let failed = |code, step| {
            let detail = "pip: no space left\non device".to_owned();
            boot_failure_view(&Failure { code, detail, zone: None, retry_at: None, step })
        };
        let told = failed(FailureCode::BootFailed, Some(BootStep::Installing));
        assert_eq!((told.code.as_str(), told.detail.as_str()), ("boot_failed", "pip: no space left\non device"));
        assert!(told.hint.contains("installed what it needs") && told.hint.contains("files are safe"), "{}", told.hint);
        let told = failed(FailureCode::BootTimedOut, None);
        assert_eq!(told.code, "boot_timed_out");
        assert!(told.hint.contains("set itself up") && told.hint.contains("files are safe"), "{}", told.hint);
    }

    fn told(code: FailureCode, zone: &str) -> FailureView {
        let failure = Failure { code, detail: "words".into(), zone: Some(zone.into()), retry_at: None, step: None };
        let workspace = Workspace {
            id: domain::WorkspaceId::parse("main").unwrap(),
            title: "ComfyUI".into(),
            members: None,
            placements: Vec::new(),
            disk: None,
            calendar: domain::Calendar::default(),
            policy: domain::Policy::default(),
        };
        failure_view(&failure, &workspace, "my-project")
    }

    #[test]
    fn a_quota_is_asked_for_in_its_region_on_the_projects_page() {
        let quota = told(FailureCode::Quota, "europe-west4-b");
        assert_eq!(quota.url.unwrap(), "https://console.cloud.google.com/iam-admin/quotas?project=my-project");
        assert!(quota.hint.contains("quota in europe-west4 "), "{}", quota.hint);
        assert!(!quota.can_keep_trying, "waiting does not help");
        assert_eq!(told(FailureCode::Permission, "europe-west4-b").url, None);
    }

    #[test]
    fn trying_for_longer_is_on_offer_where_it_may_help() {
        for (code, may_help) in [
            (FailureCode::StockOut, true),
            (FailureCode::PlacingTimedOut, true),
            (FailureCode::NotFound, false),
            (FailureCode::Refused, false),
            (FailureCode::ZoneGone, false),
        ] {
            assert_eq!(told(code, "us-central1-a").can_keep_trying, may_help, "{code:?}");
        }
    }

    #[test]
    fn a_zone_that_is_gone_is_named() {
        let gone = told(FailureCode::ZoneGone, "us-central1-a");
        assert_eq!((gone.code.as_str(), gone.zone.as_deref()), ("zone_gone", Some("us-central1-a")));
        assert!(gone.title.contains("us-central1-a") && gone.hint.contains("admin"), "{gone:?}");
    }

    #[test]
    fn a_gpu_is_called_what_people_call_it() {
        let named = |accelerator: &str| Placement {
            instance: "a".into(),
            zone: "z".into(),
            spot: false,
            machine_type: "e2-standard-4".into(),
            accelerator: accelerator.into(),
            usd_per_hour: MicroUsd(0),
            price_date: None,
            origin: "https://a.example.com".into(),
        };
        assert_eq!(machine_name(&named("nvidia-l4")), "NVIDIA L4");
        assert_eq!(machine_name(&named("nvidia-tesla-t4")), "NVIDIA T4");
        assert_eq!(machine_name(&named("")), "e2-standard-4");
    }
}
