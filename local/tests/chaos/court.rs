//! What the laws find: how often each had something to judge, and what broke it, with the lines that show it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::history::Line;

/// A law, by the paragraph of the design that has it, and what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Law(pub(crate) &'static str);

/// Something that broke a law.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) law: Law,
    pub(crate) workspace: String,
    pub(crate) what: String,
    /// Where in the history it shows.
    pub(crate) lines: Vec<usize>,
}

/// What was judged, and what was found.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) judged: BTreeMap<Law, usize>,
    pub(crate) findings: Vec<Finding>,
}

impl Verdict {
    /// One thing that a law had to judge: it holds, or this broke it.
    pub(crate) fn judge(&mut self, law: Law, workspace: &str, lines: &[usize], broken: Option<String>) {
        *self.judged.entry(law).or_default() += 1;
        if let Some(what) = broken {
            self.findings.push(Finding { law, workspace: workspace.to_owned(), what, lines: lines.to_vec() });
        }
    }

    /// Laws that had nothing to judge.
    pub(crate) fn idle(&self, laws: &[Law]) -> Vec<Law> {
        laws.iter().copied().filter(|law| self.judged.get(law).is_none_or(|count| *count == 0)).collect()
    }

    /// The laws that were broken.
    pub(crate) fn broken(&self) -> BTreeSet<Law> {
        self.findings.iter().map(|finding| finding.law).collect()
    }

    /// The findings, each with its lines.
    pub(crate) fn told(&self, lines: &[Line]) -> String {
        /// So many are enough to begin with.
        const FINDINGS_MAX: usize = 40;
        let mut told = format!("{} findings\n", self.findings.len());
        for finding in self.findings.iter().take(FINDINGS_MAX) {
            told += &format!("{} | {}: {}\n", finding.law, finding.workspace, finding.what);
            for at in &finding.lines {
                let line = lines.get(*at).and_then(|line| serde_json::to_string(line).ok());
                told += &format!("    {:>6}  {}\n", at + 1, line.unwrap_or_default());
            }
        }
        told
    }
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
