//! A stand-in on a free port of loopback, and a WebSocket client that waits for what it is told, bounded in time.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use reqwest::Client;
use serde_json::{Value, json};
use stand_in::{Options, serve};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

/// No wait in a test is longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// More messages than this while waiting for one are a fault.
const MESSAGES_MAX: usize = 1_000;

pub(crate) struct Stage {
    pub(crate) url: String,
    pub(crate) http: Client,
    shutdown: Option<oneshot::Sender<()>>,
    served: JoinHandle<anyhow::Result<()>>,
}

impl Stage {
    pub(crate) async fn open(options: Options) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (shutdown, asked) = oneshot::channel();
        let until = async move {
            // A dropped sender is a stop too.
            let _ = asked.await;
        };
        let served = tokio::spawn(serve(listener, options, until));
        Self { url, http: Client::builder().timeout(PATIENCE).build().unwrap(), shutdown: Some(shutdown), served }
    }

    /// A stand-in whose blurs take no time.
    pub(crate) async fn quick() -> Self {
        Self::open(Options { seconds_per_node: 0.0, ..Options::default() }).await
    }

    pub(crate) async fn close(&mut self) -> anyhow::Result<()> {
        drop(self.shutdown.take());
        timeout(PATIENCE, &mut self.served).await.unwrap().unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        self.http.get(format!("{}{path}", self.url)).send().await.unwrap()
    }

    pub(crate) async fn json(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> reqwest::Response {
        self.http.post(format!("{}{path}", self.url)).json(body).send().await.unwrap()
    }

    /// Submits a prompt that must be accepted; answers its id.
    pub(crate) async fn submit(&self, client_id: &str, prompt: Value) -> String {
        let answer = self.post("/prompt", &json!({ "prompt": prompt, "client_id": client_id })).await;
        assert_eq!(answer.status(), 200);
        let told: Value = answer.json().await.unwrap();
        told["prompt_id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn connect(&self, client_id: &str) -> Ear {
        let url = format!("{}/ws?clientId={client_id}", self.url.replace("http", "ws"));
        let (stream, _) = timeout(PATIENCE, connect_async(url)).await.unwrap().unwrap();
        Ear(stream)
    }
}

pub(crate) struct Ear(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Ear {
    /// The next message, or `None` when the connection ended.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        match timeout(PATIENCE, self.0.next()).await.expect("a message in time") {
            Some(Ok(Message::Text(text))) => Some(serde_json::from_str(&text).unwrap()),
            Some(Ok(Message::Ping(_))) => panic!("ComfyUI never pings"),
            _ => None,
        }
    }

    /// Every message up to and with the first that `wanted` accepts.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut heard = Vec::new();
        for _ in 0..MESSAGES_MAX {
            let message = self.next().await.expect("the connection stays open");
            heard.push(message);
            if heard.last().is_some_and(&wanted) {
                return heard;
            }
        }
        panic!("not among {MESSAGES_MAX} messages");
    }

    pub(crate) async fn until_type(&mut self, kind: &str) -> Vec<Value> {
        self.until(|message| message["type"] == kind).await
    }

    pub(crate) async fn say(&mut self, message: &Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }
}

pub(crate) fn types(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["type"].as_str().unwrap()).collect()
}

/// EmptyImage → ImageBlur → PreviewImage
pub(crate) fn blur_graph() -> Value {
    json!({
        "1": { "class_type": "EmptyImage", "inputs": { "width": 64, "height": 48, "batch_size": 1, "color": 255 } },
        "2": { "class_type": "ImageBlur", "inputs": { "image": ["1", 0], "blur_radius": 31, "sigma": 1.0 } },
        "3": { "class_type": "PreviewImage", "inputs": { "images": ["2", 0] } }
    })
}

/// The same, with a blur that would take an hour.
pub(crate) fn long_graph() -> Value {
    let mut graph = blur_graph();
    graph["2"]["inputs"]["stand_in_seconds"] = json!(3_600);
    graph
}
