//! Small ELF files, made in memory: a library for amd64 that says what it needs.

/// A library with these `DT_NEEDED` entries, and a `DT_RUNPATH` if one is given.
pub fn library(needed: &[&str], run_path: Option<&str>) -> Vec<u8> {
    let mut strings = vec![0];
    let mut entries: Vec<(u64, u64)> = Vec::new();
    for (tag, text) in needed.iter().map(|text| (1, *text)).chain(run_path.map(|text| (29, text))) {
        entries.push((tag, strings.len() as u64));
        strings.extend(text.bytes().chain([0]));
    }
    let strings_at = 64 + 2 * 56;
    let dynamic_at = strings_at + strings.len();
    entries.extend([(5, strings_at as u64), (10, strings.len() as u64), (0, 0)]);
    let mut bytes = b"\x7fELF\x02\x01\x01\0".to_vec();
    bytes.resize(64, 0);
    (bytes[16], bytes[18], bytes[32], bytes[54], bytes[56]) = (3, 62, 64, 56, 2);
    let dynamic_size = entries.len() * 16;
    for (kind, at, length) in [(1_u32, 0, dynamic_at + dynamic_size), (2, dynamic_at, dynamic_size)] {
        bytes.extend(kind.to_le_bytes());
        bytes.extend([4, 0, 0, 0]);
        for value in [at, at, at, length, length, 1] {
            bytes.extend((value as u64).to_le_bytes());
        }
    }
    bytes.extend(strings);
    for (tag, value) in entries {
        bytes.extend(tag.to_le_bytes().iter().chain(&value.to_le_bytes()));
    }
    bytes
}
