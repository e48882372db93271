use domain::Seconds;
use serde_json::json;

use super::*;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const LONG_AGO: Timestamp = Timestamp::from_seconds(1_700_000_000);

fn shelf() -> (tempfile::TempDir, Shelf) {
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf::new(folder.path().to_owned());
    (folder, shelf)
}

fn kept(run: RunNumber, ids: &[&str]) -> Kept {
    let entries: Vec<_> = ids.iter().map(|id| json!([0, id, {}, {}, []])).collect();
    let answer = json!({ "queue_running": entries, "queue_pending": [] }).to_string();
    Kept::new(run, NOW, crate::queued::read(answer.as_bytes()).unwrap().prompts)
}

fn ids(kept: Option<Kept>) -> Vec<String> {
    kept.into_iter().flat_map(|kept| kept.prompts).map(|prompt| prompt.id).collect()
}

fn names(folder: &tempfile::TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_queue_is_read_back_with_its_run_and_an_empty_one_leaves_no_file() {
    let (folder, shelf) = shelf();
    shelf.keep_queue(&kept(3, &["a", "b"])).unwrap();
    let queue = shelf.look(LONG_AGO).unwrap().queue.unwrap();
    assert_eq!((queue.run, queue.at()), (3, NOW));
    assert_eq!(ids(Some(queue)), ["a", "b"]);
    shelf.keep_queue(&kept(3, &[])).unwrap();
    assert!(names(&folder).is_empty());
}

#[test]
fn a_damaged_file_is_set_aside_and_the_others_are_read() {
    let (folder, shelf) = shelf();
    fs::write(folder.path().join(QUEUE), "{\"run\":3,").unwrap();
    fs::write(folder.path().join(KEPT), vec![b' '; usize::try_from(FILE_BYTES_MAX).unwrap() + 2]).unwrap();
    shelf.write(PUTTING_BACK, &kept(2, &["a"])).unwrap();
    let found = shelf.look(LONG_AGO).unwrap();
    assert!(found.queue.is_none() && found.kept.is_none());
    assert_eq!(ids(found.putting_back), ["a"]);
    assert_eq!(names(&folder), ["damaged-kept.json", "damaged-queue.json", "putting-back.json"]);
}

#[test]
fn what_nobody_wants_for_long_is_removed_and_the_queue_is_not() {
    let (folder, shelf) = shelf();
    shelf.keep_left(&kept(2, &["a", "b"]), true).unwrap();
    shelf.keep_refused(2, NOW, kept(2, &["c"]).prompts.remove(0)).unwrap();
    shelf.keep_queue(&kept(3, &["d"])).unwrap();
    assert_eq!(shelf.remove_old(NOW).unwrap(), 2);
    assert_eq!(shelf.remove_old(NOW + Seconds(1)).unwrap(), 0);
    shelf.look(NOW + Seconds(1)).unwrap();
    assert_eq!(names(&folder), ["queue.json"]);
}

#[test]
fn how_far_an_earlier_putting_back_was_is_not_taken_for_this_one_s() {
    let (_folder, shelf) = shelf();
    shelf.will_send(Sent { run: 3, next: 7 }).unwrap();
    shelf.keep_left(&kept(2, &["a"]), false).unwrap();
    assert_eq!(ids(shelf.begin_putting_back().unwrap()), ["a"]);
    let found = shelf.look(LONG_AGO).unwrap();
    assert_eq!((found.sent, found.kept.is_none()), (None, true));
    assert_eq!(ids(found.putting_back), ["a"]);
}

#[test]
fn a_run_that_ends_in_order_leaves_only_what_was_not_put_back_yet() {
    let (folder, shelf) = shelf();
    shelf.keep_left(&kept(2, &["a", "b", "c"]), true).unwrap();
    shelf.begin_putting_back().unwrap();
    shelf.will_send(Sent { run: 3, next: 1 }).unwrap();
    shelf.keep_queue(&kept(3, &["x", "a"])).unwrap();
    shelf.end_in_order().unwrap();
    assert_eq!(ids(shelf.look(LONG_AGO).unwrap().kept), ["c"]);
    assert_eq!(names(&folder), ["kept.json"]);
}

#[test]
fn what_was_refused_is_kept_with_the_newest_first() {
    let (_folder, shelf) = shelf();
    for id in ["a", "b"] {
        shelf.keep_refused(3, NOW, kept(3, &[id]).prompts.remove(0)).unwrap();
    }
    assert_eq!(ids(shelf.read(REFUSED).unwrap()), ["b", "a"]);
}

#[test]
fn a_write_that_fails_leaves_what_was_there_and_nothing_half() {
    let (folder, shelf) = shelf();
    shelf.keep_queue(&kept(3, &["a"])).unwrap();
    fs::create_dir(folder.path().join("queue.json.new")).unwrap();
    let error = format!("{:#}", shelf.keep_queue(&kept(3, &["b"])).unwrap_err());
    assert!(error.contains("queue.json.new"), "{error}");
    assert_eq!(ids(shelf.look(LONG_AGO).unwrap().queue), ["a"]);
}
