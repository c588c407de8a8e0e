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

/// A library with GPU code as nvcc puts it in: one container with an entry for each architecture. Architectures as `90`, `90a`,
/// `100f`; payloads are four bytes of nothing.
pub fn gpu_library(cubins: &[&str], ptx: &[&str]) -> Vec<u8> {
    let mut entries = Vec::new();
    for (kind, architecture) in cubins.iter().map(|one| (2_u16, one)).chain(ptx.iter().map(|one| (1, one))) {
        let flags = 0x8011_u64
            | if architecture.ends_with('a') { 0x10_0000 } else { 0 }
            | if architecture.ends_with('f') { 0x20_0000 } else { 0 };
        let number: u32 = architecture.trim_end_matches(['a', 'f']).parse().unwrap_or_default();
        let mut header = vec![0; 64];
        header[..2].copy_from_slice(&kind.to_le_bytes());
        header[4..8].copy_from_slice(&64_u32.to_le_bytes());
        header[8..16].copy_from_slice(&4_u64.to_le_bytes());
        header[28..32].copy_from_slice(&number.to_le_bytes());
        header[40..48].copy_from_slice(&flags.to_le_bytes());
        entries.extend(header);
        entries.extend([0; 4]);
    }
    let mut code = vec![0x50, 0xed, 0x55, 0xba, 1, 0, 16, 0];
    code.extend((entries.len() as u64).to_le_bytes());
    code.extend(entries);
    with_section(library(&[], None), ".nv_fatbin", &code)
}

/// The library with one section, and the table that names it.
fn with_section(mut file: Vec<u8>, name: &str, content: &[u8]) -> Vec<u8> {
    file.resize(file.len().next_multiple_of(8), 0);
    let at = file.len();
    file.extend(content);
    let names = [&[0], name.as_bytes(), &[0]].concat();
    let names_at = file.len();
    file.extend(&names);
    let table = file.len() as u64;
    let header = |name: u32, kind: u32, at: usize, length: usize| {
        let mut bytes = vec![0; 64];
        bytes[..4].copy_from_slice(&name.to_le_bytes());
        bytes[4..8].copy_from_slice(&kind.to_le_bytes());
        bytes[24..32].copy_from_slice(&(at as u64).to_le_bytes());
        bytes[32..40].copy_from_slice(&(length as u64).to_le_bytes());
        bytes
    };
    file.extend(vec![0; 64]);
    file.extend(header(1, 1, at, content.len()));
    file.extend(header(0, 3, names_at, names.len()));
    file[40..48].copy_from_slice(&table.to_le_bytes());
    (file[58], file[60], file[62]) = (64, 3, 2);
    file
}
