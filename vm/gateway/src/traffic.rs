//! Which requests a person causes. Pure.
//!
//! An idle ComfyUI page sends nothing, so nearly every request is somebody's doing. What is left out here is what pages
//! send by themselves: when their WebSocket is lost or comes back, when another's job moves the queue, and what they
//! load in passing. Failed requests and the mere opening of a WebSocket never count; that is seen from the answer.

use http::Method;

/// Read by pages on their own: the queue and what became of it, whenever it moves; the rest when they reconnect.
/// A path counts with everything below it, and with or without the `/api` that ComfyUI serves all of them under.
const READ_BY_PAGES_THEMSELVES: &[&str] =
    &["/ws", "/prompt", "/queue", "/history", "/jobs", "/system_stats", "/features", "/internal", "/assets"];

/// Whether this request, should it go well, shows that a person is at work.
pub(crate) fn shows_a_person(method: &Method, path: &str) -> bool {
    if *method == Method::OPTIONS || *method == Method::HEAD {
        return false;
    }
    if *method != Method::GET {
        // Only a page's log window subscribes by itself.
        return !is_below(without_api(path), "/internal");
    }
    !READ_BY_PAGES_THEMSELVES.iter().any(|quiet| is_below(without_api(path), quiet))
}

fn without_api(path: &str) -> &str {
    match path.strip_prefix("/api") {
        Some(rest) if rest.starts_with('/') => rest,
        _ => path,
    }
}

fn is_below(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_sends_by_itself_shows_nobody() {
        for path in ["/ws", "/api/ws", "/prompt", "/api/queue", "/history", "/history/abc", "/api/jobs", "/api/jobs/7"]
        {
            assert!(!shows_a_person(&Method::GET, path), "{path}");
        }
        for path in ["/system_stats", "/api/features", "/internal/logs/raw", "/assets/index-BX3hk2Pq.js"] {
            assert!(!shows_a_person(&Method::GET, path), "{path}");
        }
        assert!(!shows_a_person(&Method::PATCH, "/internal/logs/subscribe"));
        assert!(!shows_a_person(&Method::OPTIONS, "/prompt") && !shows_a_person(&Method::HEAD, "/view"));
    }

    #[test]
    fn what_a_person_does_shows_a_person() {
        for path in ["/", "/view", "/api/view", "/object_info", "/userdata/workflows%2Fa.json", "/queues", "/wsx"] {
            assert!(shows_a_person(&Method::GET, path), "{path}");
        }
        for path in ["/prompt", "/api/prompt", "/queue", "/history", "/interrupt", "/upload/image", "/api/settings"] {
            assert!(shows_a_person(&Method::POST, path), "{path}");
        }
        assert!(shows_a_person(&Method::DELETE, "/api/userdata/x"));
    }
}
