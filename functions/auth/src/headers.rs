//! What a browser may do with what auth serves: the page may load itself, ask lifecycle, and frame ComfyUI; nothing else.

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;

/// Where the page finds the others. Every text here is an origin that was checked when the configuration was read.
#[derive(Clone, Debug, Default)]
pub struct PageSettings {
    /// Origin of lifecycle; empty when it is the page's own.
    pub lifecycle_origin: String,
    /// Origins of the gateways; `:*` for any port.
    pub frame_sources: Vec<String>,
    /// The page is reached by HTTPS and by nothing else.
    pub https_only: bool,
}

/// Headers that say what a document may do.
const DOCUMENT_HEADERS: [&str; 2] = ["content-security-policy", "permissions-policy"];
/// Two years, as HSTS preload lists ask for.
const HSTS: &str = "max-age=63072000";
/// What ComfyUI in its frame is let use.
const FRAME_FEATURES: [&str; 3] = ["clipboard-read", "clipboard-write", "fullscreen"];
/// What neither the page nor ComfyUI needs.
const NO_FEATURES: &str = "camera=(), geolocation=(), microphone=(), payment=(), usb=()";

impl PageSettings {
    /// Headers of every answer.
    ///
    /// # Errors
    /// When a setting cannot stand in a header.
    pub(crate) fn headers(&self) -> anyhow::Result<Vec<(HeaderName, HeaderValue)>> {
        let mut headers = vec![
            (header::CONTENT_SECURITY_POLICY, HeaderValue::from_str(&self.content_security_policy())?),
            (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            (HeaderName::from_static("permissions-policy"), HeaderValue::from_str(&self.permissions_policy())?),
        ];
        if self.https_only {
            headers.push((header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(HSTS)));
        }
        Ok(headers)
    }

    fn content_security_policy(&self) -> String {
        let connect = [" ", &self.lifecycle_origin].concat();
        let frames = if self.frame_sources.is_empty() { "'none'".to_owned() } else { self.frame_sources.join(" ") };
        format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
             connect-src 'self'{}; frame-src {frames}; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
            connect.trim_end()
        )
    }

    fn permissions_policy(&self) -> String {
        // This header knows no wildcard for ports; the frame's own `allow` then narrows what is let through.
        let any_port = self.frame_sources.iter().any(|source| source.ends_with(":*"));
        let quoted: Vec<String> = self.frame_sources.iter().map(|source| format!(" \"{source}\"")).collect();
        let allowed = if any_port { "*".to_owned() } else { format!("(self{})", quoted.concat()) };
        let features = FRAME_FEATURES.map(|feature| format!("{feature}={allowed}"));
        format!("{}, {NO_FEATURES}", features.join(", "))
    }
}

/// Adds what the answer does not say already. What only a document heeds is sent with documents only: it is a third of
/// what a first view transfers otherwise.
pub(crate) fn add(mut response: Response, headers: &[(HeaderName, HeaderValue)]) -> Response {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_document = kind.starts_with("text/html") || kind.starts_with("image/svg");
    for (name, value) in headers {
        if DOCUMENT_HEADERS.contains(&name.as_str()) && !is_document {
            continue;
        }
        response.headers_mut().entry(name).or_insert_with(|| value.clone());
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_may_ask_lifecycle_and_frame_the_gateways_and_nothing_else() {
        let settings = PageSettings {
            lifecycle_origin: "https://lifecycle.example.com".into(),
            frame_sources: vec!["https://a.example.com".into(), "https://b.example.com:8443".into()],
            https_only: true,
        };
        assert_eq!(
            settings.content_security_policy(),
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src \
             'self' https://lifecycle.example.com; frame-src https://a.example.com https://b.example.com:8443; base-uri \
             'none'; form-action 'self'; frame-ancestors 'none'"
        );
        let permitted = settings.permissions_policy();
        let fullscreen = "fullscreen=(self \"https://a.example.com\" \"https://b.example.com:8443\")";
        assert!(permitted.contains(fullscreen) && permitted.contains("camera=()"), "{permitted}");
        let names: Vec<_> = settings.headers().unwrap().into_iter().map(|(name, _)| name).collect();
        assert!(names.contains(&header::STRICT_TRANSPORT_SECURITY));
    }

    #[test]
    fn on_one_origin_without_gateways_everything_is_closed() {
        let settings = PageSettings::default();
        let policy = settings.content_security_policy();
        assert!(policy.contains("connect-src 'self'; frame-src 'none';"), "{policy}");
        assert!(settings.permissions_policy().starts_with("clipboard-read=(self), "));
        assert!(settings.headers().unwrap().iter().all(|(name, _)| name != header::STRICT_TRANSPORT_SECURITY));
    }

    #[test]
    fn gateways_on_any_port_are_let_use_the_clipboard_by_the_frames_own_word() {
        let settings = PageSettings { frame_sources: vec!["http://127.0.0.1:*".into()], ..PageSettings::default() };
        assert!(settings.content_security_policy().contains("frame-src http://127.0.0.1:*;"));
        assert!(settings.permissions_policy().starts_with("clipboard-read=*, clipboard-write=*, fullscreen=*, "));
    }
}
