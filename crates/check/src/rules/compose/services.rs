//! Parts of a service that may be written in several ways.

use std::ops::Range;

use corten_diagnostic::Edit;
use corten_frontend::yaml::Node;

use crate::lint::Compose;

/// One variable of `environment:`.
#[derive(Debug)]
pub struct Variable {
    pub name: String,
    /// None where it is taken from whoever starts compose.
    pub value: Option<String>,
    /// In bytes of the file.
    pub at: Range<usize>,
}

/// `environment:`, as a map or as a list of `NAME=value`.
pub fn environment(service: &Node) -> Vec<Variable> {
    let Some(node) = service.get("environment") else { return Vec::new() };
    let of_map = node.pairs().iter().filter(|(name, _)| name != "<<").map(|(name, value)| Variable {
        name: name.clone(),
        value: value.as_text().map(str::to_owned),
        at: value.key_at.clone(),
    });
    let of_list = node.items().iter().filter_map(|item| {
        let (name, value) = match item.as_text()?.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (item.as_text()?, None),
        };
        Some(Variable { name: name.to_owned(), value, at: item.at.clone() })
    });
    of_map.chain(of_list).collect()
}

/// A reservation of GPUs.
#[derive(Debug)]
pub struct Reservation {
    /// How many; none where all are meant, or it is not said.
    pub count: Option<u64>,
    pub has_count: bool,
    pub has_ids: bool,
    pub has_capabilities: bool,
    /// In bytes of the file.
    pub at: Range<usize>,
}

/// `deploy.resources.reservations.devices` that are GPUs.
pub fn devices(service: &Node) -> Vec<Reservation> {
    let path = ["deploy", "resources", "reservations", "devices"];
    let node = path.into_iter().try_fold(service, |node, key| node.get(key));
    let is_gpu = |one: &&Node| {
        let capabilities = one.get("capabilities").map(Node::texts).unwrap_or_default();
        let driver = one.text_of("driver");
        driver == Some("nvidia")
            || capabilities.iter().any(|(text, _)| *text == "gpu")
            || (driver.is_none() && capabilities.is_empty())
    };
    let all = node.map(Node::items).unwrap_or_default().iter().filter(is_gpu);
    all.map(reservation).collect()
}

fn reservation(one: &Node) -> Reservation {
    let ids = one.get("device_ids").map(|ids| ids.items().len() as u64);
    let count = one.text_of("count").and_then(|count| count.parse().ok());
    let start = one.pairs().first().map_or(one.at.start, |(_, first)| first.key_at.start);
    let end = one.pairs().first().map_or(one.at.end, |(_, first)| first.at.end);
    Reservation {
        count: ids.or(count),
        has_count: one.get("count").is_some(),
        has_ids: ids.is_some(),
        has_capabilities: one.get("capabilities").is_some_and(|capabilities| !capabilities.texts().is_empty()),
        at: start..end.max(start),
    }
}

/// A line before the first key of a service; none for one that is written in braces, or taken from elsewhere.
pub fn insertion(compose: &Compose<'_>, service: &Node, line: &str) -> Option<Edit> {
    let (_, first) = service.pairs().first()?;
    let text = compose.document.text();
    let start = text.get(..first.key_at.start)?.rfind('\n').map_or(0, |at| at + 1);
    let indent = text.get(start..first.key_at.start)?;
    let is_own = !indent.is_empty() && indent.bytes().all(|byte| byte == b' ');
    is_own.then(|| compose.edit(start..start, format!("{indent}{line}\n")))
}
