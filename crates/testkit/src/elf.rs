//! Small ELF files, made in memory: libraries for amd64 that say what they need, and that the real loader loads.

/// A library to be.
#[derive(Debug, Clone, Default)]
pub struct Library {
    /// `DT_NEEDED`, in order.
    pub needed: Vec<String>,
    /// `DT_SONAME`.
    pub soname: Option<String>,
    /// `DT_RPATH`.
    pub rpath: Option<String>,
    /// `DT_RUNPATH`.
    pub runpath: Option<String>,
}

/// A library with these `DT_NEEDED` entries, and a `DT_RUNPATH` if one is given.
pub fn library(needed: &[&str], run_path: Option<&str>) -> Vec<u8> {
    let needed = needed.iter().map(|name| (*name).to_owned()).collect();
    Library { needed, runpath: run_path.map(str::to_owned), ..Library::default() }.build()
}

impl Library {
    /// Its bytes: one segment that holds everything, and in it the dynamic section, which the loader writes to.
    pub fn build(&self) -> Vec<u8> {
        let mut strings = vec![0];
        let mut entries: Vec<(u64, u64)> = Vec::new();
        let named = [(14, &self.soname), (15, &self.rpath), (29, &self.runpath)];
        let named = named.into_iter().filter_map(|(tag, text)| Some((tag, text.as_ref()?)));
        for (tag, text) in self.needed.iter().map(|name| (1, name)).chain(named) {
            entries.push((tag, strings.len() as u64));
            strings.extend(text.bytes().chain([0]));
        }
        let strings_at = 64 + 2 * 56;
        let dynamic_at = (strings_at + strings.len()).next_multiple_of(8);
        strings.resize(dynamic_at - strings_at, 0);
        entries.extend([(5, strings_at as u64), (6, strings_at as u64), (10, strings.len() as u64), (11, 24), (0, 0)]);
        let mut bytes = b"\x7fELF\x02\x01\x01\0".to_vec();
        bytes.resize(64, 0);
        (bytes[16], bytes[18], bytes[20], bytes[32]) = (3, 62, 1, 64);
        (bytes[52], bytes[54], bytes[56]) = (64, 56, 2);
        let dynamic_size = entries.len() * 16;
        for (kind, at, length, align) in
            [(1_u32, 0, dynamic_at + dynamic_size, 0x1000), (2, dynamic_at, dynamic_size, 8)]
        {
            bytes.extend(kind.to_le_bytes());
            bytes.extend([6, 0, 0, 0]);
            for value in [at, at, at, length, length, align] {
                bytes.extend((value as u64).to_le_bytes());
            }
        }
        bytes.extend(strings);
        for (tag, value) in entries {
            bytes.extend(tag.to_le_bytes().iter().chain(&value.to_le_bytes()));
        }
        bytes
    }
}
