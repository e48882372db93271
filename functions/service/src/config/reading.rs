//! From what a program was told to its configuration. Each value is read by itself, so that all that are wrong are told
//! at once, each as `VARIABLE: found …; expected …`.
//!
//! ```text
//! option of the line ─┐
//! variable ───────────┼─► one value ─► parser of the field ─► the struct, and where each value came from
//! file (X_FILE) ──────┤                    │
//! default ────────────┘                    └─► what was found, what was expected
//! ```
//!
//! An empty value is none. A field that has a twin `X_FILE` is long or secret: its value is repeated nowhere.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::Read as _;

use clap::builder::ValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::values::Expected;
use super::{Configuration, Told, Wrong};

/// Longest file of users, keys or workspaces: a thousand users have 200 kB.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// As much of a wrong value is repeated.
const FOUND_CHARS_MAX: usize = 100;
/// Id and name of the option that only checks.
const CHECK: &str = "check-config";

/// What a program was asked to do.
pub enum Asked<C> {
    /// To serve.
    Serve(C),
    /// To tell how it would serve.
    Check(C, Vec<Setting>),
    /// To say how it is used, or which version it is.
    Say(String),
}

/// Why a program cannot do it.
#[derive(Debug)]
pub enum Refused {
    /// An option that is not known, or the like.
    Line(clap::Error),
    /// All variables that are wrong.
    Wrong(Vec<Wrong>),
}

/// A variable with its value.
#[derive(Clone)]
pub struct Setting {
    option: String,
    variable: String,
    value: Option<String>,
    source: Source,
    /// Has a twin `X_FILE`.
    is_long: bool,
}

#[derive(Clone, PartialEq, Eq)]
enum Source {
    Nowhere,
    Default,
    Environment,
    Line,
    /// Named by this variable.
    File(String),
}

/// Reads a configuration.
///
/// # Errors
/// All variables that are wrong, or what is wrong with the command line.
pub fn read<C: Configuration>(told: &Told) -> Result<Asked<C>, Refused> {
    let command = command::<C>();
    let names = std::iter::once(OsString::from(C::NAME));
    let line = match untyped(command.clone()).try_get_matches_from(names.clone().chain(told.line().iter().cloned())) {
        Ok(line) => line,
        Err(error) if error.kind() == ErrorKind::DisplayHelp => {
            return Ok(Asked::Say(command.clone().render_long_help().to_string()));
        }
        Err(error) if error.kind() == ErrorKind::DisplayVersion => return Ok(Asked::Say(error.to_string())),
        Err(error) => return Err(Refused::Line(error)),
    };
    let (mut settings, mut wrongs) = (Vec::new(), Vec::new());
    for option in command.get_arguments().filter(|option| option.get_id() != CHECK) {
        match setting(option, &command, &line, told) {
            Ok(setting) => settings.push(setting),
            Err(wrong) => wrongs.push(wrong),
        }
    }
    if !wrongs.is_empty() {
        return Err(Refused::Wrong(wrongs));
    }
    let options = settings.iter().filter_map(Setting::option).map(OsString::from);
    let matches = command.try_get_matches_from(names.chain(options)).map_err(Refused::Line)?;
    let config = C::from_arg_matches(&matches).map_err(Refused::Line)?;
    match config.wrongs() {
        wrongs if !wrongs.is_empty() => Err(Refused::Wrong(wrongs)),
        _ if line.get_flag(CHECK) => Ok(Asked::Check(config, settings)),
        _ => Ok(Asked::Serve(config)),
    }
}

fn command<C: Configuration>() -> Command {
    let check = Arg::new(CHECK)
        .long(CHECK)
        .action(ArgAction::SetTrue)
        .help("Read and check everything as a start would, tell how it would be used, and end");
    C::augment_args(Command::new(C::NAME)).about(C::ABOUT).version(env!("CARGO_PKG_VERSION")).arg(check).after_help(
        "Each option is a variable of the environment too: the name in angle brackets. An empty one is none.",
    )
}

/// The same options, each of which takes anything, and none of which is needed.
fn untyped(command: Command) -> Command {
    command.mut_args(|option| {
        if option.get_action().takes_values() {
            option.required(false).value_parser(ValueParser::os_string())
        } else {
            option
        }
    })
}

fn setting(option: &Arg, command: &Command, line: &ArgMatches, told: &Told) -> Result<Setting, Wrong> {
    let variable = variable_of(option);
    let twin = command.get_arguments().find(|other| is_file_of(other, option));
    let file = twin.map(|twin| Ok((twin, given(twin, line, told)?))).transpose()?;
    let (value, source) = match (given(option, line, told)?, file) {
        (Some(_), Some((twin, Some(_)))) => {
            let both = format!("found it beside {}; expected one of them", variable_of(twin));
            return Err(Wrong::new(variable, both));
        }
        (Some((value, source)), _) => (Some(value), source),
        (None, Some((twin, Some((path, _))))) => {
            (Some(content(&path, &variable_of(twin))?), Source::File(variable_of(twin)))
        }
        (None, _) => match option.get_default_values().first().and_then(|value| value.to_str()) {
            Some(value) => (Some(value.to_owned()), Source::Default),
            None => (None, Source::Nowhere),
        },
    };
    let setting = Setting { option: option.get_id().to_string(), variable, value, source, is_long: twin.is_some() };
    check(option, &setting).map(|()| setting)
}

/// The name of an option's value.
fn variable_of(option: &Arg) -> String {
    option.get_value_names().and_then(<[_]>::first).map(ToString::to_string).unwrap_or_default()
}

fn is_file_of(twin: &Arg, option: &Arg) -> bool {
    twin.get_id().as_str().strip_suffix("_file") == Some(option.get_id().as_str())
}

/// What the line says, or else the environment.
fn given(option: &Arg, line: &ArgMatches, told: &Told) -> Result<Option<(String, Source)>, Wrong> {
    let (id, variable) = (option.get_id().as_str(), variable_of(option));
    let (value, source) = match line.value_source(id) {
        Some(ValueSource::CommandLine) => (line.get_one::<OsString>(id), Source::Line),
        _ => (told.variable(&variable), Source::Environment),
    };
    let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(None) };
    let text = value.to_str().ok_or_else(|| Wrong::new(variable, "found bytes that are no text; expected UTF-8"))?;
    Ok(Some((text.to_owned(), source)))
}

fn content(path: &str, variable: &str) -> Result<String, Wrong> {
    let wrong = |problem: String| Wrong::new(variable, format!("found {path:?}; expected {problem}"));
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text))
        .map_err(|error| wrong(format!("a file of text that can be read: {error}")))?;
    if text.trim().is_empty() || text.len() as u64 > FILE_BYTES_MAX {
        return Err(wrong(format!("a file of 1 to {FILE_BYTES_MAX} bytes, it has {} or more", text.len())));
    }
    Ok(text)
}

/// What the option's own parser says to the value.
fn check(option: &Arg, setting: &Setting) -> Result<(), Wrong> {
    let Some(flag) = setting.option() else {
        if option.is_required_set() {
            let what = option.get_help().map(ToString::to_string).unwrap_or_default();
            return Err(Wrong::new(&setting.variable, format!("found nothing; expected: {what}")));
        }
        return Ok(());
    };
    let alone = Command::new("").no_binary_name(true).disable_help_flag(true).arg(option.clone().required(false));
    let Err(error) = alone.try_get_matches_from([flag]) else { return Ok(()) };
    let source = std::error::Error::source(&error);
    let problem = match (source.and_then(|source| source.downcast_ref::<Expected>()), source) {
        (Some(expected), _) => format!("{}; {expected}", found(setting)),
        // It says itself what it found, and where.
        (None, Some(source)) => source.to_string(),
        (None, None) => format!("{}; expected {}", found(setting), one_of(&error)),
    };
    let variable = match &setting.source {
        Source::File(variable) => variable,
        _ => &setting.variable,
    };
    Err(Wrong::new(variable, problem))
}

fn found(setting: &Setting) -> String {
    let value = setting.value.as_deref().unwrap_or_default();
    if setting.is_long {
        return "found something else".to_owned();
    }
    let cut: String = value.chars().take(FOUND_CHARS_MAX).collect();
    format!("found {cut:?}{}", if cut.len() < value.len() { "…" } else { "" })
}

fn one_of(error: &clap::Error) -> String {
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) => values.join(" or "),
        _ => "another value".to_owned(),
    }
}

impl Setting {
    /// Name of the variable.
    pub fn variable(&self) -> &str {
        &self.variable
    }

    /// `NAME=value`, and where the value came from. `summary` stands in for what is long or secret.
    pub fn told(&self, summary: Option<String>) -> String {
        let value = match &self.value {
            None => "",
            Some(_) if self.is_long => summary.as_deref().unwrap_or("(set)"),
            Some(value) => value,
        };
        format!("{}={value}  # {}", self.variable, self.source)
    }

    /// As an option of the command line.
    fn option(&self) -> Option<String> {
        self.value.as_ref().map(|value| format!("--{}={value}", self.option.replace('_', "-")))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nowhere => f.write_str("not set"),
            Self::Default => f.write_str("default"),
            Self::Environment => f.write_str("environment"),
            Self::Line => f.write_str("command line"),
            Self::File(variable) => write!(f, "file, by {variable}"),
        }
    }
}
