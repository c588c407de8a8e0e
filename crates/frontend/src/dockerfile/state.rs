//! What one instruction of a stage leaves for the next.

use corten_oci::{ContainerConfig, History};
use corten_plan::recipe::Step;

/// What BuildKit writes beside each step, and tools look for.
pub(super) const COMMENT: &str = "buildkit.dockerfile.v0";

/// What the next instruction of a stage finds.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    /// ENV and ARG; the one set last stands last.
    pub(super) environment: Vec<(String, String)>,
    /// ARG, in their order.
    pub(super) arguments: Vec<(String, Option<String>)>,
    pub(super) config: ContainerConfig,
    pub(super) author: Option<String>,
    pub(super) history: Vec<History>,
    pub(super) steps: Vec<Step>,
    pub(super) has_cmd: bool,
    /// The folder of RUN, which the config of a base without one does not name.
    pub(super) folder: String,
}

impl State {
    pub(super) fn get(&self, name: &str) -> Option<String> {
        self.environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// In the config a variable keeps its place.
    pub(super) fn set_in_config(&mut self, name: &str, value: &str) {
        let all = self.config.env.get_or_insert_default();
        let text = format!("{name}={value}");
        match all.iter_mut().find(|known| known.split('=').next() == Some(name)) {
            Some(known) => *known = text,
            None => all.push(text),
        }
    }

    pub(super) fn say(&mut self, created_by: String) {
        self.history.push(History {
            created_by: Some(created_by),
            comment: Some(COMMENT.to_owned()),
            empty_layer: true,
            ..History::default()
        });
    }
}
