use super::*;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn at(second: u64) -> Timestamp {
    NOW + Seconds(second)
}

/// A folder that goes with the test, and the boot whose words are in it.
fn boot() -> (tempfile::TempDir, Boot) {
    let folder = tempfile::tempdir().unwrap();
    let boot = Boot::new(Some(folder.path().join("boot.json")), NOW);
    (folder, boot)
}

fn say(folder: &tempfile::TempDir, words: &str) {
    std::fs::write(folder.path().join("boot.json"), words).unwrap();
}

fn installing(percent: u8) -> String {
    format!(r#"{{"step":"installing","percent":{percent},"detail":"PyTorch","failed":false}}"#)
}

#[test]
fn without_a_script_the_boot_comes_nearer_its_end_and_never_there() {
    let boot = Boot::new(None, NOW);
    let percents: Vec<u8> = [0, 5, 20, 60, 600, 100_000].map(|up: u64| boot.report(Some(1), at(up)).percent).into();
    assert!(percents.is_sorted() && percents[0] == 60 && percents[2] == 77 && percents[5] == 94, "{percents:?}");
    assert_eq!(boot.report(None, NOW).step, "booting");
    assert!(boot.lets_in() && !boot.look(at(5)));
}

#[test]
fn before_the_script_has_spoken_the_machine_boots() {
    let (_folder, boot) = boot();
    assert!(!boot.look(NOW) && !boot.lets_in());
    assert_eq!(boot.report(Some(1), at(30)).step, "booting");
}

#[test]
fn what_the_script_says_is_told_as_it_is_and_is_news_once() {
    let (folder, boot) = boot();
    say(&folder, &installing(40));
    assert!(boot.look(NOW) && !boot.look(at(1)) && !boot.look(at(60)));
    let told = boot.report(Some(1), at(60));
    assert_eq!((told.step.as_str(), told.percent, told.detail.as_str()), ("installing", 40, "PyTorch"));
    assert!(!told.failed && !boot.lets_in());
}

#[test]
fn more_of_the_same_is_news_now_and_then_and_none_of_it_is_lost() {
    let (folder, boot) = boot();
    let mut news = Vec::new();
    for second in 0..6 {
        say(&folder, &installing(40 + u8::try_from(second.min(4)).unwrap()));
        news.push(boot.look(at(second)));
    }
    assert_eq!(news, [true, false, true, false, true, false]);
    say(&folder, &installing(50));
    assert!(!boot.look(at(5)), "too soon");
    assert!(boot.look(at(6)), "and is told later");
}

#[test]
fn a_later_step_and_a_failure_are_news_at_once() {
    let (folder, boot) = boot();
    say(&folder, &installing(59));
    assert!(boot.look(NOW));
    say(&folder, r#"{"step":"getting_certificate","percent":60}"#);
    assert!(boot.look(NOW));
    let failed = r#"{"step":"getting_certificate","percent":0,"detail":"no DNS\nfor it","failed":true}"#;
    say(&folder, failed);
    assert!(boot.look(NOW) && !boot.lets_in());
    let told = boot.report(Some(1), at(60));
    assert_eq!((told.failed, told.percent, told.detail.as_str()), (true, 0, "no DNS\nfor it"));
}

#[test]
fn at_the_last_step_browsers_can_come_and_the_percent_goes_on_by_itself() {
    let (folder, boot) = boot();
    say(&folder, r#"{"step":"starting_comfyui","percent":70,"detail":"Waiting","failed":false}"#);
    assert!(boot.look(at(100)) && boot.lets_in());
    let percents = [100, 105, 120, 100_000].map(|second| boot.report(Some(1), at(second)).percent);
    assert_eq!(percents, [70, 75, 82, 94]);
    assert!(!boot.look(at(130)), "which is no news");
    say(&folder, r#"{"step":"starting_comfyui","percent":0,"detail":"nginx","failed":true}"#);
    assert!(boot.look(at(131)) && !boot.lets_in());
    assert_eq!(boot.report(Some(1), at(200)).percent, 0);
}

#[test]
fn what_cannot_be_read_leaves_the_last_word_standing() {
    let (folder, boot) = boot();
    say(&folder, &installing(40));
    assert!(boot.look(NOW));
    let long = format!(r#"{{"step":"installing","percent":41,"detail":"{}"}}"#, "x".repeat(20_000));
    let broken =
        ["", "{", "null", r#"{"step":"cooking","percent":1}"#, r#"{"step":"installing","percent":300}"#, &long];
    for words in broken {
        say(&folder, words);
        assert!(!boot.look(at(60)), "{words:.40}");
        assert_eq!(boot.report(Some(1), at(60)).percent, 40, "{words:.40}");
    }
    std::fs::remove_file(folder.path().join("boot.json")).unwrap();
    assert!(!boot.look(at(90)));
    std::fs::create_dir(folder.path().join("boot.json")).unwrap();
    assert!(!boot.look(at(90)));
    assert_eq!(boot.report(Some(1), at(90)).percent, 40);
}

#[test]
fn last_words_are_cut_to_what_is_kept() {
    let (folder, boot) = boot();
    let detail = "é".repeat(1500);
    say(&folder, &format!(r#"{{"step":"installing","percent":0,"detail":"{detail}","failed":true}}"#));
    assert!(boot.look(NOW));
    assert_eq!(boot.report(Some(1), NOW).detail.chars().count(), 1000);
}
