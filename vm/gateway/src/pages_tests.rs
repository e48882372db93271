use super::*;

const PAGE: &str = "https://pilotlight.example.com";

fn pages(rate: f64) -> Pages {
    Pages::new(PAGE, rate).unwrap()
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn scripts_keep_time_with_the_policy_s_clock_within_reason() {
    let intervals = |rate| {
        let script = text(&pages(rate).activity_script);
        ["tellEveryMs\":", "checkEveryMs\":"].map(|name| {
            let rest = &script[script.find(name).unwrap() + name.len()..];
            rest[..rest.find([',', '}']).unwrap()].parse::<u64>().unwrap()
        })
    };
    assert_eq!(intervals(1.0), [30_000, 15_000]);
    assert_eq!(intervals(5.0), [6_000, 3_000]);
    assert_eq!(intervals(1000.0), [2_000, 2_000]);
    assert_eq!(intervals(0.01), [30_000, 15_000]);
}

#[test]
fn a_setting_cannot_end_the_script_it_stands_in() {
    let script = with_settings("const s = __SETTINGS__;", &json!({ "x": "</script>\u{2028}" }));
    assert_eq!(text(&script), r#"const s = {"x":"\u003c/script>\u2028"};"#);
}

#[test]
fn every_placeholder_is_filled() {
    let pages = pages(1.0);
    for made in [&pages.activity_script, &pages.ended_script, &pages.boot_page, &pages.session_needed] {
        let made = text(made);
        assert!(!made.contains("{{") && !made.contains(SETTINGS), "{made}");
    }
}

#[test]
fn our_pages_have_no_inline_script_and_name_the_page_that_may_frame_them() {
    let pages = pages(1.0);
    for made in [&pages.boot_page, &pages.session_needed] {
        let made = text(made);
        assert!(!made.contains("<script>") && !made.contains(" style=") && !made.contains(" onclick="));
    }
    let policy = pages.session_needed().headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'none'") && policy.ends_with(&format!("frame-ancestors {PAGE}")), "{policy}");
}

#[test]
fn every_refusal_has_its_words_and_its_status() {
    let pages = pages(1.0);
    let cases = [
        (Refusal::NoTicket, 401),
        (Refusal::Forged, 401),
        (Refusal::Expired, 401),
        (Refusal::Used, 401),
        (Refusal::Elsewhere, 403),
        (Refusal::RunOver, 403),
        (Refusal::NotYet, 503),
    ];
    for (refusal, status) in cases {
        let response = pages.refused(refusal);
        assert_eq!(response.status(), status, "{refusal:?}");
        assert_eq!(response.headers().contains_key("retry-after"), status == 503);
        assert!(!refusal.words().1.is_empty() && !refusal.words().2.is_empty());
    }
}
