//! Where prompts are kept: a few files in a folder on the data disk, each replaced as a whole. Blocks.
//!
//! ```text
//!  queue.json         what this run's ComfyUI has in its queue
//!      │ another run finds it
//!      ▼
//!  kept.json          what interrupted runs have left, until somebody agrees
//!      │ renamed, once
//!      ▼
//!  putting-back.json  what is being put back, with sent.json: which of it is sent next, written before it is sent
//!
//!  refused.json       what ComfyUI did not take back
//! ```

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use domain::{RunNumber, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::queued::{BYTES_MAX, Prompt, within_bounds};

/// What is kept, and what JSON puts around it.
const FILE_BYTES_MAX: u64 = 2 * BYTES_MAX as u64;

const QUEUE: &str = "queue.json";
const KEPT: &str = "kept.json";
const PUTTING_BACK: &str = "putting-back.json";
const SENT: &str = "sent.json";
const REFUSED: &str = "refused.json";

/// The prompts of a file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// Of this run, or first of it.
    pub(crate) run: RunNumber,
    /// When they were last seen in a queue.
    at_millis: i64,
    pub(crate) prompts: Vec<Prompt>,
}

impl Kept {
    pub(crate) fn new(run: RunNumber, at: Timestamp, prompts: Vec<Prompt>) -> Self {
        Self { run, at_millis: at.millis(), prompts }
    }

    pub(crate) fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.at_millis)
    }
}

/// How far the putting back is: what stands before `next` has been sent in `run`, and that at `next` may have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sent {
    pub(crate) run: RunNumber,
    pub(crate) next: usize,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) queue: Option<Kept>,
    pub(crate) kept: Option<Kept>,
    pub(crate) putting_back: Option<Kept>,
    pub(crate) sent: Option<Sent>,
}

/// The folder.
#[derive(Debug)]
pub(crate) struct Shelf {
    folder: PathBuf,
}

impl Shelf {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The data disk is there.
    pub(crate) fn is_there(&self) -> bool {
        self.folder.is_dir()
    }

    /// Everything, after what is older than `oldest` is removed.
    ///
    /// # Errors
    /// When a file cannot be read; what is damaged is set aside instead.
    pub(crate) fn look(&self, oldest: Timestamp) -> anyhow::Result<Found> {
        self.remove_older(KEPT, oldest)?;
        self.remove_older(REFUSED, oldest)?;
        let (queue, kept) = (self.read(QUEUE)?, self.read(KEPT)?);
        let (putting_back, sent) = (self.read(PUTTING_BACK)?, self.read(SENT)?);
        Ok(Found { queue, kept, putting_back, sent })
    }

    /// Removes what is kept if it is older than `oldest`; how many prompts are kept.
    pub(crate) fn remove_old(&self, oldest: Timestamp) -> anyhow::Result<usize> {
        self.remove_older(KEPT, oldest)?;
        Ok(self.read::<Kept>(KEPT)?.map_or(0, |kept| kept.prompts.len()))
    }

    fn remove_older(&self, name: &str, oldest: Timestamp) -> anyhow::Result<()> {
        let Some(kept) = self.read::<Kept>(name)?.filter(|kept| kept.at() < oldest) else { return Ok(()) };
        tracing::warn!(name, prompts = kept.prompts.len(), run = kept.run, "kept for so long and not wanted; removed");
        self.remove(name)
    }

    /// What the queue of this run is now.
    pub(crate) fn keep_queue(&self, queue: &Kept) -> anyhow::Result<()> {
        if queue.prompts.is_empty() { self.remove(QUEUE) } else { self.write(QUEUE, queue) }
    }

    /// What other runs have left is kept from now on, what they were putting back with it. Done again, it changes nothing:
    /// their queue's file is there until this run's is written.
    pub(crate) fn keep_left(&self, left: &Kept, were_putting_back: bool) -> anyhow::Result<()> {
        if left.prompts.is_empty() {
            self.remove(KEPT)?
        } else {
            self.write(KEPT, left)?
        }
        if were_putting_back { self.end_putting_back() } else { Ok(()) }
    }

    /// What is kept is being put back from now on.
    pub(crate) fn begin_putting_back(&self) -> anyhow::Result<Option<Kept>> {
        // One that was left behind must not be taken for this one's.
        self.remove(SENT)?;
        let Some(kept) = self.read(KEPT)? else { return Ok(None) };
        fs::rename(self.path(KEPT), self.path(PUTTING_BACK)).with_context(|| format!("renaming {KEPT}"))?;
        self.sync()?;
        Ok(Some(kept))
    }

    /// Said before it is done.
    pub(crate) fn will_send(&self, sent: Sent) -> anyhow::Result<()> {
        self.write(SENT, &sent)
    }

    /// It is in ComfyUI's hands.
    pub(crate) fn end_putting_back(&self) -> anyhow::Result<()> {
        self.remove(PUTTING_BACK)?;
        self.remove(SENT)
    }

    /// Sets one aside that ComfyUI does not take.
    pub(crate) fn keep_refused(&self, run: RunNumber, at: Timestamp, prompt: Prompt) -> anyhow::Result<()> {
        let before = self.read::<Kept>(REFUSED)?.map_or_else(Vec::new, |refused| refused.prompts);
        let (prompts, left_out) = within_bounds([vec![prompt], before]);
        if left_out > 0 {
            tracing::warn!(left_out, "there is no room for all that ComfyUI has refused");
        }
        self.write(REFUSED, &Kept::new(run, at, prompts))
    }

    /// The run has ended in order: its queue is nobody's any more. What was to be put back and has not been is kept.
    pub(crate) fn end_in_order(&self) -> anyhow::Result<()> {
        self.remove(QUEUE)?;
        let Some(mut left) = self.read::<Kept>(PUTTING_BACK)? else { return Ok(()) };
        let sent = self.read::<Sent>(SENT)?.map_or(0, |sent| sent.next + 1);
        left.prompts.drain(..sent.min(left.prompts.len()));
        self.keep_left(&left, true)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn write(&self, name: &str, what: &impl Serialize) -> anyhow::Result<()> {
        let new = self.path(&format!("{name}.new"));
        let written = self.write_new(&new, name, what);
        if written.is_err() {
            // What is half there takes room.
            let _ = fs::remove_file(&new);
        }
        written
    }

    fn write_new(&self, new: &PathBuf, name: &str, what: &impl Serialize) -> anyhow::Result<()> {
        let bytes = serde_json::to_vec(what).with_context(|| format!("making {name}"))?;
        let mut file = File::create(new).with_context(|| format!("making {}", new.display()))?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).with_context(|| format!("writing {}", new.display()))?;
        fs::rename(new, self.path(name)).with_context(|| format!("renaming {}", new.display()))?;
        self.sync()
    }

    /// A name is on the disk when its folder is.
    fn sync(&self) -> anyhow::Result<()> {
        let folder = File::open(&self.folder).and_then(|folder| folder.sync_all());
        folder.with_context(|| format!("writing {}", self.folder.display()))
    }

    fn remove(&self, name: &str) -> anyhow::Result<()> {
        match fs::remove_file(self.path(name)) {
            Ok(()) => self.sync(),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error).with_context(|| format!("removing {}", self.path(name).display())),
        }
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> anyhow::Result<Option<T>> {
        let path = self.path(name);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("opening {}", path.display())),
        };
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).with_context(|| format!("reading {}", path.display()))?;
        match whole(&bytes) {
            Ok(read) => Ok(Some(read)),
            Err(error) => {
                let aside = self.path(&format!("damaged-{name}"));
                tracing::warn!(error = format!("{error:#}"), aside = %aside.display(), "{name} is damaged; it is set aside");
                fs::rename(&path, &aside).with_context(|| format!("setting {} aside", path.display()))?;
                Ok(None)
            }
        }
    }
}

fn whole<T: DeserializeOwned>(bytes: &[u8]) -> anyhow::Result<T> {
    ensure!(bytes.len() as u64 <= FILE_BYTES_MAX, "it is longer than {FILE_BYTES_MAX} bytes");
    Ok(serde_json::from_slice(bytes)?)
}

#[cfg(test)]
#[path = "shelf_tests.rs"]
mod tests;
