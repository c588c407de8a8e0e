//! .dockerignore for a Dockerfile: what a native build leaves out by itself, written down, because BuildKit leaves out nothing.

use corten_frontend::ignore::default_groups;

use crate::init::propose::unread;
use crate::init::shown::Shown;

/// The whole file.
pub fn text(shown: &Shown) -> String {
    let mut text = String::from(
        "# Written by `corten init`: what no image needs, and secrets. What the settings leave out is here, too.\n",
    );
    if shown.settings.ignore.defaults.value {
        for (name, patterns) in default_groups() {
            text.push_str(&format!("\n# {name}\n"));
            patterns.iter().for_each(|pattern| text.push_str(&format!("{pattern}\n")));
        }
    }
    let found = unread(shown);
    if !found.is_empty() {
        text.push_str("\n# What no service reads; behind a # where that is a guess.\n");
    }
    for (pattern, why, sure) in found {
        let mark = if sure { "" } else { "# " };
        text.push_str(&format!("# {why}\n{mark}{pattern}\n"));
    }
    let own: Vec<_> = shown.settings.ignore.patterns.iter().filter(|one| !one.value.contains(['\n', '\r'])).collect();
    if !own.is_empty() {
        text.push_str("\n# [ignore] of the settings\n");
        own.iter().for_each(|pattern| text.push_str(&format!("{}\n", pattern.value)));
    }
    weights(shown, &mut text);
    text
}

/// A native build takes weights whatever is ignored.
fn weights(shown: &Shown, text: &mut String) {
    let named: Vec<_> = shown.settings.weights.iter().filter(|one| !one.value.contains(['\n', '\r'])).collect();
    if !named.is_empty() {
        text.push_str("\n# Weights of the settings\n");
        named.iter().for_each(|pattern| text.push_str(&format!("!{}\n", pattern.value)));
    }
}
