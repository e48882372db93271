//! What every `list` shares: filter, order, pages.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::error::CallError;
use crate::filter::Filter;

/// The most (and the usual number of) items of one page.
const PAGE_ITEMS_MAX: usize = 500;

/// Query parameters by name. Unknown ones are ignored, as Google does with `$alt` and its like.
pub(crate) type Query = HashMap<String, String>;

/// One page: its items with the scope (`zones/Z`) each belongs to, and where the next one begins.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) items: Vec<(String, Value)>,
    pub(crate) next: Option<String>,
}

/// Filters, orders and cuts `items`, each with the scope it belongs to.
pub(crate) fn page_of(items: Vec<(String, Value)>, query: &Query) -> Result<Page, CallError> {
    let filter = Filter::parse(query.get("filter").map_or("", String::as_str))?;
    let mut items: Vec<(String, Value)> = items.into_iter().filter(|(_, item)| filter.matches(item)).collect();
    match query.get("orderBy").map_or("", String::as_str) {
        "" | "name" => items.sort_by_key(place_of),
        "creationTimestamp desc" => items.sort_by_key(|item| std::cmp::Reverse((created(&item.1), place_of(item)))),
        other => return Err(CallError::invalid_field("orderBy", other, "Unsupported order.")),
    }
    let begin = match query.get("pageToken").filter(|token| !token.is_empty()) {
        None => 0,
        Some(token) => position_after(&items, token)?,
    };
    let most = page_size(query)?;
    let mut rest = items.split_off(begin.min(items.len()));
    let more = rest.len() > most;
    rest.truncate(most);
    let next = rest.last().filter(|_| more).map(|last| URL_SAFE_NO_PAD.encode(place_of(last)));
    Ok(Page { items: rest, next })
}

fn page_size(query: &Query) -> Result<usize, CallError> {
    let Some(given) = query.get("maxResults") else { return Ok(PAGE_ITEMS_MAX) };
    match given.parse::<usize>() {
        Ok(0) => Ok(PAGE_ITEMS_MAX),
        Ok(most) if most <= PAGE_ITEMS_MAX => Ok(most),
        _ => Err(CallError::invalid_field("maxResults", given, "Must be between 0 and 500.")),
    }
}

fn position_after(items: &[(String, Value)], token: &str) -> Result<usize, CallError> {
    let invalid = || CallError::invalid_field("pageToken", token, "Unknown page token.");
    let place =
        URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(invalid)?;
    let last = items.iter().position(|item| place_of(item) == place).ok_or_else(invalid)?;
    Ok(last + 1)
}

fn place_of((scope, item): &(String, Value)) -> String {
    format!("{scope} {}", item["name"].as_str().unwrap_or_default())
}

/// Comparable within one resource kind: Pacific time with its offset is put back to a moment.
fn created(item: &Value) -> Option<jiff::Timestamp> {
    let text = item["creationTimestamp"].as_str().or_else(|| item["insertTime"].as_str())?;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn items() -> Vec<(String, Value)> {
        ["b", "a", "c"].map(|name| ("zones/z".to_owned(), json!({"name": name}))).to_vec()
    }

    fn query(pairs: &[(&str, &str)]) -> Query {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn pages_join_to_the_whole_without_a_gap_or_a_repeat() {
        let first = page_of(items(), &query(&[("maxResults", "2")])).unwrap();
        let token = first.next.clone().unwrap();
        let second = page_of(items(), &query(&[("maxResults", "2"), ("pageToken", &token)])).unwrap();
        let names: Vec<_> = first.items.iter().chain(&second.items).map(|(_, item)| item["name"].clone()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(second.next, None);
    }

    #[test]
    fn a_page_nobody_gave_out_is_refused() {
        assert!(page_of(items(), &query(&[("pageToken", "nonsense")])).is_err());
        assert!(page_of(items(), &query(&[("maxResults", "501")])).is_err());
        assert!(page_of(items(), &query(&[("orderBy", "size")])).is_err());
    }
}
