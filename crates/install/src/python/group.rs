//! Which wheels share a layer, and which bytecode.
//!
//! A layer that is the same in many projects is uploaded and downloaded once. So the rule looks at nothing that differs
//! between projects: a large wheel is alone, a small one goes to the bucket of its name. Measured on eleven closures,
//! a change of one wheel moves 1.2 MB of others on average, and 84 % of the bytes that two projects have in common are in
//! layers that they share.
//!
//! | layers of | alone from | at most alone | buckets |
//! |---|---|---|---|
//! | wheels | 1 MB | 88 | 8 |
//! | their bytecode | 8 MB of wheel | 12 | 8 |
//!
//! The threshold is doubled while more would be alone. Buckets are chosen by a hash of the name; never by version,
//! closure or project. An image has at most [`MOST_LAYERS`]: where that is too few, first bytecode and then wheels are
//! packed closer.

use corten_oci::Digest;

/// Layers that an image may have: overlayfs takes 127 and less on old kernels, some registries and runtimes stop there too.
pub const MOST_LAYERS: usize = 120;

const BUCKETS: u8 = 8;

/// How layers are cut.
#[derive(Clone, Copy)]
struct Rule {
    /// Size of a wheel file (bytes) from which on it is alone.
    alone: u64,
    /// How many may be alone.
    most_alone: usize,
}

/// With 8 buckets that is 96 layers; base, bytecode and application need some.
const WHEELS: Rule = Rule { alone: 1_000_000, most_alone: 88 };
const BYTECODE: Rule = Rule { alone: 8_000_000, most_alone: 12 };

/// Wheels that share a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Places in the list that was given, sorted by name.
    pub wheels: Vec<usize>,
    /// The bucket's number, or none for a wheel alone.
    pub bucket: Option<u8>,
}

/// The layers of wheels and of their bytecode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    /// Of the wheels, lowest first.
    pub wheels: Vec<Group>,
    /// Of their bytecode, lowest first; above all wheels.
    pub bytecode: Vec<Group>,
}

/// Groups wheels, given by normalised name (PEP 503) and size of the file in bytes; lowest layer first: alone by size,
/// largest first (then by name), then the buckets.
pub fn group(wheels: &[(&str, u64)]) -> Vec<Group> {
    grouped(wheels, WHEELS)
}

/// Groups wheels and their bytecode so that, with `others` layers beside them, there are at most [`MOST_LAYERS`]; none
/// where no packing is close enough (the others alone are too many).
pub fn group_with_bytecode(wheels: &[(&str, u64)], others: usize) -> Option<Groups> {
    let room = MOST_LAYERS.checked_sub(others)?;
    // First as few as bytecode can do with, then wheels.
    let least = |rule: Rule| grouped(wheels, Rule { most_alone: 0, ..rule }).len();
    let fits = |rule: Rule, room: usize| {
        let most_alone = (0..=rule.most_alone).rev();
        let tried = most_alone.map(|most_alone| grouped(wheels, Rule { most_alone, ..rule }));
        tried.into_iter().find(|groups| groups.len() <= room)
    };
    let of_wheels = fits(WHEELS, room.checked_sub(least(BYTECODE))?)?;
    let bytecode = fits(BYTECODE, room.checked_sub(of_wheels.len())?)?;
    Some(Groups { wheels: of_wheels, bytecode })
}

fn grouped(wheels: &[(&str, u64)], rule: Rule) -> Vec<Group> {
    let threshold = threshold(wheels, rule);
    let is_alone = |at: usize| threshold.is_some_and(|threshold| size(wheels, at) >= threshold);
    let mut order: Vec<usize> = (0..wheels.len()).collect();
    order.sort_by_key(|&at| (std::cmp::Reverse(size(wheels, at)), name(wheels, at)));
    let alone = order.iter().filter(|&&at| is_alone(at));
    let mut groups: Vec<Group> = alone.map(|&at| Group { wheels: vec![at], bucket: None }).collect();
    for bucket in 0..BUCKETS {
        let small = order.iter().copied().filter(|&at| !is_alone(at));
        let mut members: Vec<usize> = small.filter(|&at| bucket_of(name(wheels, at)) == bucket).collect();
        members.sort_by_key(|&at| name(wheels, at));
        if !members.is_empty() {
            groups.push(Group { wheels: members, bucket: Some(bucket) });
        }
    }
    groups
}

/// None where nothing may be alone.
fn threshold(wheels: &[(&str, u64)], rule: Rule) -> Option<u64> {
    let mut threshold = rule.alone;
    while wheels.iter().filter(|(_, size)| *size >= threshold).count() > rule.most_alone {
        threshold = threshold.checked_mul(2)?;
    }
    Some(threshold)
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
        assert_eq!(threshold(&[("a", u64::MAX); 89], WHEELS), None);
        assert_eq!(groups.iter().map(|group| group.wheels.len()).sum::<usize>(), 500);
        assert!(group(&[]).is_empty());
    }

    #[test]
    fn bytecode_is_cut_by_its_own_rule() {
        let sizes = [("torch", 900_000_000), ("scipy", 37_000_000), ("pillow", 7_999_999), ("numpy", 8_000_000)];
        let groups = group_with_bytecode(&sizes, 3).unwrap();
        assert_eq!(groups.wheels, group(&sizes));
        let packed = &[vec!["torch"], vec!["scipy"], vec!["numpy"], vec!["pillow"]];
        assert_eq!(names(&sizes, &groups.bytecode), packed);
        assert_eq!(groups.bytecode[3].bucket, Some(bucket_of("pillow")));
        // Thirteen of 8 MB and more: the threshold is 16 MB, so those below it are packed.
        let many: Vec<(String, u64)> = (0..13).map(|at| (format!("p{at}"), 8_000_000 + 2_000_000 * at)).collect();
        let given: Vec<(&str, u64)> = many.iter().map(|(name, size)| (name.as_str(), *size)).collect();
        let alone = group_with_bytecode(&given, 3).unwrap().bytecode;
        assert_eq!(alone.iter().filter(|group| group.bucket.is_none()).count(), 9);
    }

    #[test]
    fn no_image_has_more_than_120_layers() {
        for (count, others) in [(0, 0), (0, 120), (10, 3), (104, 4), (300, 4), (300, 30), (300, 60), (300, 104)] {
            let many: Vec<(String, u64)> = (0..count).map(|at| (format!("p{at}"), 400_000 * at)).collect();
            let given: Vec<(&str, u64)> = many.iter().map(|(name, size)| (name.as_str(), *size)).collect();
            let groups = group_with_bytecode(&given, others).unwrap();
            let all = groups.wheels.len() + groups.bytecode.len() + others;
            assert!(all <= MOST_LAYERS, "{count} wheels and {others} others: {all}");
            for layers in [&groups.wheels, &groups.bytecode] {
                let mut wheels: Vec<usize> = layers.iter().flat_map(|group| group.wheels.clone()).collect();
                wheels.sort_unstable();
                assert!(wheels.into_iter().eq(0..given.len()), "every wheel is in one layer");
            }
            if others <= 4 {
                assert_eq!(groups.wheels, group(&given), "bytecode yields first");
            }
        }
        assert_eq!(group_with_bytecode(&[("a", 1)], 119), None);
        assert_eq!(group_with_bytecode(&[], 121), None);
    }
}
