use super::*;

const START: Timestamp = Timestamp::from_seconds(1_000_000);

fn after(seconds: u64) -> Timestamp {
    START + Seconds(seconds)
}

/// ComfyUI answers, and nothing is in its queue.
fn at_rest() -> Activity {
    let mut activity = Activity::default();
    activity.note_queue(0, START);
    activity
}

fn idle_since(seconds: u64, signal: Signal) -> Reading {
    Reading::Idle { last: Some(domain::Activity { at: after(seconds), signal }) }
}

#[test]
fn before_comfyui_has_answered_nothing_is_known() {
    assert_eq!(Activity::default().reading(START), Reading::Unknown);
}

#[test]
fn an_empty_queue_and_nobody_there_is_idle() {
    assert_eq!(at_rest().reading(after(10)), Reading::Idle { last: None });
}

#[test]
fn a_job_in_the_queue_is_busy_until_it_is_gone() {
    let mut activity = at_rest();
    activity.note_queue(2, after(5));
    assert_eq!(activity.reading(after(6)), Reading::Busy(Signal::Queue));
    activity.note_queue(0, after(10));
    assert_eq!(activity.reading(after(11)), idle_since(5, Signal::Queue));
}

#[test]
fn three_missed_polls_make_it_unknown_and_two_do_not() {
    let mut activity = at_rest();
    activity.note_queue_missed();
    activity.note_queue_missed();
    assert_eq!(activity.reading(after(40)), Reading::Idle { last: None });
    activity.note_queue_missed();
    assert_eq!(activity.reading(after(40)), Reading::Unknown);
    activity.note_queue(0, after(45));
    assert_eq!(activity.reading(after(46)), Reading::Idle { last: None });
}

#[test]
fn a_job_that_makes_comfyui_miss_a_poll_is_still_a_job() {
    let mut activity = at_rest();
    activity.note_queue(1, after(5));
    activity.note_queue_missed();
    assert_eq!(activity.reading(after(12)), Reading::Busy(Signal::Queue));
}

#[test]
fn a_person_who_waits_for_a_dead_comfyui_is_still_there() {
    let mut activity = Activity::default();
    activity.note(Signal::Person, after(0));
    assert_eq!(activity.reading(after(29)), Reading::Busy(Signal::Person));
    assert_eq!(activity.reading(after(30)), Reading::Unknown);
}

#[test]
fn a_long_upload_is_activity_until_it_ends() {
    let mut activity = at_rest();
    let flight = activity.begin_request(after(0));
    flight.moved(after(3000));
    assert_eq!(activity.reading(after(3600)), Reading::Busy(Signal::Traffic));
    activity.end_request(&flight, true, after(3601));
    assert_eq!(activity.reading(after(3700)), idle_since(3601, Signal::Traffic));
}

#[test]
fn a_request_that_fails_leaves_nothing_behind() {
    let mut activity = at_rest();
    let flight = activity.begin_request(after(0));
    activity.end_request(&flight, false, after(20));
    assert_eq!(activity.reading(after(21)), Reading::Idle { last: None });
}

#[test]
fn a_request_that_has_only_begun_may_yet_fail() {
    let mut activity = at_rest();
    let _flight = activity.begin_request(after(0));
    assert_eq!(activity.reading(after(1)), Reading::Idle { last: None });
    assert_eq!(activity.reading(after(2)), Reading::Busy(Signal::Traffic));
}

#[test]
fn a_download_to_a_sleeping_laptop_does_not_count_for_ever() {
    let mut activity = at_rest();
    let flight = activity.begin_request(after(0));
    flight.moved(after(100));
    assert_eq!(activity.reading(after(100 + 899)), Reading::Busy(Signal::Traffic));
    assert_eq!(activity.reading(after(100 + 900)), Reading::Idle { last: None });
}

#[test]
fn the_gpu_counts_when_enough_samples_of_a_minute_say_so() {
    let mut activity = at_rest();
    for second in [0, 5, 10, 15] {
        activity.note_gpu(GPU_BUSY_ABOVE_PERCENT, after(second));
    }
    assert_eq!(activity.reading(after(16)), Reading::Idle { last: None }, "at the threshold is not above it");
    for second in [20, 25] {
        activity.note_gpu(90, after(second));
    }
    assert_eq!(activity.reading(after(26)), Reading::Idle { last: None }, "two are a blip");
    activity.note_gpu(90, after(30));
    assert_eq!(activity.reading(after(31)), Reading::Busy(Signal::Gpu));
    activity.note_gpu(0, after(85));
    assert_eq!(activity.reading(after(85)), idle_since(30, Signal::Gpu), "two of the three are older than a minute");
}

#[test]
fn samples_of_the_gpu_are_bounded() {
    let mut activity = at_rest();
    for _ in 0..1000 {
        activity.note_gpu(0, after(1));
    }
    assert_eq!(activity.gpu.len(), GPU_SAMPLES_MAX);
}

#[test]
fn the_newest_evidence_is_kept_and_an_older_one_changes_nothing() {
    let mut activity = at_rest();
    activity.note(Signal::Person, after(50));
    activity.note(Signal::Traffic, after(40));
    assert_eq!(activity.last().unwrap(), domain::Activity { at: after(50), signal: Signal::Person });
}

#[test]
fn what_was_told_a_moment_ago_is_no_news() {
    let mut activity = at_rest();
    assert!(activity.note(Signal::Person, after(0)), "the first sign of life");
    activity.told(activity.reading(after(1)), after(1), false);
    assert!(!activity.note(Signal::Person, after(30)));
    assert!(activity.note(Signal::Person, after(60)), "the last told is a minute old");
}

#[test]
fn anything_is_news_while_a_stop_is_announced() {
    let mut activity = at_rest();
    activity.note(Signal::Person, after(0));
    activity.told(activity.reading(after(1)), after(1), true);
    assert!(activity.note(Signal::Traffic, after(2)));
}

#[test]
fn comfyui_coming_up_is_news_and_its_next_answer_is_not() {
    let mut activity = Activity::default();
    assert!(activity.note_queue(0, after(0)));
    assert!(!activity.note_queue(0, after(5)));
}
