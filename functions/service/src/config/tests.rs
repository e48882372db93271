//! Reading a configuration, on one that has a field of each kind.

use std::io::Write as _;
use std::os::unix::ffi::OsStringExt as _;

use tempfile::NamedTempFile;

use super::*;

#[derive(clap::Args, Debug)]
struct Sample {
    #[command(flatten)]
    process: ProcessConfig,
    /// Google Cloud project.
    #[arg(long, value_parser = project)]
    project: String,
    /// A word that nobody may know.
    #[arg(long, value_parser = secret)]
    word: String,
    /// File with the same, in place of WORD.
    #[arg(long)]
    word_file: Option<PathBuf>,
    /// Who may call.
    #[arg(long)]
    emails: Option<Emails>,
}

/// Ends with an exclamation mark.
fn secret(text: &str) -> Result<String, Expected> {
    let word = text.trim_end();
    if word.ends_with('!') { Ok(word.to_owned()) } else { Err(Expected("an exclamation mark".to_owned())) }
}

impl Configuration for Sample {
    const NAME: &'static str = "sample";
    const ABOUT: &'static str = "Is read";

    fn process(&self) -> &ProcessConfig {
        &self.process
    }

    fn summary(&self, variable: &str) -> Option<String> {
        (variable == "WORD").then(|| format!("({} characters)", self.word.len()))
    }

    fn wrongs(&self) -> Vec<Wrong> {
        if self.project == "together" && self.emails.is_none() {
            return vec![Wrong::new("EMAILS", "found nothing; expected somebody")];
        }
        Vec::new()
    }
}

fn told(line: &[&str], variables: &[(&str, &str)]) -> Told {
    let line = std::iter::once("/somewhere/sample").chain(line.iter().copied()).map(OsString::from);
    Told::new(line, variables.iter().map(|(name, value)| (name.into(), value.into())))
}

const ENOUGH: [(&str, &str); 2] = [("PROJECT", "p"), ("WORD", "open!")];

fn served(line: &[&str], variables: &[(&str, &str)]) -> Sample {
    match read(&told(line, variables)) {
        Ok(Asked::Serve(sample)) => sample,
        Err(Refused::Wrong(wrongs)) => panic!("{wrongs:?}"),
        _ => panic!("it was asked to serve"),
    }
}

fn wrongs(line: &[&str], variables: &[(&str, &str)]) -> Vec<String> {
    match read::<Sample>(&told(line, variables)) {
        Err(Refused::Wrong(wrongs)) => wrongs.iter().map(ToString::to_string).collect(),
        _ => panic!("{line:?}, {variables:?} was taken"),
    }
}

/// What `--check-config` tells.
fn lines(line: &[&str], variables: &[(&str, &str)]) -> Vec<String> {
    match read::<Sample>(&told(&[line, &["--check-config"]].concat(), variables)) {
        Ok(Asked::Check(sample, settings)) => {
            settings.iter().map(|setting| setting.told(sample.summary(setting.variable()))).collect()
        }
        Err(Refused::Wrong(wrongs)) => panic!("{wrongs:?}"),
        _ => panic!("it was asked to check"),
    }
}

fn file(text: &str) -> (NamedTempFile, String) {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    (file, path)
}

#[test]
fn the_line_comes_before_the_environment_and_that_before_the_default() {
    let sample = served(&["--port", "9", "--log-format=human"], &[&ENOUGH[..], &[("PORT", "7")]].concat());
    assert_eq!((sample.process.port, sample.process.log_format), (9, LogFormat::Human));
    assert_eq!(served(&[], &[&ENOUGH[..], &[("PORT", "7")]].concat()).process.port, 7);
    let sample = served(&[], &[&ENOUGH[..], &[("PORT", "")]].concat());
    assert_eq!((sample.process.port, sample.process.log_filter.as_str()), (8080, "info"), "an empty value is none");
}

#[test]
fn a_value_may_look_like_an_option() {
    assert_eq!(served(&[], &[("PROJECT", "p"), ("WORD", "--check-config!")]).word, "--check-config!");
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let told =
        wrongs(&[], &[("PORT", "http"), ("RUST_LOG", "hyper=loud"), ("PILOTLIGHT_CLOCK", "noon"), ("EMAILS", "me")]);
    assert_eq!(
        told,
        [
            "PORT: found \"http\"; expected a number from 0 to 65535",
            "RUST_LOG: found \"hyper=loud\"; expected a log filter such as info or info,hyper=warn",
            "PILOTLIGHT_CLOCK: found \"noon\"; expected nothing, or ORIGIN_MILLIS@RATE such as 1763800000000@60",
            "PROJECT: found nothing; expected: Google Cloud project",
            "WORD: found nothing; expected: A word that nobody may know",
            "EMAILS: found \"me\"; expected 1 to 50 e-mail addresses such as push@project.iam.gserviceaccount.com, \
             separated by commas",
        ]
    );
    let together = wrongs(&[], &[("PROJECT", "together"), ("WORD", "open!")]);
    assert_eq!(together, ["EMAILS: found nothing; expected somebody"]);
}

#[test]
fn a_wrong_value_is_repeated_as_far_as_it_helps() {
    let long = "x".repeat(10_000);
    let told = wrongs(&[], &[("PROJECT", &long), ("WORD", "open!")]).concat();
    assert!(told.starts_with("PROJECT: found \"xxx") && told.contains("x\"…; expected the id"), "{told}");
    assert!(told.len() < 300, "{told}");
}

#[test]
fn a_secret_is_repeated_nowhere() {
    let told = wrongs(&[], &[("PROJECT", "p"), ("WORD", "hunter2")]);
    assert_eq!(told, ["WORD: found something else; expected an exclamation mark"]);
    let (_keep, path) = file("hunter2");
    let told = wrongs(&[], &[("PROJECT", "p"), ("WORD_FILE", &path)]);
    assert_eq!(told, ["WORD_FILE: found something else; expected an exclamation mark"]);
    let shown = lines(&[], &[("PROJECT", "p"), ("WORD", "hunter2!")]).join("\n");
    assert!(shown.contains("WORD=(8 characters)  # environment") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_secret_comes_from_its_variable_or_from_its_file_and_not_from_both() {
    let (_keep, path) = file("open!\n");
    assert_eq!(served(&[], &[("PROJECT", "p"), ("WORD_FILE", &path)]).word, "open!");
    let both = wrongs(&[], &[&ENOUGH[..], &[("WORD_FILE", &path)]].concat());
    assert_eq!(both, ["WORD: found it beside WORD_FILE; expected one of them"]);
}

#[test]
fn a_file_that_cannot_be_taken_is_named() {
    let (_one, empty) = file("\n");
    let (_two, long) = file(&"!".repeat(1024 * 1024 + 1));
    for (path, told) in [
        ("/nowhere/word", "expected a file of text that can be read: No such file"),
        ("/", "expected a file of text that can be read: Is a directory"),
        (&empty, "expected a file of 1 to 1048576 bytes, it has 1 or more"),
        (&long, "expected a file of 1 to 1048576 bytes, it has 1048577 or more"),
    ] {
        let wrong = wrongs(&[], &[("PROJECT", "p"), ("WORD_FILE", path)]).concat();
        assert!(wrong.starts_with(&format!("WORD_FILE: found {path:?}; {told}")), "{wrong}");
    }
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let variables = [("PROJECT".into(), OsString::from_vec(vec![0xff])), ("WORD".into(), "open!".into())];
    let Err(Refused::Wrong(wrongs)) = read::<Sample>(&Told::new(["sample".into()], variables)) else {
        panic!("it was taken")
    };
    assert_eq!(wrongs[0].to_string(), "PROJECT: found bytes that are no text; expected UTF-8");
}

#[test]
fn a_check_tells_every_value_and_where_it_came_from() {
    let (_keep, path) = file("open!");
    let told = lines(&["--port", "0"], &[("PROJECT", "p"), ("WORD_FILE", &path), ("RUST_LOG", "warn")]);
    assert_eq!(
        told,
        [
            "PORT=0  # command line".to_owned(),
            "LOG_FORMAT=json  # default".to_owned(),
            "RUST_LOG=warn  # environment".to_owned(),
            "PILOTLIGHT_CLOCK=  # not set".to_owned(),
            "PROJECT=p  # environment".to_owned(),
            "WORD=(5 characters)  # file, by WORD_FILE".to_owned(),
            format!("WORD_FILE={path}  # environment"),
            "EMAILS=  # not set".to_owned(),
        ]
    );
}

#[test]
fn help_names_every_variable_and_what_it_is_for() {
    let Ok(Asked::Say(help)) = read::<Sample>(&told(&["--help"], &[])) else { panic!("it says nothing") };
    for told in
        ["--port <PORT>", "[default: 8080]", "<RUST_LOG>", "<WORD_FILE>", "A word that nobody may know", "Is read"]
    {
        assert!(help.contains(told), "{told}: {help}");
    }
    let Err(Refused::Line(error)) = read::<Sample>(&told(&["--prot", "9"], &[])) else { panic!("it was taken") };
    assert!(error.to_string().contains("--prot"), "{error}");
}

#[test]
fn a_program_knows_the_name_it_was_started_under() {
    let told = told(&["lifecycle", "--help"], &[]);
    assert_eq!((told.program(), told.first()), ("sample", Some("lifecycle")));
    assert_eq!((told.rest().line(), told.rest().first()), (&["--help".into()][..], Some("--help")));
    assert_eq!(told.rest().with_first("x").first(), Some("x"));
}
