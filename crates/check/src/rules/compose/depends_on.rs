//! ML177: waiting for what is only started.

use crate::lint::Compose;
use crate::rules::{Found, Initially, Rule, Run};
use corten_diagnostic::{RuleId, Severity};
use corten_frontend::yaml::Node;

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML177"),
    name: "compose-depends-on",
    severity: Severity::Info,
    what: "A service depends on a database that is only waited for until it is started.",
    why: "The short form of depends_on waits for the process, not for the answer: the first requests fail while the database still begins. condition: service_healthy waits for its healthcheck.",
    bad: "services:\n  api:\n    image: api:1\n    depends_on:\n      - db\n  db:\n    image: postgres:17\n",
    good: "services:\n  api:\n    image: api:1\n    depends_on:\n      db:\n        condition: service_healthy\n  db:\n    image: postgres:17\n    healthcheck:\n      test: pg_isready\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Compose(run),
};

const DATABASES: [&str; 12] = [
    "postgres",
    "mysql",
    "mariadb",
    "redis",
    "valkey",
    "mongo",
    "rabbitmq",
    "elasticsearch",
    "minio",
    "qdrant",
    "weaviate",
    "milvus",
];

fn run(compose: &Compose<'_>, found: &mut Found) {
    let is_database = |name: &str| {
        let other = compose.services().find(|(known, _)| *known == name).map(|(_, service)| service);
        let image = other.and_then(|service| service.text_of("image")).unwrap_or_default();
        let base = image.rsplit('/').next().unwrap_or_default().split([':', '@']).next().unwrap_or_default();
        DATABASES.iter().any(|known| base.starts_with(known)).then_some(other).flatten()
    };
    for (name, service) in compose.services() {
        let Some(node) = service.get("depends_on") else { continue };
        let short = node.items().iter().filter_map(|item| Some((item.as_text()?, item.at.clone())));
        let started = |one: &Node| one.text_of("condition").is_none_or(|condition| condition == "service_started");
        let long =
            node.pairs().iter().filter(|(_, one)| started(one)).map(|(name, one)| (name.as_str(), one.key_at.clone()));
        for (other, at) in short.chain(long) {
            let Some(database) = is_database(other) else { continue };
            let help = match database.get("healthcheck") {
                Some(_) => format!("write {other}: with condition: service_healthy"),
                None => format!("give {other} a healthcheck, and write condition: service_healthy"),
            };
            found.add(
                compose.place(at),
                format!("service {name} waits until {other} is started, not until it answers"),
                help,
            );
        }
    }
}
