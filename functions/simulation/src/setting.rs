//! What the world of a seed is like: its workspaces, their limits, and how much goes wrong.

use domain::{Budget, Calendar, MicroUsd, Placement, Policy, Seconds, SpotOrder, WhenUsedUp, Workspace, WorkspaceId};

use crate::breaks::Break;
use crate::chance::Chance;

/// How often each thing goes wrong, in a thousand; half of them are off in any one seed, so that what remains is seen
/// by itself too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Storm {
    /// A request, a push or a sweep dies at one of its awaits.
    pub crash: u64,
    /// An operation of the store fails, is in false conflict, or is done and not answered.
    pub store: u64,
    /// It takes seconds.
    pub store_slow: u64,
    /// A look at Compute Engine fails.
    pub look: u64,
    /// A call does not arrive, or its answer does not.
    pub call_lost: u64,
    /// It arrives as late as it may.
    pub call_late: u64,
    pub nudge_refused: u64,
    pub nudge_lost: u64,
    pub nudge_late: u64,
    pub nudge_twice: u64,
    /// Compute Engine's own word does not come.
    pub event_lost: u64,
    pub sweep_missing: u64,
    /// A start finds its zone dry.
    pub stock_out: u64,
    /// A zone becomes dry for some minutes (of each mishap).
    pub dry: u64,
    /// What was told to be dry comes up all the same.
    pub late_success: u64,
    /// An operation takes minutes.
    pub operation_slow: u64,
    /// A stop takes longer than any limit.
    pub stop_stuck: u64,
    pub boot_fails: u64,
    pub boot_stands_still: u64,
    /// A VM's word does not arrive, or the answer does not.
    pub beat_lost: u64,
    /// ComfyUI does not answer the gateway for a while.
    pub unknown: u64,
    /// A person's request does not arrive, or its answer does not.
    pub ask_lost: u64,
    /// A notice is not delivered, or nobody says that it was.
    pub notice: u64,
    /// Somebody starts it, and wants it tried for a while.
    pub keep_trying: u64,
    /// People press Stop and Start in haste.
    pub hasty: u64,
    /// Things that befall the world, an hour.
    pub mishaps: u64,
}

/// The world of a seed.
#[derive(Clone, Debug)]
pub struct Setting {
    pub seed: u64,
    pub workspaces: Vec<Workspace>,
    pub storm: Storm,
    /// How far the clocks of the three processes are ahead, in milliseconds.
    pub ahead_millis: [i64; 3],
    /// How long things go on before it is quiet.
    pub length: Seconds,
    /// The rule that is broken on purpose.
    pub broken: Option<Break>,
}

/// Two clocks differ by less than ten seconds (ADR 3); these by six at most.
pub(crate) const AHEAD_MILLIS_MOST: i64 = 3000;

impl Setting {
    /// The world of `seed`.
    pub fn of(seed: u64, broken: Option<Break>, chance: &mut Chance) -> Self {
        let storm = storm(chance);
        let workspaces = vec![
            workspace("solo", &[("a", false)], false, chance),
            workspace("pair", &[("a", false), ("b", false)], true, chance),
            workspace("mixed", &[("a", true), ("b", true), ("c", false)], true, chance),
        ];
        let most = AHEAD_MILLIS_MOST.unsigned_abs() * 2;
        let ahead_millis = [0; 3].map(|_: i64| chance.between(0, most).cast_signed() - AHEAD_MILLIS_MOST);
        let length = Seconds::minutes(chance.between(20, 60));
        Self { seed, workspaces, storm, ahead_millis, length, broken }
    }
}

fn storm(chance: &mut Chance) -> Storm {
    // A seed in ten is calm: there, the laws are judged with nothing to excuse anybody.
    let calm = chance.strikes(100);
    let mut upto = |most: u64| if calm || chance.strikes(500) { 0 } else { chance.between(1, most) };
    Storm {
        crash: upto(60),
        store: upto(30),
        store_slow: upto(20),
        look: upto(40),
        call_lost: upto(200),
        call_late: upto(200),
        nudge_refused: upto(100),
        nudge_lost: upto(250),
        nudge_late: upto(250),
        nudge_twice: upto(250),
        event_lost: upto(600),
        sweep_missing: upto(200),
        stock_out: upto(300),
        dry: upto(1000),
        late_success: upto(1000),
        operation_slow: upto(200),
        stop_stuck: upto(40),
        boot_fails: upto(150),
        boot_stands_still: upto(150),
        beat_lost: upto(80),
        unknown: upto(30),
        ask_lost: upto(100),
        notice: upto(300),
        keep_trying: upto(1000),
        hasty: upto(400),
        mishaps: upto(40),
    }
}

fn workspace(name: &str, placements: &[(&str, bool)], moves: bool, chance: &mut Chance) -> Workspace {
    let placement = |(letter, spot): &(&str, bool)| Placement {
        instance: format!("{name}-{letter}"),
        zone: format!("us-central1-{letter}"),
        spot: *spot,
        machine_type: "g2-standard-4".into(),
        accelerator: "nvidia-l4".into(),
        usd_per_hour: MicroUsd(if *spot { 282_720 } else { 706_800 }),
        price_date: None,
        origin: format!("https://{name}.example.com"),
    };
    let workspace = Workspace {
        // The names are ours, and are names.
        id: WorkspaceId::parse(name).unwrap_or_else(|error| unreachable!("{error}")),
        title: name.into(),
        members: None,
        placements: placements.iter().map(placement).collect(),
        disk: moves.then(|| format!("{name}-data")),
        calendar: Calendar::default(),
        policy: policy(chance),
    };
    workspace.policy.check().unwrap_or_else(|error| unreachable!("{error}"));
    workspace
}

/// In a seed's hour a machine costs half a dollar.
fn budget(chance: &mut Chance) -> Budget {
    let mut cents = |per_mille: u64| chance.strikes(per_mille).then(|| MicroUsd(chance.between(2, 60) * 10_000));
    let (monthly, per_user) = (cents(300), cents(150));
    Budget { monthly, per_user, when_used_up: chance.pick(&[WhenUsedUp::NextIdle, WhenUsedUp::HardLimit]) }
}

fn policy(chance: &mut Chance) -> Policy {
    let mut minutes = |from: u64, to: u64| Seconds(chance.between(from * 60, to * 60));
    Policy {
        idle_limit: minutes(3, 10),
        arrival_limit: minutes(3, 8),
        hard_limit: minutes(15, 50),
        drain: minutes(1, 3),
        silence_limit: minutes(2, 5),
        placing_limit: minutes(4, 10),
        booting_limit: minutes(3, 8),
        stopping_limit: minutes(4, 8),
        stock_out_retry: minutes(1, 5),
        attempt_limit: minutes(1, 3),
        dry_for: minutes(1, 10),
        spot: chance.pick(&[SpotOrder::AsDeclared, SpotOrder::First, SpotOrder::Last]),
        budget: budget(chance),
        notify: chance.strikes(700),
        ..Policy::default()
    }
}
