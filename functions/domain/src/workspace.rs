//! What a workspace *is*: its placements, its price and its limits, as Terraform declared them.

use std::fmt;

use crate::budget::Budget;
use crate::calendar::Calendar;
use crate::cost::MicroUsd;
use crate::session::Role;
use crate::time::Seconds;

/// A workspace's short name: 1 to 30 of `a-z 0-9 -`, beginning with a letter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkspaceId(String);

/// Why a text is no workspace name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkspaceIdError(pub String);

impl WorkspaceId {
    /// Longest name, so that instance names built from it stay within Compute Engine's 63 characters.
    pub const LENGTH_MAX: usize = 30;

    /// Checks the shape.
    ///
    /// # Errors
    /// When the text is no such name; the error holds the text.
    pub fn parse(text: &str) -> Result<Self, WorkspaceIdError> {
        let shaped = text.len() <= Self::LENGTH_MAX
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if shaped { Ok(Self(text.to_owned())) } else { Err(WorkspaceIdError(text.chars().take(60).collect())) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WorkspaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for WorkspaceIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no workspace name: expected 1 to 30 of a-z, 0-9 and -, beginning with a letter", self.0)
    }
}

impl std::error::Error for WorkspaceIdError {}

/// One declared instance that can carry the workspace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Placement {
    /// Name of the Compute Engine instance, unique in the project.
    pub instance: String,
    pub zone: String,
    pub spot: bool,
    pub machine_type: String,
    /// Accelerator type such as `nvidia-l4`; empty for none.
    pub accelerator: String,
    /// List price while it is up, per hour.
    pub usd_per_hour: MicroUsd,
    /// Day of the list that the price is from, `2026-07-30`; `None` where nobody has said.
    pub price_date: Option<String>,
    /// Where the gateway of this instance is reached, such as `https://comfy.example.com`: scheme, host, port.
    pub origin: String,
}

/// A declared workspace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Workspace {
    pub id: WorkspaceId,
    pub title: String,
    /// Names of the users who may see and use it; `None` for everybody who may sign in.
    pub members: Option<Vec<String>>,
    /// In order of preference; never empty.
    pub placements: Vec<Placement>,
    /// The regional data disk that moves between placements; `None` where the only placement keeps its own.
    pub disk: Option<String>,
    /// The months that its cost is summed in.
    pub calendar: Calendar,
    pub policy: Policy,
}

impl Workspace {
    /// Whether it is there for this user. To everybody else it is as if it did not exist; admins see all there are.
    pub fn admits(&self, user: &str, role: Role) -> bool {
        let is_member = |members: &Vec<String>| members.iter().any(|member| member == user);
        role == Role::Admin || self.members.as_ref().is_none_or(is_member)
    }

    /// The placement carried by `instance`.
    pub fn placement(&self, instance: &str) -> Option<&Placement> {
        self.placements.iter().find(|placement| placement.instance == instance)
    }
}

/// Which placements are tried before the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SpotOrder {
    /// In the order in which they are declared.
    #[default]
    AsDeclared,
    /// Spot ones, then standard ones.
    First,
    /// Standard ones, then Spot ones.
    Last,
}

/// Limits and choices of a workspace; times are policy seconds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    /// A run without activity for this long is announced and stopped.
    pub idle_limit: Seconds,
    /// The same for a run that has shown no activity at all since it was ready.
    pub arrival_limit: Seconds,
    /// Longest life of a run, whatever happens in it.
    pub hard_limit: Seconds,
    /// How long a stop is announced before it happens.
    pub drain: Seconds,
    /// A VM that has not been heard for this long counts as idle.
    pub silence_limit: Seconds,
    /// How often a VM speaks.
    pub heartbeat_every: Seconds,
    /// Longest time in `Placing` in which the walk does not come any further.
    pub placing_limit: Seconds,
    /// Longest time in `Booting` in which the boot does not come any further.
    pub booting_limit: Seconds,
    /// Longest time in `Stopping`.
    pub stopping_limit: Seconds,
    /// A call to Compute Engine is made within this time of having been announced in the record, or not at all.
    pub call_limit: Seconds,
    /// When to try again after all placements were dry.
    pub stock_out_retry: Seconds,
    /// A placement whose start has been accepted and is not over for this long is given up.
    pub attempt_limit: Seconds,
    /// A placement that was dry is tried last for this long.
    pub dry_for: Seconds,
    /// A zone that has not answered for this long counts as gone; calls that fail now and then are no such zone.
    pub zone_silence_limit: Seconds,
    pub spot: SpotOrder,
    pub budget: Budget,
    /// Somebody wants to be told what happens to it.
    pub notify: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            idle_limit: Seconds::minutes(30),
            arrival_limit: Seconds::minutes(15),
            hard_limit: Seconds::hours(12),
            drain: Seconds::minutes(3),
            silence_limit: Seconds::minutes(10),
            heartbeat_every: Seconds(30),
            placing_limit: Seconds::minutes(10),
            booting_limit: Seconds::minutes(20),
            stopping_limit: Seconds::minutes(10),
            call_limit: Seconds(30),
            stock_out_retry: Seconds::minutes(5),
            // Google may take 100 seconds to say that a zone is dry.
            attempt_limit: Seconds(150),
            dry_for: Seconds::minutes(10),
            zone_silence_limit: Seconds::minutes(1),
            spot: SpotOrder::AsDeclared,
            budget: Budget::default(),
            notify: false,
        }
    }
}

/// A limit that cannot be kept, with the bounds it must keep to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    pub limit: &'static str,
    pub found: Seconds,
    pub least: Seconds,
    pub most: Seconds,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}; expected {} to {}", self.limit, self.found, self.least, self.most)
    }
}

impl std::error::Error for PolicyError {}

impl Policy {
    /// Checks that the limits fit each other.
    ///
    /// # Errors
    /// Names the first limit that does not, what was found and what was expected.
    pub fn check(&self) -> Result<(), PolicyError> {
        let week = Seconds::hours(7 * 24);
        let bounds = [
            ("idle_limit", self.idle_limit, Seconds(60), Seconds::hours(24)),
            ("arrival_limit", self.arrival_limit, Seconds(60), Seconds::hours(24)),
            // Longer than an announcement, or the announcement would begin before the run; Google's own
            // maxRunDuration ends at 120 days, a week is already a forgotten machine.
            ("hard_limit", self.hard_limit, self.drain + Seconds(60), week),
            ("drain", self.drain, Seconds(10), Seconds::hours(1)),
            // Two heartbeats may be lost before anybody draws a conclusion.
            ("silence_limit", self.silence_limit, Seconds(self.heartbeat_every.0 * 3), Seconds::hours(24)),
            ("heartbeat_every", self.heartbeat_every, Seconds(5), Seconds::minutes(5)),
            ("placing_limit", self.placing_limit, Seconds(60), Seconds::hours(6)),
            ("booting_limit", self.booting_limit, Seconds(60), Seconds::hours(6)),
            ("stopping_limit", self.stopping_limit, Seconds(60), Seconds::hours(6)),
            ("call_limit", self.call_limit, Seconds(5), Seconds::minutes(5)),
            ("stock_out_retry", self.stock_out_retry, Seconds(10), Seconds::hours(24)),
            ("attempt_limit", self.attempt_limit, Seconds(30), Seconds::hours(1)),
            ("zone_silence_limit", self.zone_silence_limit, Seconds(0), Seconds::minutes(10)),
            ("dry_for", self.dry_for, Seconds(0), Seconds::hours(24)),
        ];
        match bounds.into_iter().find(|(_, found, least, most)| found < least || found > most) {
            Some((limit, found, least, most)) => Err(PolicyError { limit, found, least, most }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_name_is_short_and_plain() {
        assert!(WorkspaceId::parse("main").is_ok());
        for wrong in ["", "Main", "9lives", "a/b", "a_b", "../etc", &"a".repeat(31)] {
            assert!(WorkspaceId::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_limits_one_gets_without_asking_fit_each_other() {
        assert_eq!(Policy::default().check(), Ok(()));
    }

    #[test]
    fn a_hard_limit_shorter_than_the_announcement_is_refused_by_name() {
        let policy = Policy { hard_limit: Seconds(30), ..Policy::default() };
        assert_eq!(policy.check().unwrap_err().limit, "hard_limit");
    }

    #[test]
    fn a_silence_limit_of_less_than_three_heartbeats_is_refused_with_its_bounds() {
        let policy = Policy { silence_limit: Seconds(89), ..Policy::default() };
        let refused = policy.check().unwrap_err();
        assert_eq!((refused.limit, refused.found, refused.least), ("silence_limit", Seconds(89), Seconds(90)));
    }
}
