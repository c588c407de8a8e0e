//! What a failing command leaves, kept until everything else has stopped: somebody may want to look at it.

use corten_diagnostic::Report;
use corten_sandbox::Sandbox;
use corten_store::{ScratchFolder, Trees};

use super::means::StepId;
use super::mounts::Mounted;
use super::solve::Solver;

/// A command that failed, and all that its sandbox stands on.
pub(super) struct Wreck {
    pub(super) step: StepId,
    pub(super) name: String,
    pub(super) sandbox: Sandbox,
    /// Secrets, locks of caches, copies.
    pub(super) mounted: Mounted,
    /// The upper folder, and an empty lower one.
    pub(super) folders: [ScratchFolder; 2],
    /// The layers below, some of which may be known by open descriptors alone.
    pub(super) lower: Trees,
}

impl Wreck {
    /// Lets the runner show it; then it is gone.
    pub(super) fn show(self, solver: &Solver<'_>, why: &Report) {
        solver.means.runner.show(&self.sandbox, &self.name, why);
        drop((self.mounted, self.folders, self.lower));
    }
}
