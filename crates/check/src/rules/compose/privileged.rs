//! ML175: a container that is the host.

use crate::lint::Compose;
use crate::rules::{Found, Initially, Rule, Run};
use corten_diagnostic::{RuleId, Severity};
use corten_frontend::yaml::Node;

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML175"),
    name: "compose-privileged",
    severity: Severity::Warning,
    what: "A service is privileged, or has rights that come to the same.",
    why: "Privileged containers, CAP_SYS_ADMIN and all capabilities let whoever breaks in leave the container. A GPU needs none of them: a reservation of devices brings it in.",
    bad: "services:\n  api:\n    image: api:1\n    privileged: true\n",
    good: "services:\n  api:\n    image: api:1\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Compose(run),
};

fn run(compose: &Compose<'_>, found: &mut Found) {
    let help = "leave it out; for GPUs reserve devices, for others name what is needed (cap_add, devices)";
    for (name, service) in compose.services() {
        if let Some(node) = service.get("privileged").filter(|node| node.is_true()) {
            found.add(compose.place(node.key_at.clone()), format!("service {name} is privileged"), help);
        }
        for (capability, node) in service.get("cap_add").map(Node::texts).unwrap_or_default() {
            let bare = capability.trim_start_matches("CAP_");
            if bare.eq_ignore_ascii_case("all") || bare.eq_ignore_ascii_case("sys_admin") {
                found.add(
                    compose.place(node.at.clone()),
                    format!("service {name} has {capability}, which is as good as root"),
                    help,
                );
            }
        }
    }
}
