//! One address for three processes: each request goes to the function that answers its route, piece by piece, and the
//! answer comes back the same way. Nothing is decided or remembered here.
//!
//! A request waits while its function is being started, as it does on Cloud Run. Once it has been passed on it is never
//! sent again: what it may have done is for its sender to find out.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Weak};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri, Version, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use compute_emulator::Emulator;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use service::ApiError;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use wire::PushEnvelope;

use crate::names;
use crate::processes::{Function, Functions};

/// How long a request waits for its function to be there.
const FUNCTION_THERE_WITHIN: Duration = Duration::from_secs(15);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Largest push: ours are below 10 KB, and lifecycle reads no more.
const PUSH_BYTES_MAX: usize = 256 * 1024;
/// The head of an answer comes within this time: a push waits for as long as its ack deadline, and nothing longer.
const ANSWER_WITHIN: Duration = Duration::from_secs(610);

/// Which function answers what; auth, which has the page, answers everything else.
const ROUTES: [(&str, Function); 5] = [
    ("/api/workspaces", Function::Lifecycle),
    ("/api/lifecycle", Function::Lifecycle),
    ("/vm", Function::Lifecycle),
    ("/push", Function::Lifecycle),
    ("/sweep", Function::Reaper),
];

/// Headers about one connection, which end with it (RFC 9110, section 7.6.1).
const OF_THE_CONNECTION: [HeaderName; 7] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Everything the three functions answer.
pub fn routes(functions: Arc<Functions>) -> Router {
    Router::new().route("/", any(by_route)).route("/{*path}", any(by_route)).with_state(functions)
}

async fn by_route(
    State(functions): State<Arc<Functions>>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let function = function_behind(request.uri().path());
    pass(&functions, function, from, request).await.unwrap_or_else(IntoResponse::into_response)
}

fn function_behind(path: &str) -> Function {
    let below = |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    ROUTES.into_iter().find(|(prefix, _)| below(prefix)).map_or(Function::Auth, |(_, function)| function)
}

/// Where Google's Pub/Sub emulator pushes to. It sends no tokens, so this door signs for it: lifecycle's check is never
/// switched off.
pub struct Door {
    listener: TcpListener,
    url: String,
}

#[derive(Clone)]
struct Signing {
    functions: Arc<Functions>,
    emulator: Weak<Emulator>,
    audience: String,
}

impl Door {
    /// Bound on loopback; opened by [`Door::serve`].
    pub async fn bind() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("a port for pushes")?;
        let url = format!("http://{}", listener.local_addr()?);
        Ok(Self { listener, url })
    }

    /// Without a path.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Takes pushes, for as long as it is polled.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(self, pushes: Router) -> anyhow::Result<()> {
        let service = pushes.into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(self.listener, service).await.context("taking pushes")
    }
}

/// Signs pushes for `audience` and passes them on.
pub fn pushes(functions: Arc<Functions>, emulator: Weak<Emulator>, audience: String) -> Router {
    Router::new().route("/push/{topic}", post(sign)).with_state(Signing { functions, emulator, audience })
}

async fn sign(
    State(signing): State<Signing>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    request: Request,
) -> service::Result<Response> {
    let token = signing
        .emulator
        .upgrade()
        .context("the pocket cloud is shutting down")
        .and_then(|emulator| emulator.identity().mint(names::PUSH_ACCOUNT, &signing.audience))
        .and_then(|token| Ok(HeaderValue::try_from(format!("Bearer {token}"))?))
        .map_err(ApiError::unavailable)?;
    let (mut head, body) = request.into_parts();
    head.headers.insert(header::AUTHORIZATION, token);
    let body =
        axum::body::to_bytes(body, PUSH_BYTES_MAX).await.context("reading a push").map_err(ApiError::unavailable)?;
    let message_id = serde_json::from_slice::<PushEnvelope>(&body).map(|envelope| envelope.message.message_id);
    let path = head.uri.path().to_owned();
    let answer = pass(&signing.functions, Function::Lifecycle, from, Request::from_parts(head, Body::from(body))).await;
    let status = answer.as_ref().map_or_else(ApiError::status, Response::status).as_u16();
    tracing::debug!(path, message_id = message_id.unwrap_or_default(), status, "pushed");
    answer
}

/// Sends a request to a function and brings back what it answers.
async fn pass(
    functions: &Functions,
    function: Function,
    from: SocketAddr,
    mut request: Request,
) -> service::Result<Response> {
    let refused = |code, title| ApiError::new(StatusCode::BAD_GATEWAY, code, title).detail(function.name());
    let stream = connected(functions, function).await.ok_or_else(|| {
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "function_down", "The function is not there")
            .detail(function.name())
            .hint("Try again in a moment.")
    })?;
    for_function(&mut request, from);
    let broken = |error: hyper::Error| {
        tracing::debug!(%error, function = function.name(), "a function broke off");
        refused("function_ended", "The function ended before it answered").hint("Look, and try again if need be.")
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // Ends with the answer, or when whoever waits for it has gone.
    tokio::spawn(connection);
    let answer = tokio::time::timeout(ANSWER_WITHIN, sender.send_request(request)).await;
    let mut answer = answer.map_err(|_| refused("function_silent", "The function did not answer"))?.map_err(broken)?;
    for name in &OF_THE_CONNECTION {
        answer.headers_mut().remove(name);
    }
    Ok(answer.map(Body::new))
}

/// A connection to the function, as soon as it has a process that takes one.
async fn connected(functions: &Functions, function: Function) -> Option<TcpStream> {
    let given_up_at = Instant::now() + FUNCTION_THERE_WITHIN;
    while Instant::now() < given_up_at {
        if let Some(address) = functions.address(function)
            && let Ok(stream) = TcpStream::connect(address).await
        {
            // A request and its answer go out in pieces, none of which should wait for another.
            stream.set_nodelay(true).ok()?;
            return Some(stream);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    None
}

/// As the function expects it: only a path, nothing of our connection, and who asks.
fn for_function(request: &mut Request, from: SocketAddr) {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse().unwrap_or_else(|_| Uri::from_static("/"));
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    for name in &OF_THE_CONNECTION {
        headers.remove(name);
    }
    let before: Vec<&str> = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect();
    let chain = before.into_iter().map(str::to_owned).chain([from.ip().to_string()]).collect::<Vec<_>>().join(", ");
    if let Ok(chain) = HeaderValue::try_from(chain) {
        headers.insert(FORWARDED_FOR, chain);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_route_of_the_contract_goes_to_the_function_that_answers_it() {
        use Function::{Auth, Lifecycle, Reaper};
        let routes = [
            ("/", Auth),
            ("/app.js", Auth),
            ("/api/login", Auth),
            ("/api/session/refresh", Auth),
            ("/.well-known/jwks.json", Auth),
            ("/api/workspaces", Lifecycle),
            ("/api/workspaces/main/start", Lifecycle),
            ("/api/workspacesque", Auth),
            ("/vm/heartbeat", Lifecycle),
            ("/push/nudge", Lifecycle),
            ("/sweep", Reaper),
            ("/sweeper", Auth),
        ];
        for (path, function) in routes {
            assert_eq!(function_behind(path), function, "{path}");
        }
    }

    #[test]
    fn a_request_goes_on_with_its_host_its_path_and_who_asks() {
        let mut request = Request::post("http://localhost:8080/api/login?a=b")
            .header("host", "localhost:8080")
            .header("connection", "keep-alive")
            .header("transfer-encoding", "chunked")
            .header("x-forwarded-for", "203.0.113.7")
            .body(Body::empty())
            .unwrap();
        for_function(&mut request, SocketAddr::from(([127, 0, 0, 1], 50_000)));
        assert_eq!(request.uri(), "/api/login?a=b");
        let names: Vec<&str> = request.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["host", "x-forwarded-for"]);
        assert_eq!(request.headers()[FORWARDED_FOR], "203.0.113.7, 127.0.0.1");
    }
}
