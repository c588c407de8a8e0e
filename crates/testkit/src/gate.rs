//! One server waits for what another one sees: an order of events, proven without a clock.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Nobody waits longer; whoever had to, tells by [`Gate::was_forced`].
const LONGEST: Duration = Duration::from_secs(20);

/// Closed, until somebody opens it. Copies are the same gate.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Default)]
struct State {
    open: bool,
    forced: bool,
    waited: usize,
}

impl Gate {
    /// Lets all through, from now on.
    pub fn open(&self) {
        self.0.0.lock().unwrap().open = true;
        self.0.1.notify_all();
    }

    /// Until it is open.
    pub fn wait(&self) {
        let mut state = self.0.0.lock().unwrap();
        state.waited += 1;
        let (mut state, _) = self.0.1.wait_timeout_while(state, LONGEST, |state| !state.open).unwrap();
        if !state.open {
            (state.open, state.forced) = (true, true);
        }
    }

    /// Did somebody come, and nobody open it in time?
    pub fn was_forced(&self) -> bool {
        self.0.0.lock().unwrap().forced
    }

    /// How many came.
    pub fn waited(&self) -> usize {
        self.0.0.lock().unwrap().waited
    }
}
