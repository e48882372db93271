//! What the gateway must be told. Checked as it is read: a wrong value stops the start, with its name.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use domain::{Policy, Seconds, WorkspaceId};
use http::uri::Authority;
use service::LogFormat;
use url::Url;

use crate::gpu::Nvml;

/// The library as the driver's packages install it; without a number it is a developer's.
const NVML_LIBRARY: &str = "libnvidia-ml.so.1";

/// Stands in front of ComfyUI: lets ticket holders in, judges activity, speaks to lifecycle.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "gateway", version)]
pub struct Config {
    /// Where to listen; nginx stands before it.
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:8189")]
    pub listen: SocketAddr,

    /// Where ComfyUI listens: `http://HOST:PORT`.
    #[arg(long, env = "UPSTREAM", default_value = "http://127.0.0.1:8188", value_parser = upstream)]
    pub upstream: Authority,

    /// This gateway's own origin as browsers see it, such as `https://comfy.example.com`; tickets are made out to it.
    #[arg(long, env = "ORIGIN", value_parser = origin)]
    pub origin: String,

    /// Origin of the page that may show ComfyUI in a frame, and is told when somebody is there.
    #[arg(long, env = "PAGE_ORIGIN", value_parser = origin)]
    pub page_origin: String,

    /// Address of lifecycle.
    #[arg(long, env = "CONTROL_URL")]
    pub control_url: Url,

    /// Audience of the identity token shown to lifecycle; without it, lifecycle's address.
    #[arg(long, env = "CONTROL_AUDIENCE")]
    pub control_audience: Option<String>,

    /// Where auth publishes the keys that sign tickets.
    #[arg(long, env = "JWKS_URL")]
    pub jwks_url: Url,

    /// Issuer of tickets.
    #[arg(long, env = "TOKEN_ISSUER", default_value = "pilotlight")]
    pub token_issuer: String,

    /// Name of the workspace that this machine carries.
    #[arg(long, env = "WORKSPACE", value_parser = workspace)]
    pub workspace: WorkspaceId,

    /// Address of the metadata server.
    #[arg(long, env = "METADATA", default_value = "http://metadata.google.internal")]
    pub metadata: Url,

    /// Where the startup script says how the boot goes. Empty where there is none: a boot is over when ComfyUI answers.
    #[arg(long, env = "BOOT_FILE", default_value = "")]
    pub boot_file: String,

    /// Folder on the data disk where the prompts that wait are kept for the run after an interruption. It is not made here:
    /// as long as it is not there, no data disk is. Empty where nothing is to be kept.
    #[arg(long, env = "KEPT_QUEUE_DIR", default_value = "", value_parser = kept_queue_dir)]
    pub kept_queue_dir: String,

    /// NVIDIA's management library, such as `libnvidia-ml.so.1`, which tells how busy the GPU is. Without it, the GPU is
    /// not asked.
    #[arg(long, env = "NVML_LIBRARY", default_value = "")]
    pub nvml_library: String,

    /// Program and arguments, separated by spaces, that stop this machine. Without it the gateway only ends.
    #[arg(long, env = "POWEROFF_COMMAND", default_value = "")]
    pub poweroff_command: String,

    /// How long the control plane may be out of reach before this machine decides for itself, in policy seconds. Empty
    /// for ten minutes.
    #[arg(long, env = "SILENCE_SECONDS", default_value = "", value_parser = silence_limit)]
    pub silence_seconds: Seconds,

    /// Longest time that this machine stays up when no word of the control plane has ever named an end, in policy
    /// seconds. Empty for twelve hours.
    #[arg(long, env = "HARD_SECONDS", default_value = "", value_parser = hard_limit)]
    pub hard_seconds: Seconds,

    /// Empty for the machine's clock, or `ORIGIN_MILLIS@RATE` for the pocket cloud's.
    #[arg(long, env = "PILOTLIGHT_CLOCK", default_value = "")]
    pub clock: String,

    /// Ask lifecycle which run this is, say what it answers, and end.
    #[arg(long)]
    pub check_control: bool,

    /// Read how busy the GPU is, say so, and end. Needs no other setting than `NVML_LIBRARY`.
    #[arg(long)]
    pub check_gpu: bool,

    /// `human` or `json`.
    #[arg(long, env = "LOG_FORMAT", default_value = "human")]
    pub log_format: LogFormat,

    /// What to log, in the syntax of `RUST_LOG`.
    #[arg(long, env = "RUST_LOG", default_value = "info")]
    pub log_filter: String,
}

/// What a look at the GPU alone must be told.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "gateway", version)]
pub struct GpuCheck {
    /// See [`Config::nvml_library`].
    #[arg(long, env = "NVML_LIBRARY", default_value = NVML_LIBRARY)]
    pub nvml_library: String,

    /// See [`Config::check_gpu`].
    #[arg(long)]
    pub check_gpu: bool,
}

impl Config {
    pub(crate) fn audience(&self) -> &str {
        self.control_audience
            .as_deref()
            .filter(|audience| !audience.is_empty())
            .unwrap_or_else(|| self.control_url.as_str().trim_end_matches('/'))
    }

    pub(crate) fn boot_file(&self) -> Option<PathBuf> {
        Some(&self.boot_file).filter(|file| !file.is_empty()).map(PathBuf::from)
    }

    pub(crate) fn kept_queue_dir(&self) -> Option<PathBuf> {
        Some(&self.kept_queue_dir).filter(|folder| !folder.is_empty()).map(PathBuf::from)
    }

    pub(crate) fn nvml(&self) -> Option<Nvml> {
        Some(&self.nvml_library).filter(|library| !library.is_empty()).map(Nvml::new)
    }
}

fn origin(text: &str) -> Result<String, String> {
    let expected = || format!("found {text:?}, expected an origin such as https://comfy.example.com");
    let url = Url::parse(text).map_err(|_| expected())?;
    let bare = matches!(url.scheme(), "http" | "https")
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if bare { Ok(url.origin().ascii_serialization()) } else { Err(expected()) }
}

fn upstream(text: &str) -> Result<Authority, String> {
    let bare = text.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
    bare.and_then(|authority| authority.parse().ok())
        .ok_or_else(|| format!("found {text:?}, expected http://HOST:PORT without a path"))
}

fn silence_limit(text: &str) -> Result<Seconds, String> {
    seconds(text, Policy::default().silence_limit)
}

fn hard_limit(text: &str) -> Result<Seconds, String> {
    seconds(text, Policy::default().hard_limit)
}

/// A setting that is absent on a machine is an empty text there.
fn seconds(text: &str, otherwise: Seconds) -> Result<Seconds, String> {
    if text.is_empty() {
        return Ok(otherwise);
    }
    let expected = || format!("found {text:?}, expected a number of seconds such as {}", otherwise.0);
    text.parse().map(Seconds).map_err(|_| expected())
}

fn kept_queue_dir(text: &str) -> Result<String, String> {
    let well = text.is_empty() || Path::new(text).is_absolute();
    well.then(|| text.to_owned())
        .ok_or_else(|| format!("found {text:?}, expected the whole path of a folder, from / on"))
}

fn workspace(text: &str) -> Result<WorkspaceId, String> {
    WorkspaceId::parse(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    const ENOUGH: [&str; 11] = [
        "gateway",
        "--origin",
        "https://comfy.example.com",
        "--page-origin",
        "https://pilotlight.example.com/",
        "--control-url",
        "https://lifecycle.example.com/",
        "--jwks-url",
        "https://auth.example.com/.well-known/jwks.json",
        "--workspace",
        "main",
    ];

    #[test]
    fn an_origin_is_kept_as_browsers_write_it() {
        let config = Config::try_parse_from(ENOUGH).unwrap();
        assert_eq!(config.page_origin, "https://pilotlight.example.com");
        assert_eq!(config.audience(), "https://lifecycle.example.com");
        assert_eq!(origin("HTTPS://Comfy.Example.com:443").unwrap(), "https://comfy.example.com");
        assert_eq!(origin("http://127.0.0.1:9000").unwrap(), "http://127.0.0.1:9000");
    }

    #[test]
    fn what_is_no_origin_is_refused_with_what_was_expected() {
        for wrong in ["", "comfy.example.com", "https://a/b", "https://a?b", "https://u@a", "ftp://a", "*"] {
            assert!(origin(wrong).unwrap_err().contains("expected an origin"), "{wrong}");
        }
        for wrong in ["https://127.0.0.1:8188", "127.0.0.1:8188", "http://a/b"] {
            assert!(upstream(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_limit_that_is_empty_is_the_policy_s_and_one_that_is_no_number_is_refused() {
        let with = |given: &[&'static str]| Config::try_parse_from(ENOUGH.iter().chain(given).copied());
        let limits = |config: Config| (config.silence_seconds, config.hard_seconds);
        let usual = (Seconds::minutes(10), Seconds::hours(12));
        assert_eq!(limits(with(&[]).unwrap()), usual);
        assert_eq!(limits(with(&["--silence-seconds", "", "--hard-seconds", ""]).unwrap()), usual);
        let given = with(&["--silence-seconds", "300", "--hard-seconds", "900"]).unwrap();
        assert_eq!(limits(given), (Seconds(300), Seconds(900)));
        for wrong in ["ten", "-5", "1.5"] {
            let refused = with(&[["--hard-seconds=", wrong].concat().leak()]).unwrap_err().to_string();
            assert!(
                refused.contains("--hard-seconds") && refused.contains("expected a number of seconds"),
                "{refused}"
            );
        }
    }

    #[test]
    fn what_is_not_there_is_empty_and_is_none() {
        let config = Config::try_parse_from(ENOUGH).unwrap();
        assert!(config.boot_file().is_none() && config.nvml().is_none() && config.kept_queue_dir().is_none());
        let given = ["--boot-file", "/run/boot.json", "--nvml-library", "libnvidia-ml.so.1"];
        let config = Config::try_parse_from(ENOUGH.iter().chain(&given)).unwrap();
        assert!(config.boot_file().is_some_and(|file| file.ends_with("boot.json")) && config.nvml().is_some());
    }

    #[test]
    fn a_folder_for_the_queue_is_named_from_the_root_on() {
        let with =
            |folder: &'static str| Config::try_parse_from(ENOUGH.iter().copied().chain(["--kept-queue-dir", folder]));
        assert_eq!(with("/mnt/queue").unwrap().kept_queue_dir(), Some(PathBuf::from("/mnt/queue")));
        let refused = with("mnt/queue").unwrap_err().to_string();
        assert!(refused.contains("--kept-queue-dir") && refused.contains("the whole path"), "{refused}");
    }

    #[test]
    fn a_wrong_setting_is_named() {
        let wrong = Config::try_parse_from(ENOUGH.iter().copied().chain(["--metadata", "nowhere"])).unwrap_err();
        assert!(wrong.to_string().contains("--metadata <METADATA>") && wrong.to_string().contains("nowhere"));
        let missing = Config::try_parse_from(["gateway"]).unwrap_err().to_string();
        assert!(missing.contains("--page-origin"), "{missing}");
    }
}
