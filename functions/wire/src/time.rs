//! Moments as RFC 3339 in UTC, to the millisecond: `2026-11-22T18:00:00.000Z`.

use domain::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A moment on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rfc3339(pub Timestamp);

impl std::fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0.millis()) {
            Ok(moment) => write!(f, "{moment:.3}"),
            Err(_) => f.write_str("9999-12-30T22:00:00.000Z"),
        }
    }
}

impl From<Timestamp> for Rfc3339 {
    fn from(moment: Timestamp) -> Self {
        Self(moment)
    }
}

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rfc3339 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let moment: jiff::Timestamp = text.parse().map_err(de::Error::custom)?;
        Ok(Self(Timestamp::from_millis(moment.as_millisecond())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_goes_out_and_comes_back() {
        let text = "\"2026-11-22T18:00:00.250Z\"";
        let moment: Rfc3339 = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&moment).unwrap(), text);
        let pacific: Rfc3339 = serde_json::from_str("\"2026-11-22T10:00:00.250-08:00\"").unwrap();
        assert_eq!(pacific, moment);
    }
}
