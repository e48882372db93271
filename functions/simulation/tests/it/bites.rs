//! The judge bites: with any one rule broken, some seed is found to break the law that it breaks.

use std::collections::BTreeSet;

use simulation::{Break, LAWS, Law, Play, play};

use crate::keys;

/// Seeds that are tried until the law is broken.
const TRIES: u64 = 300;

/// A rule, and the law that breaks with it. Every law is here.
const BITES: &[(Break, &str)] = &[
    (Break::ActivityIsForgotten, "1: nothing is stopped as idle with activity younger than the idle limit"),
    (Break::RunsAreCutShort, "1: nothing is stopped as idle before its deadline"),
    (Break::ReasonsAreWrong, "1: a user, the hard end or Google ends a run only where they did"),
    (Break::DeadlinesRunAway, "2: an idle run ends within its limits, drain and two sweeps; a hard end is one"),
    (Break::SweepsSeeNoMachines, "2: a machine that nobody wants is stopped"),
    (Break::SavesAreBlind, "each run has one receipt, in order"),
    (Break::CallsAreForgotten, "3: a start outlives neither its run nor its user's wish"),
    (Break::CallsArriveLate, "3: a stop of one run stops no machine of a later one"),
    (Break::CallsArriveLate, "3: a start outlives neither its run nor its user's wish"),
    (Break::StoppingIsSeenAsDown, "3: no run is said to be over while its machine is up"),
    (Break::NothingElseIsSeen, "4: at most one placement runs"),
    (Break::OthersAreNotSeen, "4: the disk is pulled from no machine that runs"),
    (Break::TheDiskIsSeenNowhere, "4: the disk is attached to one instance at most"),
    (Break::TheDiskIsSeenInPlace, "4: nothing is started without the disk"),
    (Break::DeadlinesMoveBack, "5: deadlines move forward only"),
    (Break::TheHardEndMoves, "5: no deadline lies past the hard end, which does not move"),
    (Break::UnknownIsIdle, "6: nothing is stopped as idle or silent that was not heard to be"),
    (Break::TimeStandsStill, "7: no phase outlasts its limit by more than a sweep"),
    (Break::NobodyLooks, "7: every accepted start ends in a receipt"),
    (Break::StopsNeverEnd, "7: everything comes to rest"),
    (Break::HeartbeatsFail, "7: nobody is told of an error of ours"),
    (Break::ReceiptsAreLost, "each run has one receipt, in order"),
    (Break::RestartsAreAnew, "5: a run that goes on after an interruption keeps its hard end"),
    (Break::NoticesAreKept, "a notice is told once at most"),
    (Break::NothingComesUp, "4: no placement is given up whose machine has come up"),
    (Break::StartsAreRefused, "7: no run fails for a call of its own that was repeated"),
    (Break::ReceiptsAreDear, "no run is billed for more than its machine was up, a minute and a sweep"),
    (Break::ReceiptsAreCheap, "a run is billed for all that the machine of its receipt ran last"),
];

#[test]
fn every_law_is_broken_where_its_rule_is() {
    let mut unbroken = Vec::new();
    for (rule, law) in BITES {
        let mut found = BTreeSet::new();
        let bitten = (0..TRIES).find(|seed| {
            let broken = play(*seed, Play { keep: false, broken: Some(*rule) }, keys()).broken;
            broken.is_some_and(|broken| {
                let bitten = broken.law == *law;
                found.insert(broken.law);
                bitten
            })
        });
        eprintln!("{rule:?}: seed {bitten:?} ({law})");
        if bitten.is_none() {
            unbroken.push(format!("{rule:?} never breaks {law:?}, but {found:?}"));
        }
    }
    assert!(unbroken.is_empty(), "{unbroken:#?}");
    let bitten: BTreeSet<Law> = BITES.iter().map(|(_, law)| *law).collect();
    let all: BTreeSet<Law> = LAWS.iter().copied().collect();
    assert_eq!(bitten, all);
}
