//! How busy the GPU is, from NVIDIA's management library (NVML), which is part of the driver.
//!
//! The library is loaded while the gateway runs, where there is one: a machine without a GPU, or without its driver yet,
//! has nothing to read and is no worse for it. A GPU that is shared out by MIG does not tell its utilisation.
//!
//! A reading is a handful of calls into the driver. Most take microseconds, but the first one wakes the GPU, and one to
//! a GPU that has fallen off its bus may not come back: hence each is taken on a thread of its own, and waited for a
//! while only.

use std::ffi::OsString;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nvml_wrapper::error::NvmlError;
use tokio::sync::oneshot;

/// Without a driver, or with one that gives no reading, the library is asked again this much later: the driver may load
/// long after the gateway has started.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(60);
/// More GPUs than any machine type of Compute Engine has.
const GPUS_MAX: u32 = 16;
/// A reading is waited for this long; where it takes longer, the next one is not begun before it is over.
const READING_WITHIN: Duration = Duration::from_secs(2);

/// Reads how busy the GPU is. May take its time.
pub trait GpuReading: Send + Sync + std::fmt::Debug {
    /// Utilisation in percent at this moment, of the busiest one; `None` when there is no GPU to ask.
    fn utilisation_percent(&self) -> Option<u8>;
}

/// No GPU to ask.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoGpu;

impl GpuReading for NoGpu {
    fn utilisation_percent(&self) -> Option<u8> {
        None
    }
}

/// The GPUs of this machine, as their driver knows them.
#[derive(Debug)]
pub struct Nvml {
    library: OsString,
    try_again_after: Duration,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    open: Option<nvml_wrapper::Nvml>,
    tried_at: Option<Instant>,
    trouble: Option<String>,
}

/// The GPUs could not be read.
#[derive(Debug)]
struct Unreadable(String);

impl Nvml {
    /// By the library of this name, such as `libnvidia-ml.so.1`, or at this path.
    pub fn new(library: impl Into<OsString>) -> Self {
        Self { library: library.into(), try_again_after: TRY_AGAIN_AFTER, held: Mutex::default() }
    }

    /// The same, but for how long it is left alone after it has given no reading.
    #[must_use]
    pub fn try_again_after(self, length: Duration) -> Self {
        Self { try_again_after: length, ..self }
    }

    /// Utilisation in percent of the busiest GPU, or why it cannot be read.
    ///
    /// # Errors
    /// In words for whoever looks after the machine.
    pub fn read(&self) -> Result<u8, String> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let percent = self.opened(&mut held).and_then(busiest);
        // Whatever is wrong, the library is begun with anew later: that a driver was replaced shows in no other way.
        if percent.is_err() {
            held.open = None;
        }
        percent.map_err(|Unreadable(why)| why)
    }

    fn opened<'a>(&self, held: &'a mut Held) -> Result<&'a nvml_wrapper::Nvml, Unreadable> {
        if held.open.is_none() {
            held.tried_at = Some(Instant::now());
            let opened = nvml_wrapper::Nvml::builder().lib_path(&self.library).init();
            held.open = Some(opened.map_err(|error| unreadable("opening the library", &error))?);
        }
        held.open.as_ref().ok_or_else(|| Unreadable("it is not open".to_owned()))
    }

    fn is_left_alone(&self) -> bool {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.open.is_none() && held.tried_at.is_some_and(|tried| tried.elapsed() < self.try_again_after)
    }

    fn note(&self, trouble: Option<String>) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if trouble == held.trouble {
            return;
        }
        match &trouble {
            Some(why) => tracing::info!(why, "how busy the GPU is cannot be read"),
            None => tracing::info!("how busy the GPU is can be read"),
        }
        held.trouble = trouble;
    }
}

impl GpuReading for Nvml {
    fn utilisation_percent(&self) -> Option<u8> {
        if self.is_left_alone() {
            return None;
        }
        let percent = self.read();
        self.note(percent.as_ref().err().cloned());
        percent.ok()
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { open, tried_at, trouble } = self;
        let open = open.is_some();
        f.debug_struct("Held").field("open", &open).field("tried_at", tried_at).field("trouble", trouble).finish()
    }
}

/// The busiest of the GPUs that tell. One that does not is passed over, unless none does.
fn busiest(nvml: &nvml_wrapper::Nvml) -> Result<u8, Unreadable> {
    let count = nvml.device_count().map_err(|error| unreadable("counting the GPUs", &error))?;
    let mut most = Err(Unreadable("the driver knows of no GPU".to_owned()));
    for index in 0..count.min(GPUS_MAX) {
        let percent = nvml.device_by_index(index).and_then(|gpu| gpu.utilization_rates());
        let percent = percent.map(|rates| u8::try_from(rates.gpu).unwrap_or(100).min(100));
        most = match (most, percent) {
            (Ok(most), Ok(percent)) => Ok(percent.max(most)),
            (Ok(most), Err(_)) => Ok(most),
            (Err(_), Ok(percent)) => Ok(percent),
            (Err(_), Err(error)) => Err(unreadable(&format!("reading GPU {index}"), &error)),
        };
    }
    most
}

fn unreadable(doing: &str, error: &NvmlError) -> Unreadable {
    Unreadable(format!("{doing}: {error}"))
}

/// Takes readings, one after the other, and never waits long.
#[derive(Debug)]
pub(crate) struct Sampler {
    gpu: Arc<dyn GpuReading>,
    under_way: Option<oneshot::Receiver<Option<u8>>>,
}

impl Sampler {
    pub(crate) fn new(gpu: Arc<dyn GpuReading>) -> Self {
        Self { gpu, under_way: None }
    }

    /// How busy the GPU is, if it says so in time.
    pub(crate) async fn sample(&mut self) -> Option<u8> {
        if let Some(late) = &mut self.under_way {
            match late.try_recv() {
                // It is not waited for again.
                Err(oneshot::error::TryRecvError::Empty) => return None,
                // What it said is old.
                Ok(_) | Err(oneshot::error::TryRecvError::Closed) => self.under_way = None,
            }
        }
        let (told, mut reading) = oneshot::channel();
        let gpu = Arc::clone(&self.gpu);
        let read = move || {
            // Nobody listens when the gateway ends.
            let _ = told.send(gpu.utilisation_percent());
        };
        // Not one of the runtime's own: those are waited for at the end, and this one may never come back.
        std::thread::Builder::new().name("gpu".to_owned()).spawn(read).ok()?;
        match tokio::time::timeout(READING_WITHIN, &mut reading).await {
            Ok(percent) => percent.ok().flatten(),
            Err(_) => {
                tracing::warn!("the GPU does not say how busy it is");
                self.under_way = Some(reading);
                None
            }
        }
    }
}
