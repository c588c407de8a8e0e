//! Which wheels share a layer: a rule that depends on each wheel alone, so that projects share layers and a changed
//! version touches one.
//!
//! A wheel of at least [`ALONE`] bytes (doubled while more than [`MOST_ALONE`] would be alone) has its own layer. The
//! others go to one of [`BUCKETS`] by a hash of their name; never by version, closure or project.

use corten_oci::Digest;

/// Size of a wheel file (bytes) from which on it is alone.
const ALONE: u64 = 1_000_000;
/// With 8 buckets that is 96 layers; a manifest may have 127, and base and application need some.
const MOST_ALONE: usize = 88;
const BUCKETS: u8 = 8;

/// Wheels that share a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Places in the list that was given, sorted by name.
    pub wheels: Vec<usize>,
    /// The bucket's number, or none for a wheel alone.
    pub bucket: Option<u8>,
}

/// Groups wheels, given by normalised name (PEP 503) and size of the file in bytes; lowest layer first: alone by size,
/// largest first (then by name), then the buckets.
pub fn group(wheels: &[(&str, u64)]) -> Vec<Group> {
    let threshold = threshold(wheels);
    let mut order: Vec<usize> = (0..wheels.len()).collect();
    order.sort_by_key(|&at| (std::cmp::Reverse(size(wheels, at)), name(wheels, at)));
    let alone = order.iter().filter(|&&at| size(wheels, at) >= threshold);
    let mut groups: Vec<Group> = alone.map(|&at| Group { wheels: vec![at], bucket: None }).collect();
    for bucket in 0..BUCKETS {
        let small = order.iter().copied().filter(|&at| size(wheels, at) < threshold);
        let mut members: Vec<usize> = small.filter(|&at| bucket_of(name(wheels, at)) == bucket).collect();
        members.sort_by_key(|&at| name(wheels, at));
        if !members.is_empty() {
            groups.push(Group { wheels: members, bucket: Some(bucket) });
        }
    }
    groups
}

fn threshold(wheels: &[(&str, u64)]) -> u64 {
    let mut threshold = ALONE;
    while wheels.iter().filter(|(_, size)| *size >= threshold).count() > MOST_ALONE && threshold < u64::MAX / 2 {
        threshold *= 2;
    }
    threshold
}

fn bucket_of(name: &str) -> u8 {
    Digest::of(name).as_bytes()[0] % BUCKETS
}

fn name<'a>(wheels: &[(&'a str, u64)], at: usize) -> &'a str {
    wheels.get(at).map_or("", |(name, _)| name)
}

fn size(wheels: &[(&str, u64)], at: usize) -> u64 {
    wheels.get(at).map_or(0, |(_, size)| *size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names<'a>(wheels: &[(&'a str, u64)], groups: &[Group]) -> Vec<Vec<&'a str>> {
        groups.iter().map(|group| group.wheels.iter().map(|&at| wheels[at].0).collect()).collect()
    }

    #[test]
    fn large_wheels_are_alone_largest_first_and_small_ones_packed_by_name() {
        let wheels = [
            ("idna", 70_000),
            ("numpy", 16_000_000),
            ("b", 1_000_000),
            ("a", 1_000_000),
            ("scipy", 37_000_000),
            ("c", 999_999),
        ];
        let groups = group(&wheels);
        assert_eq!(names(&wheels, &groups)[..4], [vec!["scipy"], vec!["numpy"], vec!["a"], vec!["b"]]);
        // first byte of the SHA-256 modulo 8, from `printf idna | sha256sum`
        let bucket = |name: &str| {
            groups.iter().find(|group| group.wheels.iter().any(|&at| wheels[at].0 == name)).unwrap().bucket
        };
        assert_eq!((bucket("idna"), bucket("c")), (Some(0xde % 8), Some(0x2e % 8)));
    }

    #[test]
    fn order_of_the_list_and_versions_do_not_matter() {
        let wheels: Vec<(String, u64)> = (0..200).map(|at| (format!("p{at}"), 5_000 * at)).collect();
        let given: Vec<(&str, u64)> = wheels.iter().map(|(name, size)| (name.as_str(), *size)).collect();
        let turned: Vec<(&str, u64)> = given.iter().rev().copied().collect();
        assert_eq!(names(&given, &group(&given)), names(&turned, &group(&turned)));
        let more: Vec<(&str, u64)> = given.iter().copied().chain([("another", 10)]).collect();
        let differing = names(&more, &group(&more))
            .into_iter()
            .filter(|layer| !names(&given, &group(&given)).contains(layer))
            .count();
        assert_eq!(differing, 1);
    }

    #[test]
    fn never_more_than_96_layers() {
        let wheels: Vec<(String, u64)> = (0..500).map(|at| (format!("p{at}"), 900_000 + 10_000 * at)).collect();
        let given: Vec<(&str, u64)> = wheels.iter().map(|(name, size)| (name.as_str(), *size)).collect();
        let groups = group(&given);
        assert!(groups.len() <= 96);
        assert_eq!(groups.iter().map(|group| group.wheels.len()).sum::<usize>(), 500);
        assert!(group(&[]).is_empty());
    }
}
