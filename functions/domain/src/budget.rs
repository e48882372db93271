//! What a month may cost: who may start when it is spent, and when a run that is up stops for it.
//!
//! The owner's limit is on starts and on idleness. It never cuts into work: a run whose budget is used up is announced
//! and stopped as soon as nobody uses it, or at its hard end, as the owner has chosen.

use crate::calendar::Calendar;
use crate::cost::{MicroUsd, Month};
use crate::decide::Denied;
use crate::idleness::heard_idle;
use crate::record::{Record, StopReason};
use crate::time::{Seconds, Timestamp};
use crate::workspace::Workspace;

/// What may be spent in a calendar month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Budget {
    /// On the workspace, by everybody together.
    pub monthly: Option<MicroUsd>,
    /// By each user, on all workspaces together.
    pub per_user: Option<MicroUsd>,
    pub when_used_up: WhenUsedUp,
}

/// What becomes of a run that is up when the budget is used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WhenUsedUp {
    /// It stops as soon as nobody uses it.
    #[default]
    NextIdle,
    /// It may go on to its hard end.
    HardLimit,
}

/// Whose limit has been reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BudgetOf {
    Workspace,
    User,
}

/// What a user has spent on a workspace in a month.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UserMonth {
    pub user: String,
    pub month: Month,
}

/// The last step of a month's budget that was told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BudgetTold {
    /// First moment of the month.
    pub month: Timestamp,
    pub percent: u8,
}

/// Users whose spending a record remembers; who has spent least is forgotten first.
const USERS_MAX: usize = 200;

/// Share of a budget, in percent, at which its people are warned, and at which it is used up.
const WARN_AT: u8 = 80;
const USED_UP_AT: u8 = 100;

/// A run whose budget is used up stops when it has not been used for this long; sooner where the idle limit is shorter.
const IDLE_WHEN_USED_UP: Seconds = Seconds::minutes(5);

/// Whoever asks for a start, and on what terms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct StartRequest {
    /// Name of the user, for the history and the budget; `None` where nobody is named.
    pub user: Option<String>,
    /// Admins may start when the budget is used up.
    pub is_admin: bool,
    /// What the user has spent this month, on all workspaces.
    pub user_spent: MicroUsd,
    /// Go on trying for so long while every placement is dry.
    pub keep_trying: Option<Seconds>,
}

/// The budget allows the start, to a run that may cost so much, if a user's limit bounds it.
///
/// # Errors
/// [`Denied::BudgetUsedUp`] to everybody but an admin.
pub(crate) fn check_start(
    record: &Record,
    request: &StartRequest,
    now: Timestamp,
    workspace: &Workspace,
) -> Result<Option<MicroUsd>, Denied> {
    let Budget { monthly, per_user, .. } = workspace.policy.budget;
    if request.is_admin {
        return Ok(None);
    }
    let spent = record.month_cost(now, workspace).spent;
    if let Some(limit) = monthly.filter(|limit| spent >= *limit) {
        return Err(Denied::BudgetUsedUp { of: BudgetOf::Workspace, spent, limit });
    }
    let spent = request.user_spent;
    match per_user {
        Some(limit) if spent >= limit => Err(Denied::BudgetUsedUp { of: BudgetOf::User, spent, limit }),
        limit => Ok(limit.map(|limit| MicroUsd(limit.0 - spent.0))),
    }
}

/// The run may be kept from stopping.
///
/// # Errors
/// [`Denied::BudgetUsedUp`] where it may go on only for as long as it is used.
pub(crate) fn check_extension(record: &Record, now: Timestamp, workspace: &Workspace) -> Result<(), Denied> {
    if !record.is_beyond_its_budget(now, workspace) {
        return Ok(());
    }
    let Budget { monthly, .. } = workspace.policy.budget;
    let spent = record.month_cost(now, workspace).spent;
    Err(match (monthly.filter(|limit| spent >= *limit), record.allowance) {
        (None, Some(limit)) => {
            Denied::BudgetUsedUp { of: BudgetOf::User, spent: record.run_cost(now, workspace), limit }
        }
        (limit, _) => Denied::BudgetUsedUp { of: BudgetOf::Workspace, spent, limit: limit.unwrap_or_default() },
    })
}

/// A share in whole percent, rounded down.
fn percent(part: MicroUsd, whole: MicroUsd) -> u8 {
    match (u128::from(part.0) * 100).checked_div(u128::from(whole.0)) {
        Some(percent) => u8::try_from(percent.min(u128::from(u8::MAX))).unwrap_or(u8::MAX),
        // Nothing may be spent, so it is spent.
        None => USED_UP_AT,
    }
}

impl Record {
    /// How much of the workspace's monthly budget is spent, in whole percent; `None` where it has none.
    pub fn budget_percent(&self, now: Timestamp, workspace: &Workspace) -> Option<u8> {
        let limit = workspace.policy.budget.monthly?;
        Some(percent(self.month_cost(now, workspace).spent, limit))
    }

    /// Whether all of the workspace's monthly budget is spent.
    pub fn budget_is_used_up(&self, now: Timestamp, workspace: &Workspace) -> bool {
        self.budget_percent(now, workspace).is_some_and(|percent| percent >= USED_UP_AT)
    }

    /// Whether the run that is up may go on only for as long as it is used.
    pub fn is_beyond_its_budget(&self, now: Timestamp, workspace: &Workspace) -> bool {
        // What an admin has started in spite of it is stopped as any other run is.
        !self.beyond_budget
            && (self.budget_is_used_up(now, workspace)
                || self.allowance.is_some_and(|left| self.run_cost(now, workspace) >= left))
    }

    /// What `user` has spent on this workspace in the month that `now` lies in.
    pub fn spent_by(&self, user: &str, now: Timestamp, workspace: &Workspace) -> MicroUsd {
        self.month_of(user, now, workspace).spent
    }

    /// The month of `user` on this workspace, with the run that is up, where it is theirs.
    fn month_of(&self, user: &str, now: Timestamp, workspace: &Workspace) -> Month {
        let past = self.by_user.iter().find(|spent| spent.user == user).map(|spent| spent.month).unwrap_or_default();
        let is_theirs = self.started_by.as_deref() == Some(user);
        if is_theirs { self.with_this_run(past, now, workspace) } else { past.at(now, &workspace.calendar) }
    }

    /// Books what the run that ends `now` has cost to whoever has started it.
    pub(crate) fn book_to_user(&mut self, now: Timestamp, workspace: &Workspace) {
        let Some(user) = self.started_by.clone() else { return };
        let month = self.month_of(&user, now, workspace);
        self.by_user.retain(|spent| spent.user != user && is_current(spent.month, now, &workspace.calendar));
        if month.spent > MicroUsd(0) {
            self.by_user.push(UserMonth { user, month });
        }
        if self.by_user.len() > USERS_MAX {
            self.by_user.sort_by_key(|spent| std::cmp::Reverse(spent.month.spent));
            self.by_user.truncate(USERS_MAX);
        }
    }
}

fn is_current(month: Month, now: Timestamp, calendar: &Calendar) -> bool {
    month.at(now, calendar).spent == month.spent
}

/// Why a ready run must be announced to stop for its budget, and since when, if it must.
pub(crate) fn budget_reason(record: &Record, now: Timestamp, workspace: &Workspace) -> Option<(StopReason, Timestamp)> {
    let policy = &workspace.policy;
    if policy.budget.when_used_up != WhenUsedUp::NextIdle || !record.is_beyond_its_budget(now, workspace) {
        return None;
    }
    let used_at = record.last_active.map(|last| last.at).max(record.ready_at)?;
    let quiet = now.since(used_at) >= IDLE_WHEN_USED_UP.min(policy.idle_limit);
    (quiet && heard_idle(record, now, policy)).then_some((StopReason::Budget, now))
}

/// The step of the budget that has been reached and not been told of in this month, which is then told.
pub(crate) fn step_to_tell(record: &mut Record, now: Timestamp, workspace: &Workspace) -> Option<u8> {
    let percent = record.budget_percent(now, workspace)?;
    let reached = [USED_UP_AT, WARN_AT].into_iter().find(|step| percent >= *step)?;
    let begins = record.month_cost(now, workspace).begins;
    let told = record.budget_told.filter(|told| told.month == begins).map_or(0, |told| told.percent);
    (reached > told).then(|| {
        record.budget_told = Some(BudgetTold { month: begins, percent: reached });
        reached
    })
}
