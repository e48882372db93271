//! The part of Compute Engine's filter language that clients of this project use, and the one `gcloud` writes.
//!
//! ```text
//! filter     := term ( ["AND"] term )*
//! term       := "(" filter ")" | field comparison
//! comparison := "=" value | "!=" value | ":*" | "eq" pattern | "ne" pattern     (patterns match the whole text)
//! ```
//! Anything else is refused rather than half understood.

use regex::Regex;
use serde_json::Value;

use crate::error::CallError;

/// A filter longer than this is no filter.
const FILTER_BYTES_MAX: usize = 4096;
/// Parentheses in parentheses, at most.
const DEPTH_MAX: usize = 16;
/// Fields that can be compared, beside `labels.KEY`.
const FIELDS: [&str; 11] = [
    "name",
    "status",
    "zone",
    "id",
    "machineType",
    "creationTimestamp",
    "operationType",
    "targetId",
    "targetLink",
    "user",
    "scheduling.provisioningModel",
];

/// All of its comparisons must hold; none at all always holds.
#[derive(Debug)]
pub(crate) struct Filter(Vec<Comparison>);

#[derive(Debug)]
struct Comparison {
    field: Vec<String>,
    test: Test,
}

#[derive(Debug)]
enum Test {
    Is(String),
    IsNot(String),
    Exists,
    Matches(Regex),
    MatchesNot(Regex),
}

impl Filter {
    pub(crate) fn parse(text: &str) -> Result<Self, CallError> {
        let refused = || {
            CallError::invalid(format!("Invalid value for field 'filter': '{text}'. Invalid list filter expression."))
        };
        if text.len() > FILTER_BYTES_MAX {
            return Err(CallError::invalid("Invalid value for field 'filter': it is too long."));
        }
        let mut parser = Parser { words: words(text).ok_or_else(refused)?.into_iter().peekable(), found: Vec::new() };
        if parser.words.peek().is_some() {
            parser.filter(0).ok_or_else(refused)?;
        }
        if parser.words.next().is_some() {
            return Err(refused());
        }
        Ok(Self(parser.found))
    }

    pub(crate) fn matches(&self, resource: &Value) -> bool {
        self.0.iter().all(|comparison| comparison.holds(resource))
    }
}

impl Comparison {
    fn holds(&self, resource: &Value) -> bool {
        let value = self.field.iter().try_fold(resource, |value, step| value.get(step)).and_then(Value::as_str);
        match &self.test {
            Test::Exists => value.is_some(),
            Test::Is(wanted) => value == Some(wanted),
            Test::IsNot(wanted) => value != Some(wanted),
            Test::Matches(pattern) => value.is_some_and(|value| pattern.is_match(value)),
            Test::MatchesNot(pattern) => !value.is_some_and(|value| pattern.is_match(value)),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    Open,
    Close,
    Equals,
    Differs,
    Has,
    Text(String),
    Quoted(String),
}

/// Splits a filter into words; nothing when a quote is left open or a character has no meaning.
fn words(text: &str) -> Option<Vec<Word>> {
    let mut words = Vec::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        words.push(match letter {
            ' ' | '\t' => continue,
            '(' => Word::Open,
            ')' => Word::Close,
            '=' => Word::Equals,
            ':' => Word::Has,
            '!' => {
                letters.next_if_eq(&'=')?;
                Word::Differs
            }
            '"' => {
                let mut quoted = String::new();
                loop {
                    match letters.next()? {
                        '"' => break,
                        // Escapes stay for the pattern they belong to; a quote alone loses its backslash.
                        '\\' => match letters.next()? {
                            '"' => quoted.push('"'),
                            escaped => quoted.extend(['\\', escaped]),
                        },
                        plain => quoted.push(plain),
                    }
                }
                Word::Quoted(quoted)
            }
            '<' | '>' | '~' | '-' => return None,
            first => {
                let mut word = String::from(first);
                while let Some(next) = letters.next_if(|next| !" \t()=:!\"<>~".contains(*next)) {
                    word.push(next);
                }
                Word::Text(word)
            }
        });
    }
    Some(words)
}

struct Parser {
    words: std::iter::Peekable<std::vec::IntoIter<Word>>,
    found: Vec<Comparison>,
}

impl Parser {
    fn filter(&mut self, depth: usize) -> Option<()> {
        self.term(depth)?;
        while !matches!(self.words.peek(), None | Some(Word::Close)) {
            if self.words.peek() == Some(&Word::Text("AND".into())) {
                self.words.next();
            }
            self.term(depth)?;
        }
        Some(())
    }

    fn term(&mut self, depth: usize) -> Option<()> {
        match self.words.next()? {
            Word::Open if depth < DEPTH_MAX => {
                self.filter(depth + 1)?;
                (self.words.next()? == Word::Close).then_some(())
            }
            Word::Text(field) => {
                let field = known_field(&field)?;
                let test = self.test()?;
                self.found.push(Comparison { field, test });
                Some(())
            }
            _ => None,
        }
    }

    fn test(&mut self) -> Option<Test> {
        match self.words.next()? {
            Word::Equals => Some(Test::Is(self.value()?)),
            Word::Differs => Some(Test::IsNot(self.value()?)),
            Word::Has => (self.words.next()? == Word::Text("*".into())).then_some(Test::Exists),
            Word::Text(word) if word == "eq" => Some(Test::Matches(self.pattern()?)),
            Word::Text(word) if word == "ne" => Some(Test::MatchesNot(self.pattern()?)),
            _ => None,
        }
    }

    fn value(&mut self) -> Option<String> {
        match self.words.next()? {
            Word::Text(value) if value != "AND" && value != "OR" && value != "NOT" => Some(value),
            Word::Quoted(value) => Some(value),
            _ => None,
        }
    }

    /// A pattern is quoted, or one bare word; it has to match the whole text.
    fn pattern(&mut self) -> Option<Regex> {
        let pattern = self.value()?;
        Regex::new(&format!("^(?:{pattern})$")).ok()
    }
}

fn known_field(field: &str) -> Option<Vec<String>> {
    if let Some(key) = field.strip_prefix("labels.") {
        return (!key.is_empty()).then(|| vec!["labels".to_owned(), key.to_owned()]);
    }
    FIELDS.contains(&field).then(|| field.split('.').map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn holds(filter: &str) -> bool {
        let resource = json!({"name": "comfyui-main-a", "status": "RUNNING", "labels": {"pilotlight": "main"}});
        Filter::parse(filter).unwrap().matches(&resource)
    }

    #[test]
    fn labels_are_compared_and_looked_for() {
        assert!(holds("labels.pilotlight=main"));
        assert!(holds("labels.pilotlight = \"main\""));
        assert!(holds("labels.pilotlight:*"));
        assert!(!holds("labels.other:*"));
        assert!(!holds("labels.pilotlight=mains"));
        assert!(holds("labels.other!=main"));
    }

    #[test]
    fn terms_are_joined_by_and_said_or_not_with_parentheses() {
        assert!(holds("labels.pilotlight:* AND status=RUNNING"));
        assert!(holds("(labels.pilotlight=main) (status=RUNNING)"));
        assert!(holds("((status=RUNNING) AND name=comfyui-main-a)"));
        assert!(!holds("(status=RUNNING) AND (name=other)"));
        assert!(holds(""));
    }

    #[test]
    fn patterns_as_gcloud_writes_them_match_the_whole_text() {
        assert!(holds(r#"name eq ".*\bcomfyui\-main\-a\b.*""#));
        assert!(holds(r#"(status eq "RUNNING")(name ne "other")"#));
        assert!(!holds(r#"name eq "comfyui""#));
        assert!(holds(r#"name eq "(comfyui-main-a|other)""#));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let unsupported = [
            "size>5",
            "name",
            "name=",
            "name~x",
            "colour=red",
            "(name=a",
            "name=a)",
            "name=a OR name=b",
            "NOT name=a",
            "name=\"a",
            "labels.=x",
            "name:x",
            "name eq \"(\"",
            "-name=a",
        ];
        for filter in unsupported {
            assert!(Filter::parse(filter).is_err(), "{filter} was understood");
        }
    }
}
