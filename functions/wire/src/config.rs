//! What workspaces there are: the JSON that Terraform writes into the functions' configuration.

use std::fmt;

use domain::{Budget, Calendar, MicroUsd, Placement, Policy, Seconds, SpotOrder, WhenUsedUp, Workspace, WorkspaceId};
use serde::{Deserialize, Serialize};

use crate::calendar::Calendars;

/// A declared workspace.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceConfig {
    pub id: String,
    pub title: String,
    /// Names of the users who may see and use it; absent where everybody may who can sign in.
    #[serde(default)]
    pub members: Option<Vec<String>>,
    pub placements: Vec<PlacementConfig>,
    /// Name of the regional data disk; absent where the only placement keeps its own.
    #[serde(default)]
    pub disk: Option<String>,
    /// Whose months its cost is summed in: a name of the IANA database such as `Europe/Berlin`; `UTC` when absent.
    #[serde(default)]
    pub time_zone: Option<String>,
    #[serde(default)]
    pub limits: LimitsConfig,
    /// Which placements come first whatever the order in which they are declared: `first` or `last`.
    #[serde(default)]
    pub spot: Option<SpotConfig>,
    #[serde(default)]
    pub budget: Option<BudgetConfig>,
    /// lifecycle has a webhook for it.
    #[serde(default)]
    pub notify: bool,
}

/// Where Spot placements stand among the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpotConfig {
    First,
    Last,
}

/// What a month may cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetConfig {
    /// On this workspace.
    #[serde(default)]
    pub monthly_usd: Option<f64>,
    /// By each user, on all workspaces together, for a start of this one.
    #[serde(default)]
    pub per_user_usd: Option<f64>,
    #[serde(default)]
    pub when_used_up: Option<WhenUsedUpConfig>,
}

/// What becomes of a run that is up when the budget is used up; `next_idle` when absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenUsedUpConfig {
    NextIdle,
    HardLimit,
}

/// A declared placement.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlacementConfig {
    pub instance: String,
    pub zone: String,
    #[serde(default)]
    pub spot: bool,
    pub machine_type: String,
    #[serde(default)]
    pub accelerator: String,
    pub usd_per_hour: f64,
    /// Day of the price list, `2026-07-30`; absent where it is not known.
    #[serde(default)]
    pub price_date: Option<String>,
    pub origin: String,
}

/// Limits in seconds; what is absent is as `domain::Policy` has it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsConfig {
    pub idle_seconds: Option<u64>,
    pub arrival_seconds: Option<u64>,
    pub hard_seconds: Option<u64>,
    pub drain_seconds: Option<u64>,
    pub silence_seconds: Option<u64>,
    pub heartbeat_seconds: Option<u64>,
    pub placing_seconds: Option<u64>,
    pub booting_seconds: Option<u64>,
    pub stopping_seconds: Option<u64>,
    pub attempt_seconds: Option<u64>,
    pub dry_seconds: Option<u64>,
    pub stock_out_retry_seconds: Option<u64>,
}

/// What is wrong with the list of workspaces, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// The dearest machine Google lists is below this; more is a slip of the keyboard.
const USD_PER_HOUR_MAX: f64 = 1000.0;

/// A budget beyond this is none.
const BUDGET_USD_MAX: f64 = 10_000_000.0;

/// Reads a list of workspaces.
///
/// # Errors
/// Says which workspace and which field is wrong, what was found and what was expected.
pub fn workspaces_from_json(json: &str) -> Result<Vec<Workspace>, ConfigError> {
    let configs: Vec<WorkspaceConfig> = serde_json::from_str(json)
        .map_err(|error| ConfigError(format!("expected a JSON list of workspaces: {error}")))?;
    if configs.is_empty() {
        return Err(ConfigError("the list of workspaces is empty; expected at least one".into()));
    }
    let mut calendars = Calendars::default();
    let workspaces =
        configs.into_iter().map(|config| config.workspace(&mut calendars)).collect::<Result<Vec<_>, _>>()?;
    let mut names: Vec<&str> = workspaces.iter().map(|workspace| workspace.id.as_str()).collect();
    let mut instances: Vec<&str> =
        workspaces.iter().flat_map(|workspace| &workspace.placements).map(|place| place.instance.as_str()).collect();
    for (what, list) in [("workspace", &mut names), ("instance", &mut instances)] {
        list.sort_unstable();
        if let Some(twice) = list.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(ConfigError(format!("the {what} {:?} is declared twice", twice[0])));
        }
    }
    Ok(workspaces)
}

impl WorkspaceConfig {
    fn workspace(self, calendars: &mut Calendars) -> Result<Workspace, ConfigError> {
        let id = WorkspaceId::parse(&self.id).map_err(|error| ConfigError(error.to_string()))?;
        let wrong = |what: String| ConfigError(format!("workspace {id}: {what}"));
        if self.placements.is_empty() {
            return Err(wrong("no placements; expected at least one".into()));
        }
        if self.placements.len() > 1 && self.disk.is_none() {
            return Err(wrong("several placements need one regional data disk: set `disk`".into()));
        }
        self.members.as_deref().map_or(Ok(()), check_members).map_err(wrong)?;
        let placements =
            self.placements.into_iter().map(|place| place.placement().map_err(wrong)).collect::<Result<Vec<_>, _>>()?;
        let budget = self.budget.map_or(Ok(Budget::default()), BudgetConfig::budget).map_err(wrong)?;
        let spot = self.spot.map_or(SpotOrder::AsDeclared, SpotConfig::order);
        let policy = Policy { budget, spot, notify: self.notify, ..self.limits.policy() };
        policy.check().map_err(|error| wrong(error.to_string()))?;
        let calendar = match &self.time_zone {
            Some(zone) => calendars.of(zone).map_err(wrong)?,
            None => Calendar::default(),
        };
        let Self { title, members, disk, .. } = self;
        Ok(Workspace { id: id.clone(), title, members, placements, disk, calendar, policy })
    }
}

impl SpotConfig {
    fn order(self) -> SpotOrder {
        match self {
            Self::First => SpotOrder::First,
            Self::Last => SpotOrder::Last,
        }
    }
}

impl BudgetConfig {
    fn budget(self) -> Result<Budget, String> {
        let when_used_up = match self.when_used_up {
            None | Some(WhenUsedUpConfig::NextIdle) => WhenUsedUp::NextIdle,
            Some(WhenUsedUpConfig::HardLimit) => WhenUsedUp::HardLimit,
        };
        let money = |what: &str, usd: Option<f64>| {
            let above_nothing = |usd: f64| usd > 0.0 && usd <= BUDGET_USD_MAX;
            match usd {
                Some(usd) if !above_nothing(usd) => {
                    Err(format!("budget.{what} is {usd}; expected more than 0, at most {BUDGET_USD_MAX}"))
                }
                usd => Ok(usd.map(micro_usd)),
            }
        };
        let (monthly, per_user) = (money("monthly_usd", self.monthly_usd)?, money("per_user_usd", self.per_user_usd)?);
        if monthly.is_none() && per_user.is_none() {
            return Err("budget limits nothing; expected monthly_usd, per_user_usd or both, or no `budget`".into());
        }
        Ok(Budget { monthly, per_user, when_used_up })
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded where it is read")]
fn micro_usd(usd: f64) -> MicroUsd {
    MicroUsd((usd * 1e6).round() as u64)
}

impl PlacementConfig {
    fn placement(self) -> Result<Placement, String> {
        if !(0.0..=USD_PER_HOUR_MAX).contains(&self.usd_per_hour) {
            return Err(format!("usd_per_hour is {}; expected 0 to {USD_PER_HOUR_MAX}", self.usd_per_hour));
        }
        let host = self.origin.strip_prefix("https://").or_else(|| self.origin.strip_prefix("http://"));
        if host.is_none_or(|host| host.is_empty() || host.contains('/')) {
            return Err(format!(
                "origin is {:?}; expected scheme and host such as https://comfy.example.com",
                self.origin
            ));
        }
        self.price_date.as_deref().map_or(Ok(()), check_price_date)?;
        Ok(Placement {
            instance: self.instance,
            zone: self.zone,
            spot: self.spot,
            machine_type: self.machine_type,
            accelerator: self.accelerator,
            usd_per_hour: micro_usd(self.usd_per_hour),
            price_date: self.price_date,
            origin: self.origin,
        })
    }
}

/// Somebody must be left to whom the workspace is there, and a name that nobody can have is a slip of the keyboard.
fn check_members(names: &[String]) -> Result<(), String> {
    if names.is_empty() {
        return Err("members is an empty list; expected names of users, or no `members` where all may use it".into());
    }
    match names.iter().find(|name| name.trim().is_empty()) {
        Some(blank) => Err(format!("members has {blank:?}; expected names of users")),
        None => Ok(()),
    }
}

/// A day of the calendar, written as the page expects it.
fn check_price_date(text: &str) -> Result<(), String> {
    let date: Option<jiff::civil::Date> = text.parse().ok();
    match date {
        Some(date) if date.to_string() == text => Ok(()),
        _ => Err(format!("price_date is {text:?}; expected the day of the price list such as \"2026-07-30\"")),
    }
}

impl LimitsConfig {
    fn policy(&self) -> Policy {
        let usual = Policy::default();
        let or = |set: Option<u64>, usual: Seconds| set.map_or(usual, Seconds);
        Policy {
            idle_limit: or(self.idle_seconds, usual.idle_limit),
            arrival_limit: or(self.arrival_seconds, usual.arrival_limit),
            hard_limit: or(self.hard_seconds, usual.hard_limit),
            drain: or(self.drain_seconds, usual.drain),
            silence_limit: or(self.silence_seconds, usual.silence_limit),
            heartbeat_every: or(self.heartbeat_seconds, usual.heartbeat_every),
            placing_limit: or(self.placing_seconds, usual.placing_limit),
            booting_limit: or(self.booting_seconds, usual.booting_limit),
            stopping_limit: or(self.stopping_seconds, usual.stopping_limit),
            attempt_limit: or(self.attempt_seconds, usual.attempt_limit),
            dry_for: or(self.dry_seconds, usual.dry_for),
            stock_out_retry: or(self.stock_out_retry_seconds, usual.stock_out_retry),
            ..usual
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(change: impl Fn(&mut serde_json::Value)) -> Result<Vec<Workspace>, ConfigError> {
        let mut list = serde_json::json!([{"id":"main","title":"ComfyUI","placements":[{"instance":"a","zone":"us-central1-a",
            "machine_type":"g2-standard-4","accelerator":"nvidia-l4","usd_per_hour":0.7068,"origin":"https://comfy.example.com"}]}]);
        change(&mut list[0]);
        workspaces_from_json(&list.to_string())
    }

    #[test]
    fn a_plain_workspace_is_read_with_the_usual_limits() {
        let workspaces = one(|_| ()).unwrap();
        assert_eq!(workspaces[0].placements[0].usd_per_hour, MicroUsd(706_800));
        assert_eq!(workspaces[0].placements[0].price_date, None);
        assert_eq!(workspaces[0].policy, Policy::default());
        assert_eq!(workspaces[0].calendar, Calendar::default());
        assert_eq!(workspaces[0].members, None);
    }

    #[test]
    fn a_workspace_may_name_its_members_and_then_has_one() {
        let members = |list: serde_json::Value| one(|workspace| workspace["members"] = list.clone());
        assert_eq!(members(serde_json::Value::Null).unwrap()[0].members, None);
        let named = members(serde_json::json!(["ada", "eve"])).unwrap();
        assert_eq!(named[0].members, Some(vec!["ada".to_owned(), "eve".to_owned()]));
        let nobody = members(serde_json::json!([])).unwrap_err().to_string();
        let told =
            "workspace main: members is an empty list; expected names of users, or no `members` where all may use it";
        assert_eq!(nobody, told);
        let blank = members(serde_json::json!(["ada", " "])).unwrap_err().to_string();
        assert_eq!(blank, "workspace main: members has \" \"; expected names of users");
    }

    #[test]
    fn a_price_has_the_day_of_its_list() {
        let workspaces = one(|workspace| workspace["placements"][0]["price_date"] = "2024-02-29".into()).unwrap();
        assert_eq!(workspaces[0].placements[0].price_date.as_deref(), Some("2024-02-29"));
    }

    #[test]
    fn a_price_of_no_day_is_refused() {
        for wrong in ["2026-02-29", "2026-7-30", "30 July 2026", "20260730", "2026-07-30T00:00:00", ""] {
            let error = one(|workspace| workspace["placements"][0]["price_date"] = wrong.into()).unwrap_err();
            let told = format!(
                "workspace main: price_date is {wrong:?}; expected the day of the price list such as \"2026-07-30\""
            );
            assert_eq!(error.to_string(), told);
        }
    }

    #[test]
    fn a_workspace_reckons_in_the_months_of_its_zone() {
        let workspaces = one(|workspace| workspace["time_zone"] = "Europe/Berlin".into()).unwrap();
        assert_eq!(workspaces[0].calendar.zone(), "Europe/Berlin");
        assert_eq!(one(|workspace| workspace["time_zone"] = "UTC".into()).unwrap()[0].calendar, Calendar::default());
    }

    #[test]
    fn a_zone_that_is_not_known_is_refused_by_name() {
        for wrong in ["Mars/Olympus", "", "+02:00", "../etc/passwd"] {
            let error = one(|workspace| workspace["time_zone"] = wrong.into()).unwrap_err();
            let told = format!(
                "workspace main: time_zone is {wrong:?}; expected a name of the IANA database such as \"Europe/Berlin\""
            );
            assert_eq!(error.to_string(), told);
        }
    }

    #[test]
    fn a_workspace_says_where_spot_stands_what_a_month_may_cost_and_that_somebody_is_told() {
        let policy = |name: &str, value: serde_json::Value| {
            one(|workspace| workspace[name] = value.clone()).map(|all| all[0].policy.clone())
        };
        assert_eq!(policy("spot", "first".into()).unwrap().spot, SpotOrder::First);
        assert_eq!(policy("spot", "last".into()).unwrap().spot, SpotOrder::Last);
        assert!(policy("notify", true.into()).unwrap().notify);
        let budget = policy(
            "budget",
            serde_json::json!({"monthly_usd": 50, "per_user_usd": 12.5, "when_used_up": "hard_limit"}),
        );
        let (monthly, per_user) = (Some(MicroUsd(50_000_000)), Some(MicroUsd(12_500_000)));
        assert_eq!(budget.unwrap().budget, Budget { monthly, per_user, when_used_up: WhenUsedUp::HardLimit });
        let budget = policy("budget", serde_json::json!({"monthly_usd": 50})).unwrap().budget;
        assert_eq!((budget.per_user, budget.when_used_up), (None, WhenUsedUp::NextIdle));
    }

    #[test]
    fn a_budget_that_limits_nothing_or_allows_nothing_is_refused() {
        let refused =
            |budget: serde_json::Value| one(|workspace| workspace["budget"] = budget.clone()).unwrap_err().to_string();
        assert!(refused(serde_json::json!({})).contains("budget limits nothing"));
        assert!(refused(serde_json::json!({"monthly_usd": 0})).contains("budget.monthly_usd is 0"));
        assert!(refused(serde_json::json!({"per_user_usd": -1})).contains("budget.per_user_usd is -1"));
        assert!(refused(serde_json::json!({"monthly_usd": 1, "when_used_up": "never"})).contains("next_idle"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrongs: [(&str, serde_json::Value, &str); 6] = [
            ("/id", "Main".into(), "Main"),
            ("/placements/0/usd_per_hour", (-1).into(), "usd_per_hour"),
            ("/placements/0/origin", "comfy.example.com".into(), "origin"),
            ("/placements/0/zone", 5.into(), "expected a JSON list"),
            ("/placements", serde_json::json!([]), "no placements"),
            ("/limits", serde_json::json!({"idle_seconds": 1}), "idle_limit is 1 s; expected 60 s"),
        ];
        for (pointer, value, told) in wrongs {
            let error = one(|workspace| match workspace.pointer_mut(pointer) {
                Some(place) => *place = value.clone(),
                None => workspace["limits"] = value.clone(),
            });
            let message = error.unwrap_err().to_string();
            assert!(message.contains(told), "{pointer}: {message}");
        }
    }
}
