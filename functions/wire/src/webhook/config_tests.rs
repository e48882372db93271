//! Webhooks as they are declared, rightly and wrongly; and that nothing secret is shown.

use super::*;

const URL: &str = "https://hooks.example.com/services/T0/B0/hidden";
/// `printf 'whsec_%s' "$(printf 'abcdefghijklmnopqrstuvwx' | base64)"`
const SECRET: &str = "whsec_YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4";

fn declared(url: &str, shape: &str, secret: &str) -> Result<WebhooksConfig, WebhookConfigError> {
    webhooks_from_json(&serde_json::json!({"main": {"url": url, "shape": shape, "secret": secret}}).to_string())
}

fn refused(json: &str) -> String {
    webhooks_from_json(json).unwrap_err().to_string()
}

#[test]
fn webhooks_are_read_by_workspace() {
    let json = format!(
        r#"{{"main":{{"url":"{URL}","shape":"slack","secret":"{SECRET}"}},
            "lab":{{"secret":"{SECRET}","shape":"json","url":"http://localhost:8080/hook?key=1"}}}}"#
    );
    let webhooks = webhooks_from_json(&json).unwrap();
    let read: Vec<_> = webhooks.iter().map(|(id, hook)| (id.as_str(), hook.url(), hook.shape())).collect();
    let expected =
        [("lab", "http://localhost:8080/hook?key=1", WebhookShape::Json), ("main", URL, WebhookShape::Slack)];
    assert_eq!(read, expected);
    assert_eq!(webhooks[&WorkspaceId::parse("main").unwrap()].key(), b"abcdefghijklmnopqrstuvwx");
    assert_eq!(webhooks_from_json("{}").unwrap(), WebhooksConfig::new());
}

#[test]
fn only_the_origin_and_the_shape_are_shown() {
    let webhooks = declared(URL, "discord", SECRET).unwrap();
    let shown = r#"{WorkspaceId("main"): WebhookConfig { origin: "https://hooks.example.com", shape: Discord, .. }}"#;
    assert_eq!(format!("{webhooks:?}"), shown);
}

#[test]
fn without_https_only_this_machine_is_reached() {
    for right in ["http://127.0.0.1:9000/a", "http://[::1]/a", "http://localhost/a", "https://10.0.0.1/a"] {
        assert!(declared(right, "json", SECRET).is_ok(), "{right}");
    }
    for (wrong, told) in [
        ("http://hooks.example.com/hidden", "url goes to hooks.example.com without https"),
        ("http://127.0.0.1.example.com/hidden", "url goes to 127.0.0.1.example.com without https"),
        ("http://localhost.example.com/hidden", "url goes to localhost.example.com without https"),
        ("http://169.254.169.254/hidden", "url goes to 169.254.169.254 without https"),
        ("ftp://hooks.example.com/hidden", "url goes to hooks.example.com without https"),
        ("https://ada:hidden@hooks.example.com/", "url has a user's name or password"),
        ("https://hidden@hooks.example.com/", "url has a user's name or password"),
        ("hooks.example.com/hidden", "url is none"),
        ("data:text/plain,hidden", "url has no host"),
        ("https:///", "url is none"),
        (SECRET, "url is none"),
        (&format!("https://hooks.example.com/{}", "x".repeat(2000)), "url has 2026 characters; expected 2000 at most"),
    ] {
        let error = declared(wrong, "json", SECRET).unwrap_err().to_string();
        assert!(error.starts_with(&format!("webhook of workspace main: {told}")), "{wrong}: {error}");
        assert!(!error.contains("hidden") && !error.contains(SECRET), "{error}");
    }
}

#[test]
fn a_key_has_its_mark_and_its_length() {
    let of = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![b'x'; bytes]));
    for right in [24, 64] {
        assert!(declared(URL, "json", &of(right)).is_ok(), "{right} bytes");
    }
    let expected = "expected whsec_ and base64 of 24 to 64 bytes";
    for (wrong, told) in [
        (of(23), "secret has 23 bytes"),
        (of(65), "secret has 65 bytes"),
        ("whsec_".to_owned(), "secret has 0 bytes"),
        (SECRET.replace("whsec_", ""), "secret does not begin so"),
        (SECRET.replace("whsec_", "whsk_"), "secret does not begin so"),
        (format!("{SECRET}!"), "secret is no base64"),
        (String::new(), "secret does not begin so"),
    ] {
        let error = declared(URL, "json", &wrong).unwrap_err().to_string();
        assert_eq!(error, format!("webhook of workspace main: {told}; {expected}"));
    }
}

#[test]
fn what_is_wrong_is_named_with_its_workspace_and_never_quoted() {
    let fields = format!(r#""url":"{URL}","secret":"{SECRET}""#);
    for (json, told) in [
        (
            format!(r#"{{"main":{{{fields},"shape":"teams"}}}}"#),
            r#"main: shape is "teams"; expected slack, discord or json"#,
        ),
        (format!(r#"{{"main":{{{fields},"shape":"{SECRET}"}}}}"#), "main: shape is a name of 38 bytes (not shown)"),
        (format!(r#"{{"main":{{{fields}}}}}"#), "main: shape is missing"),
        (format!(r#"{{"main":{{{fields},"shape":["{SECRET}"]}}}}"#), "main: shape is no text"),
        (format!(r#"{{"main":{{{fields},"shape":"json","url":"{URL}"}}}}"#), "main: url is there twice"),
        (
            format!(r#"{{"main":{{{fields},"shape":"json","channel":"x"}}}}"#),
            r#"main: "channel" is no field of a webhook"#,
        ),
        (format!(r#"{{"main":{{{fields},"{URL}":"url"}}}}"#), "main: a name of 47 bytes (not shown) is no field"),
        (format!(r#"{{"main":"{URL}"}}"#), "main: expected an object of url, shape and secret"),
        (r#"{"main":null}"#.to_owned(), "main: expected an object of url, shape and secret"),
        (format!(r#"{{"{URL}":"main"}}"#), "a name of 47 bytes (not shown) is no workspace name"),
        (r#"{"Main":{}}"#.to_owned(), r#""Main" is no workspace name"#),
        (format!(r#""{URL}""#), "expected a JSON object of webhooks by workspace: line 1, column 49"),
        (format!(r#"[{{"url":"{URL}"}}]"#), "expected a JSON object of webhooks by workspace: line 1"),
        (format!(r#"{{"main":{{{fields}"#), "expected a JSON object of webhooks by workspace: line 1"),
        (String::new(), "expected a JSON object of webhooks by workspace: line 1, column 0"),
    ] {
        let error = refused(&json);
        assert!(error.contains(told), "{told}: {error}");
        assert!(!error.contains("hidden") && !error.contains(&SECRET[6..]), "{error}");
    }
}

#[test]
fn a_workspace_has_one_webhook() {
    let hook = format!(r#"{{"url":"{URL}","shape":"json","secret":"{SECRET}"}}"#);
    let twice = refused(&format!(r#"{{"main":{hook},"lab":{hook},"main":{hook}}}"#));
    assert_eq!(twice, "webhook of workspace main: it is declared twice");
}
