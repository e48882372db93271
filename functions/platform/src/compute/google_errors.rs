//! What an error of Compute Engine means for us: one table for both of its layers.
//!
//! A call that is refused gives a `reason` in lowerCamel, an operation that fails a `code` in UPPER_SNAKE, newer replies
//! mix the two. They are compared without case and underscores, so each is written here once:
//!
//! | word | kind |
//! |---|---|
//! | `…RESOURCE_POOL_EXHAUSTED…` (zone, region, `_WITH_DETAILS`), `…STOCKOUT…` | `StockOut` |
//! | `insufficientCapacity`, `resource_availability`; any word with a stock-out in its text | `StockOut` |
//! | `UNSUPPORTED_OPERATION` at the end of a start | `StockOut`: seen where a Spot machine is taken back while it starts |
//! | `quotaExceeded` with "per minute" in its text | `Transient`: the API's rate, not the machines' |
//! | `QUOTA_EXCEEDED`, `limitExceeded`, `RESOURCE_QUOTA_EXCEEDED`; no word, but "Quota '…' exceeded" | `Quota` |
//! | `rateLimitExceeded`, `CONCURRENT_OPERATIONS_QUOTA_EXCEEDED`, `RESOURCE_OPERATION_RATE_EXCEEDED` | `Transient` |
//! | `resourceNotReady` | `Transient` |
//! | `backendError`, `internalError` inside an operation | `Transient`: it has failed, so the next may be made |
//! | `notFound`, `RESOURCE_NOT_FOUND` | `NotFound` |
//! | `forbidden`, `PERMISSIONS_ERROR`, `conditionNotMet` (organisation policy) and the like | `Permission` |
//! | none of these: by HTTP status 401, 403 | `Permission` |
//! | … 404 | `NotFound` |
//! | … 429 | `Transient` |
//! | … 5xx that names no stock-out, or no answer at all, at the call | unanswered: the call may have happened |
//! | … 5xx inside an operation | `Transient` |
//! | anything else | `Refused` |

use domain::{OperationError, OperationErrorKind};
use google_cloud_compute_v1::model::operation::error::Errors;
use google_cloud_compute_v1::model::{Operation, QuotaExceededInfo};
use google_cloud_gax::error::Error;
use google_cloud_gax::error::rpc::StatusDetails;

use super::{CallError, OperationState};

/// Characters of Google's words that are kept; a record is read and written often.
const DETAIL_CHARS_MAX: usize = 1000;
/// Zones that are kept of one answer; a region has three or four.
const ZONES_MAX: usize = 16;
/// Longer than the name of any zone (`northamerica-northeast1-a` has 25 characters).
const ZONE_CHARS_MAX: usize = 40;
/// Characters kept of a quota's name with its dimensions (`PREEMPTIBLE_NVIDIA_L4_GPUS, region us-central1`).
const QUOTA_CHARS_MAX: usize = 200;
/// Key of an error's metadata under which Google names the zones that have what was asked for.
const ZONES_KEY: &str = "zonesAvailable";

/// Words that say it, without case and underscores.
const WORDS: &[(&str, OperationErrorKind)] = &[
    ("insufficientcapacity", OperationErrorKind::StockOut),
    ("resourceavailability", OperationErrorKind::StockOut),
    ("quotaexceeded", OperationErrorKind::Quota),
    ("resourcequotaexceeded", OperationErrorKind::Quota),
    ("limitexceeded", OperationErrorKind::Quota),
    ("ratelimitexceeded", OperationErrorKind::Transient),
    ("userratelimitexceeded", OperationErrorKind::Transient),
    ("concurrentoperationsquotaexceeded", OperationErrorKind::Transient),
    ("resourceoperationrateexceeded", OperationErrorKind::Transient),
    ("resourcenotready", OperationErrorKind::Transient),
    ("backenderror", OperationErrorKind::Transient),
    ("internalerror", OperationErrorKind::Transient),
    ("notfound", OperationErrorKind::NotFound),
    ("resourcenotfound", OperationErrorKind::NotFound),
    ("forbidden", OperationErrorKind::Permission),
    ("permissiondenied", OperationErrorKind::Permission),
    ("permissionserror", OperationErrorKind::Permission),
    ("iampermissiondenied", OperationErrorKind::Permission),
    ("insufficientpermissions", OperationErrorKind::Permission),
    ("accesstokenscopeinsufficient", OperationErrorKind::Permission),
    ("accessnotconfigured", OperationErrorKind::Permission),
    ("servicedisabled", OperationErrorKind::Permission),
    ("autherror", OperationErrorKind::Permission),
    ("conditionnotmet", OperationErrorKind::Permission),
];

/// What a text holds that tells of a stock-out, whatever the word beside it.
const STOCK_OUT_TEXTS: [&str; 2] = ["does not have enough resources available", "state:STOCKOUT"];

/// A word without case and underscores.
fn plain(word: &str) -> String {
    word.chars().filter(|&c| c != '_').map(|c| c.to_ascii_lowercase()).collect()
}

/// Sorts by the word, then by the text, then by the status.
fn kind(word: &str, text: &str, http_status: u16) -> OperationErrorKind {
    let word = plain(word);
    if is_stock_out(&word, text) {
        return OperationErrorKind::StockOut;
    }
    if (word == "quotaexceeded" || word.is_empty()) && text.contains("per minute") {
        return OperationErrorKind::Transient;
    }
    if let Some((_, kind)) = WORDS.iter().find(|(known, _)| *known == word) {
        return *kind;
    }
    if word.is_empty() && text.starts_with("Quota '") {
        return OperationErrorKind::Quota;
    }
    match http_status {
        401 | 403 => OperationErrorKind::Permission,
        404 => OperationErrorKind::NotFound,
        429 | 500..=599 => OperationErrorKind::Transient,
        _ => OperationErrorKind::Refused,
    }
}

fn is_stock_out(plain_word: &str, text: &str) -> bool {
    plain_word.contains("resourcepoolexhausted")
        || plain_word.contains("stockout")
        || WORDS.iter().any(|(known, kind)| *known == plain_word && *kind == OperationErrorKind::StockOut)
        || STOCK_OUT_TEXTS.iter().any(|told| text.contains(told))
}

/// A call that did not succeed.
pub(super) fn of_call(error: Error) -> CallError {
    let status = error.http_status_code().unwrap_or(0);
    let told = error.status();
    let reason = told.and_then(|told| reason(&told.details)).unwrap_or_default();
    // What was refused for want of a machine has not happened, though it is told as a 503.
    let refused = told.is_some_and(|told| is_stock_out(&plain(&reason), &told.message));
    if !(400..500).contains(&status) && !refused {
        // 5xx and a broken connection tell nothing; an answer that cannot be read was still an answer to a call made.
        return CallError::Unanswered(anyhow::Error::new(error));
    }
    let Some(told) = told else {
        let text = format!("HTTP status {status}");
        let (kind, detail) = (kind("", &text, status), detail("", &text, ""));
        return CallError::Refused(OperationError { kind, detail, zones: Vec::new() });
    };
    let named = told.details.iter().find_map(|detail| match detail {
        StatusDetails::ErrorInfo(info) => info.metadata.get(ZONES_KEY).map(String::as_str),
        _ => None,
    });
    let localized = told.details.iter().find_map(|detail| match detail {
        StatusDetails::LocalizedMessage(localized) => Some(localized.message.as_str()),
        _ => None,
    });
    let zones = zones(named, [localized.unwrap_or_default(), told.message.as_str()]);
    let kind = kind(&reason, &told.message, status);
    CallError::Refused(OperationError { kind, detail: detail(&reason, &told.message, ""), zones })
}

/// Whether nobody has answered: no answer at all, or a 5xx.
pub(super) fn is_silence(error: &Error) -> bool {
    match error.http_status_code() {
        Some(status) => status >= 500,
        None => error.is_timeout() || error.is_exhausted() || error.is_io() || error.is_connect(),
    }
}

/// Whether the error says that there is no such thing.
pub(super) fn is_not_found(error: &Error) -> bool {
    error.http_status_code() == Some(404)
}

/// The reason of a refused call, in either of the two shapes of replies.
fn reason(details: &[StatusDetails]) -> Option<String> {
    details.iter().find_map(|detail| match detail {
        StatusDetails::ErrorInfo(info) if !info.reason.is_empty() => Some(info.reason.clone()),
        _ => None,
    })
}

/// How an operation stands. DONE is no success before its error was looked for.
pub(super) fn of_operation(operation: &Operation) -> OperationState {
    use google_cloud_compute_v1::model::operation::Status;
    if operation.status != Some(Status::Done) {
        return OperationState::Pending;
    }
    let http_status = operation.http_error_status_code.and_then(|code| u16::try_from(code).ok()).unwrap_or(0);
    let starting = operation.operation_type.as_deref() == Some("start");
    let errors = operation.error.iter().flat_map(|error| &error.errors);
    let mut found: Vec<OperationError> = errors.map(|error| of_error(error, http_status, starting)).collect();
    if found.is_empty() && http_status < 400 {
        return OperationState::Done;
    }
    // Several: what we know how to meet goes before what we do not.
    found.sort_by_key(|error| error.kind == OperationErrorKind::Refused);
    let bare = || {
        let text = operation.http_error_message.clone().unwrap_or_default();
        let detail = detail(&format!("HTTP {http_status}"), &text, "");
        OperationError { kind: kind("", &text, http_status), detail, zones: Vec::new() }
    };
    OperationState::Failed(found.into_iter().next().unwrap_or_else(bare))
}

fn of_error(error: &Errors, http_status: u16, starting: bool) -> OperationError {
    let code = error.code.as_deref().unwrap_or_default();
    let message = error.message.as_deref().unwrap_or_default();
    let details = || error.error_details.iter();
    let localized = details().find_map(|told| told.localized_message.as_ref()?.message.as_deref());
    let info = || details().filter_map(|told| told.error_info.as_ref());
    let named = info().find_map(|info| info.metadatas.get(ZONES_KEY)).map(String::as_str);
    let reasoned = info().any(|info| is_stock_out(&plain(info.reason.as_deref().unwrap_or_default()), ""));
    let kind = match kind(code, message, http_status) {
        _ if reasoned || (starting && plain(code) == "unsupportedoperation") => OperationErrorKind::StockOut,
        kind => kind,
    };
    let zones = zones(named, [localized.unwrap_or_default(), message]);
    let words = localized.unwrap_or(message);
    let quota = details().find_map(|told| quota_name(told.quota_info.as_ref()?));
    let more = match quota {
        // Which quota it is decides what to ask Google for; a translated text may leave it out.
        Some((metric, quota)) if !words.contains(&format!("'{metric}'")) => format!(" (quota: {quota})"),
        _ if zones.is_empty() => String::new(),
        _ => format!(" ({ZONES_KEY}: {})", zones.join(",")),
    };
    OperationError { kind, detail: detail(code, words, &more), zones }
}

/// A quota's name, and that with its dimensions: `NVIDIA_L4_GPUS` and `NVIDIA_L4_GPUS, region us-central1` of
/// `compute.googleapis.com/nvidia_l4_gpus`.
fn quota_name(info: &QuotaExceededInfo) -> Option<(String, String)> {
    let metric = info.metric_name.as_deref()?.rsplit('/').next().filter(|metric| !metric.is_empty())?;
    let metric = metric.to_ascii_uppercase();
    let mut dimensions: Vec<_> = info.dimensions.iter().filter(|(key, value)| key != value).collect();
    dimensions.sort();
    let dimensions = dimensions.into_iter().map(|(key, value)| format!(", {key} {value}"));
    let whole: String = std::iter::once(metric.clone()).chain(dimensions).collect();
    Some((metric, whole.chars().take(QUOTA_CHARS_MAX).collect()))
}

/// The zones that an answer names, in its order: by its metadata, or, where those name none, by one of its `texts`.
fn zones(named: Option<&str>, texts: [&str; 2]) -> Vec<String> {
    let by_text = || texts.into_iter().find_map(zones_in_text);
    let named = named.filter(|named| !named.trim().is_empty()).or_else(by_text).unwrap_or_default();
    let mut zones: Vec<String> = Vec::new();
    for zone in named.split([',', ';']).filter_map(zone_name) {
        if zones.len() == ZONES_MAX {
            break;
        }
        if !zones.iter().any(|known| known == zone) {
            zones.push(zone.to_owned());
        }
    }
    zones
}

/// "Consider trying your request in the us-central1-a, us-central1-f zone(s), which currently has capacity …"
fn zones_in_text(text: &str) -> Option<&str> {
    let (_, named) = text.split_once("request in the ")?;
    named.split_once(" zone(s)").map(|(named, _)| named)
}

/// A zone's name, given by itself or at the end of a link. What does not look like one is no zone.
fn zone_name(given: &str) -> Option<&str> {
    let name = given.trim().rsplit('/').next()?;
    let (region, letter) = name.rsplit_once('-')?;
    let well_formed =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let is_region = region.contains('-') && region.ends_with(|c: char| c.is_ascii_digit());
    let fits = name.len() <= ZONE_CHARS_MAX && is_region && region.split('-').all(well_formed) && well_formed(letter);
    fits.then_some(name)
}

/// Google's own words, after their code, cut to a bearable length; `more` is ours and is kept whole.
fn detail(code: &str, text: &str, more: &str) -> String {
    let text = text.trim();
    let whole = match (code.is_empty(), text.is_empty()) {
        (true, _) => text.to_owned(),
        (false, true) => code.to_owned(),
        (false, false) => format!("{code}: {text}"),
    };
    let room = DETAIL_CHARS_MAX.saturating_sub(more.chars().count());
    whole.chars().take(room).chain(more.chars()).collect()
}

#[cfg(test)]
#[path = "google_errors_tests.rs"]
mod tests;
