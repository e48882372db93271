//! Logs: lines for a person, or the JSON that Cloud Logging understands.

use std::fmt;
use std::io::IsTerminal;
use std::str::FromStr;

use domain::{Record, Workspace};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Shape of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    #[default]
    Human,
    Json,
}

impl FromStr for LogFormat {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            other => Err(format!("found {other:?}, expected `human` or `json`")),
        }
    }
}

/// Starts the log on standard error. `filter` is a level, or levels by target: `info,hyper=warn`.
///
/// # Errors
/// When the filter cannot be read, or a log was started before.
pub fn init_logs(format: LogFormat, filter: &str) -> anyhow::Result<()> {
    // Not EnvFilter, which can also tell spans by their fields: for that it brings an engine of regular expressions.
    let targets: Targets = filter.parse().map_err(|error| anyhow::anyhow!("the log filter {filter:?}: {error}"))?;
    let lines =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let registry = tracing_subscriber::registry().with(targets);
    match format {
        LogFormat::Human => registry.with(lines.with_target(false).compact()).try_init(),
        LogFormat::Json => registry.with(lines.event_format(CloudLogging).fmt_fields(JsonFields::new())).try_init(),
    }
    .map_err(|error| anyhow::anyhow!("{error}"))
}

/// Whether `filter` can be read.
pub(crate) fn is_log_filter(filter: &str) -> bool {
    filter.parse::<Targets>().is_ok()
}

/// One line for each turn of a workspace: what it is now, why, and which signal kept it alive.
pub fn log_turn(workspace: &Workspace, before: &Record, after: &Record) {
    if before.phase == after.phase && before.stop_at == after.stop_at {
        return;
    }
    let turned = before.phase != after.phase;
    let ended = after.last_stop.as_ref().filter(|_| !after.phase.expects_machine()).map(|stop| stop.reason);
    let because = after.ending.or(ended).filter(|_| turned).map(|reason| format!("{reason:?}"));
    let kept_alive_by = after.last_active.map(|active| format!("{:?}", active.signal));
    tracing::info!(
        workspace = %workspace.id,
        run = after.run,
        from = ?before.phase,
        phase = ?after.phase,
        because,
        kept_alive_by,
        "workspace"
    );
}

/// One JSON object a line: `severity`, `message`, `time`, the event's fields, and those of the request around it.
struct CloudLogging;

impl<S, N> FormatEvent<S, N> for CloudLogging
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = Map::new();
        for span in ctx.event_scope().into_iter().flatten() {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<N>>().and_then(|fields| serde_json::from_str(fields).ok());
            if let Some(fields @ Value::Object(_)) = fields {
                line.insert(span.name().to_owned(), fields);
            }
        }
        event.record(&mut Fields(&mut line));
        // LogSeverity of Cloud Logging.
        let severity = match *event.metadata().level() {
            Level::ERROR => "ERROR",
            Level::WARN => "WARNING",
            Level::INFO => "INFO",
            Level::DEBUG | Level::TRACE => "DEBUG",
        };
        line.insert("severity".into(), severity.into());
        line.insert("time".into(), jiff::Timestamp::now().to_string().into());
        writeln!(writer, "{}", Value::Object(line))
    }
}

struct Fields<'a>(&'a mut Map<String, Value>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").into());
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().to_owned(), value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use serde_json::json;
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Written {
        type Writer = Self;
        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    /// The lines that `work` logs, as Cloud Logging gets them.
    fn lines(work: impl FnOnce()) -> Vec<Value> {
        let written = Written::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::TRACE)
            .with_writer(written.clone())
            .event_format(CloudLogging)
            .fmt_fields(JsonFields::new())
            .finish();
        tracing::subscriber::with_default(subscriber, work);
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_is_one_object_with_severity_message_fields_and_the_request_around_it() {
        let lines = lines(|| {
            let _request = tracing::info_span!("request", id = "abc", route = "/healthz").entered();
            tracing::warn!(status = 503_u16, share = 0.5, done = false, "answered \"late\"\nand long");
            tracing::error!(error = %"broken", "it broke");
            tracing::debug!(left = -1, "quiet");
        });
        let [warning, error, debug] = &lines[..] else { panic!("three lines: {lines:?}") };
        assert_eq!(warning["severity"], "WARNING");
        assert_eq!(warning["message"], "answered \"late\"\nand long");
        assert_eq!(warning["request"], json!({"id": "abc", "route": "/healthz"}));
        assert_eq!(
            (&warning["status"], &warning["share"], &warning["done"]),
            (&json!(503), &json!(0.5), &json!(false))
        );
        assert!(warning["time"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{warning}");
        assert_eq!((&error["severity"], &error["error"]), (&json!("ERROR"), &json!("broken")));
        assert_eq!((&debug["severity"], &debug["left"]), (&json!("DEBUG"), &json!(-1)));
    }

    #[test]
    fn a_shape_that_is_not_known_is_told_with_those_that_are() {
        assert_eq!("json".parse(), Ok(LogFormat::Json));
        assert_eq!("xml".parse::<LogFormat>(), Err("found \"xml\", expected `human` or `json`".to_owned()));
        let unknown = init_logs(LogFormat::Json, "hyper=loud").unwrap_err().to_string();
        assert!(unknown.contains("the log filter \"hyper=loud\""), "{unknown}");
    }
}
