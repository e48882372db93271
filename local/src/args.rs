//! What can be said on the command line.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use domain::{MicroUsd, Seconds, SpotOrder};

use crate::emulators::Wanted;
use crate::users::User;

/// Pilotlight on this machine: the page, the three functions, and a pocket Google Cloud, all on loopback.
#[derive(clap::Parser, Clone, Debug)]
#[command(name = "pilotlight", version, about)]
pub struct Args {
    /// Port of the page.
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// Password of the user `admin`; one is made up when none is given.
    #[arg(long)]
    pub password: Option<String>,
    /// One more user, who is no admin: NAME=PASSWORD. May be said again for another.
    #[arg(long, value_parser = parse_user)]
    pub user: Vec<User>,
    /// How many times as fast the cloud, its timers and the policy's clock run.
    #[arg(long, default_value_t = 1.0, value_parser = parse_speed)]
    pub speed: f64,
    /// A run without activity for this long is announced and stopped.
    #[arg(long, default_value = "30m", value_parser = parse_length)]
    pub idle_limit: Seconds,
    /// Longest life of a run.
    #[arg(long, default_value = "12h", value_parser = parse_length)]
    pub hard_limit: Seconds,
    /// How often the reaper sweeps.
    #[arg(long, default_value = "60s", value_parser = parse_length)]
    pub sweep_every: Seconds,
    /// A ComfyUI that runs already, such as http://127.0.0.1:8188.
    #[arg(long, conflicts_with = "comfyui_dir", value_parser = parse_url)]
    pub comfyui: Option<String>,
    /// A ComfyUI to run: the folder of its main.py.
    #[arg(long)]
    pub comfyui_dir: Option<PathBuf>,
    /// How many placements the workspace has, each in a zone of its own.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=4))]
    pub placements: u8,
    /// Tries Spot placements before or after the others: first or last. Without it, as they are declared: last.
    #[arg(long, value_parser = parse_spot)]
    pub spot: Option<SpotOrder>,
    /// What the workspace may cost in a month, in US dollars. Without it, there is no limit.
    #[arg(long, value_parser = parse_budget)]
    pub budget: Option<MicroUsd>,
    /// The real ComfyUI page for the stand-in: the `static` folder of the Python package comfyui-frontend-package;
    /// found by itself where that package is installed.
    #[arg(long)]
    pub comfyui_frontend: Option<PathBuf>,
    /// A program that is each VM, in place of a gateway and a ComfyUI. Started at power on, with INSTANCE, ZONE and
    /// METADATA (its metadata server) in its environment; SIGTERM is the power button; when it ends, the VM is off.
    #[arg(long, requires = "vm_origin", conflicts_with_all = ["comfyui", "comfyui_dir", "comfyui_frontend"])]
    pub vm_program: Option<PathBuf>,
    /// Where browsers reach such a VM: https://HOST.
    #[arg(long, requires = "vm_program", value_parser = parse_origin)]
    pub vm_origin: Option<String>,
    /// Its external address.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub vm_address: IpAddr,
    /// Metadata of every VM, beside what all have or in place of it: KEY=VALUE.
    #[arg(long, value_parser = parse_metadata)]
    pub vm_metadata: Vec<(String, String)>,
    /// Runs the functions as three processes on Google's own emulators of Firestore and Pub/Sub: those that the two
    /// variables below name, and Google's SDK's (which needs Java) in place of one that is not named.
    #[arg(long)]
    pub emulators: bool,
    /// A Firestore emulator that runs already, as host:port.
    #[arg(long, env = "FIRESTORE_EMULATOR_HOST", value_parser = parse_host)]
    pub firestore_emulator_host: Option<String>,
    /// A Pub/Sub emulator that runs already, as host:port.
    #[arg(long, env = "PUBSUB_EMULATOR_HOST", value_parser = parse_host)]
    pub pubsub_emulator_host: Option<String>,
    /// Folder of the Google Cloud SDK; found by itself around a `gcloud` on the path.
    #[arg(long, env = "CLOUDSDK_ROOT")]
    pub cloud_sdk: Option<PathBuf>,
    /// What is logged, in the syntax of RUST_LOG.
    #[arg(long, env = "RUST_LOG", default_value = "info")]
    pub log_filter: String,
}

impl Args {
    /// Which of Google's emulators run already, and where the others are found.
    pub(crate) fn emulators(&self) -> Wanted {
        Wanted {
            firestore: self.firestore_emulator_host.clone(),
            pubsub: self.pubsub_emulator_host.clone(),
            cloud_sdk: self.cloud_sdk.clone(),
        }
    }

    /// Whether Google's emulators are used in place of what is in memory.
    pub fn wants_emulators(&self) -> bool {
        self.emulators || self.firestore_emulator_host.is_some() || self.pubsub_emulator_host.is_some()
    }
}

/// Faster than this, a heartbeat would be due every few milliseconds.
const SPEED_MAX: f64 = 600.0;

fn parse_speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| format!("found {text:?}, expected a number such as 60"))?;
    if (0.1..=SPEED_MAX).contains(&speed) {
        Ok(speed)
    } else {
        Err(format!("found {speed}, expected 0.1 to {SPEED_MAX}"))
    }
}

/// A length such as `90s`, `30m`, `12h`, `1h30m`.
fn parse_length(text: &str) -> Result<Seconds, String> {
    let length: Option<jiff::SignedDuration> = text.parse().ok();
    length
        .and_then(|length| u64::try_from(length.as_secs()).ok())
        .filter(|seconds| *seconds > 0)
        .map(Seconds)
        .ok_or_else(|| format!("found {text:?}, expected a length such as 90s, 30m or 12h"))
}

fn parse_spot(text: &str) -> Result<SpotOrder, String> {
    match text {
        "first" => Ok(SpotOrder::First),
        "last" => Ok(SpotOrder::Last),
        _ => Err(format!("found {text:?}, expected first or last")),
    }
}

/// More a month is a mistake in the number.
const BUDGET_USD_MAX: f64 = 1_000_000.0;

fn parse_budget(text: &str) -> Result<MicroUsd, String> {
    let usd: Option<f64> = text.parse().ok();
    usd.filter(|usd| (0.0..=BUDGET_USD_MAX).contains(usd))
        .map(|usd| MicroUsd((usd * 1e6).round() as u64))
        .ok_or_else(|| format!("found {text:?}, expected US dollars such as 50, at most {BUDGET_USD_MAX}"))
}

fn parse_user(text: &str) -> Result<User, String> {
    let pair = text.split_once('=').filter(|(name, password)| !name.is_empty() && !password.is_empty());
    // Not repeated: a part of it is a password.
    pair.map(|(name, password)| User::member(name, password)).ok_or_else(|| "expected NAME=PASSWORD".to_owned())
}

fn parse_url(text: &str) -> Result<String, String> {
    let trimmed = text.trim_end_matches('/');
    let host = trimmed.strip_prefix("http://").filter(|host| !host.is_empty() && !host.contains('/'));
    host.map(|_| trimmed.to_owned()).ok_or_else(|| format!("found {text:?}, expected http://HOST:PORT"))
}

fn parse_origin(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("https://").filter(|host| !host.is_empty() && !host.contains('/'));
    host.map(|_| text.to_owned()).ok_or_else(|| format!("found {text:?}, expected https://HOST"))
}

fn parse_metadata(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    pair.map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or_else(|| format!("found {text:?}, expected KEY=VALUE"))
}

/// A host and a port, whatever scheme is written before them.
fn parse_host(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    let named = host.rsplit_once(':').filter(|(name, port)| !name.is_empty() && port.parse::<u16>().is_ok());
    match named {
        Some((name, _)) if !name.contains('/') => Ok(host.to_owned()),
        _ => Err(format!("found {text:?}, expected host:port such as 127.0.0.1:8080")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_a_number_with_a_unit() {
        assert_eq!(parse_length("30m"), Ok(Seconds(1800)));
        assert_eq!(parse_length("1h30m"), Ok(Seconds(5400)));
        for wrong in ["", "30", "-5m", "0s", "soon"] {
            assert!(parse_length(wrong).is_err_and(|error| error.contains("expected a length")), "{wrong:?}");
        }
    }

    #[test]
    fn a_budget_is_in_dollars_and_not_below_nothing() {
        assert_eq!(parse_budget("50"), Ok(MicroUsd(50_000_000)));
        assert_eq!(parse_budget("0.05"), Ok(MicroUsd(50_000)));
        for wrong in ["", "-1", "NaN", "inf", "much", "50USD"] {
            assert!(parse_budget(wrong).is_err_and(|error| error.contains("US dollars")), "{wrong:?}");
        }
    }

    #[test]
    fn a_user_has_a_name_and_a_password_that_no_error_repeats() {
        let person = parse_user("ada=a=b").unwrap();
        assert_eq!((person.name.as_str(), person.password.as_str(), person.role.name()), ("ada", "a=b", "user"));
        for wrong in ["hunter2", "=hunter2", "ada="] {
            assert!(parse_user(wrong).is_err_and(|error| error == "expected NAME=PASSWORD"), "{wrong:?}");
        }
    }

    #[test]
    fn a_comfyui_address_has_no_path() {
        assert_eq!(parse_url("http://127.0.0.1:8188/").as_deref(), Ok("http://127.0.0.1:8188"));
        assert!(parse_url("http://127.0.0.1:8188/api").is_err() && parse_url("127.0.0.1:8188").is_err());
    }

    #[test]
    fn a_vm_of_its_own_has_an_origin_and_metadata() {
        assert_eq!(parse_origin("https://203.0.113.7").as_deref(), Ok("https://203.0.113.7"));
        assert!(parse_origin("https://a/b").is_err() && parse_origin("http://a").is_err());
        assert_eq!(parse_metadata("manifest={\"a\"=1}"), Ok(("manifest".into(), "{\"a\"=1}".into())));
        assert!(parse_metadata("=x").is_err_and(|error| error.contains("KEY=VALUE")));
    }

    #[test]
    fn an_emulator_is_a_host_and_a_port() {
        assert_eq!(parse_host("127.0.0.1:8085").as_deref(), Ok("127.0.0.1:8085"));
        assert_eq!(parse_host("http://[::1]:8085/").as_deref(), Ok("[::1]:8085"));
        for wrong in ["", "localhost", ":8085", "localhost:port", "http://localhost:1/v1"] {
            assert!(parse_host(wrong).is_err_and(|error| error.contains("host:port")), "{wrong:?}");
        }
    }
}
