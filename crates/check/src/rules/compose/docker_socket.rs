//! ML176: the keys of the host.

use corten_diagnostic::{RuleId, Severity};

use crate::lint::Compose;
use crate::rules::{Found, Initially, Rule, Run};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML176"),
    name: "compose-docker-socket",
    severity: Severity::Warning,
    what: "A service is given Docker's socket.",
    why: "Whoever may talk to it starts a privileged container with the host's files: it is root on the host, read-only mount or not. What only watches containers can be given a proxy that lets questions through.",
    bad: "services:\n  api:\n    image: api:1\n    volumes:\n      - /var/run/docker.sock:/var/run/docker.sock:ro\n",
    good: "services:\n  api:\n    image: api:1\n    volumes:\n      - data:/data\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Compose(run),
};

fn run(compose: &Compose<'_>, found: &mut Found) {
    let sockets = ["docker.sock", "containerd.sock", "podman.sock"];
    for (name, service) in compose.services() {
        for volume in service.get("volumes").map(corten_frontend::yaml::Node::items).unwrap_or_default() {
            let source = volume.text_of("source").or(volume.as_text()).unwrap_or_default();
            if sockets.iter().any(|socket| source.split(':').next().is_some_and(|path| path.ends_with(socket))) {
                let message = format!("service {name} may do what it likes with the host: it has Docker's socket");
                found.add(
                    compose.place(volume.at.clone()),
                    message,
                    "leave it out, or put a proxy between that only lets questions through",
                );
            }
        }
    }
}
