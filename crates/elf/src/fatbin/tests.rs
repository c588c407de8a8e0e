use super::*;

/// An entry's header and its payload, as nvcc writes them.
fn entry(kind: u16, architecture: u32, flags: u64, header: u32, payload: usize) -> Vec<u8> {
    let mut bytes = vec![0; header as usize + payload];
    bytes[..2].copy_from_slice(&kind.to_le_bytes());
    bytes[4..8].copy_from_slice(&header.to_le_bytes());
    bytes[8..16].copy_from_slice(&(payload as u64).to_le_bytes());
    bytes[28..32].copy_from_slice(&architecture.to_le_bytes());
    bytes[40..48].copy_from_slice(&flags.to_le_bytes());
    bytes
}

fn container(entries: &[Vec<u8>]) -> Vec<u8> {
    let entries = entries.concat();
    [&CONTAINER[..], &(entries.len() as u64).to_le_bytes(), &entries].concat()
}

/// A library with these sections, its names before or behind the section headers.
fn library(sections: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut names = vec![0];
    let mut file = vec![0; FILE_HEADER];
    file[..6].copy_from_slice(b"\x7fELF\x02\x01");
    let mut headers = vec![0; SECTION];
    let mut header = |name: u64, at: usize, length: usize| {
        let mut bytes = vec![0; SECTION];
        bytes[..4].copy_from_slice(&(name as u32).to_le_bytes());
        bytes[4] = 1;
        bytes[24..32].copy_from_slice(&(at as u64).to_le_bytes());
        bytes[32..40].copy_from_slice(&(length as u64).to_le_bytes());
        headers.extend(bytes);
    };
    for (name, content) in sections {
        file.resize(file.len().next_multiple_of(8), 0);
        header(names.len() as u64, file.len(), content.len());
        names.extend(name.bytes().chain([0]));
        file.extend(content);
    }
    header(0, file.len(), names.len());
    file.extend(names);
    let table = file.len() as u64;
    file[40..48].copy_from_slice(&table.to_le_bytes());
    file[58] = SECTION as u8;
    file[60] = sections.len() as u8 + 2;
    file[62] = sections.len() as u8 + 1;
    file.extend(headers);
    file
}

fn scan(bytes: &[u8], step: usize) -> GpuCode {
    let mut scan = FatbinScan::default();
    bytes.chunks(step).for_each(|chunk| scan.push(chunk));
    scan.finish()
}

fn text(code: &GpuCode) -> String {
    let kind = |kind| if kind == CodeKind::Cubin { "sm" } else { "compute" };
    let one = |((of, architecture), count): (&(CodeKind, GpuArchitecture), &u32)| {
        format!("{count} {}_{architecture}", kind(*of))
    };
    code.entries.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Headers of 64 to 128 bytes, LZ4, zstd, none; the letters.
fn good() -> Vec<u8> {
    let one =
        container(&[entry(2, 75, 0x8011, 64, 40), entry(2, 90, 0x10_8011, 64, 0), entry(2, 100, 0x120_8011, 112, 9)]);
    let two = container(&[entry(2, 75, 0x2011, 64, 7), entry(1, 120, 0x2011, 96, 33), entry(8, 75, 0, 64, 5)]);
    let code = [one, vec![0; 7], two].concat();
    let data = container(&[entry(2, 86, 0x11, 72, 11)]);
    library(&[
        (".text", b"50ed55ba".to_vec()),
        (".nv_fatbin", code),
        (".lrodata", data.clone()),
        ("__nv_relfatbin", data),
    ])
}

#[test]
fn entries_are_found_however_the_file_comes() {
    let file = good();
    for step in [1, 3, 7, 8, 63, 64, 65, 1000, 1 << 20] {
        let expected = "2 sm_75, 1 sm_86, 1 sm_90a, 1 sm_100f, 1 compute_120";
        assert_eq!(text(&scan(&file, step)), expected, "step {step}");
    }
}

#[test]
fn only_sections_of_nvcc_count_unless_there_are_no_sections() {
    let mut file = good();
    file.truncate(file.len() - SECTION);
    assert_eq!(
        text(&scan(&file, 64)),
        "2 sm_75, 2 sm_86, 1 sm_90a, 1 sm_100f, 1 compute_120",
        "headers that are cut off say nothing"
    );
    let mut file = good();
    file[40..48].fill(0);
    assert_eq!(text(&scan(&file, 64)), "2 sm_75, 2 sm_86, 1 sm_90a, 1 sm_100f, 1 compute_120");
    // Names that cannot be found: what begins with a container is nvcc's.
    let mut file = good();
    file[62] = 200;
    assert_eq!(text(&scan(&file, 64)), "2 sm_75, 2 sm_86, 1 sm_90a, 1 sm_100f, 1 compute_120");
    let plain = library(&[(".rodata", [vec![1; 8], container(&[entry(2, 80, 0x11, 64, 0)])].concat())]);
    assert_eq!(text(&scan(&plain, 64)), "");
    assert!(scan(b"\x7fELF\x01\x01", 1).is_empty() && scan(b"", 1).is_empty());
}

/// A container inside a payload is that payload's business; half a magic before a whole one hides nothing.
#[test]
fn what_looks_like_a_container_hides_none() {
    let inner = container(&[entry(2, 61, 0x11, 64, 0)]);
    let mut outer = entry(2, 80, 0x11, 64, inner.len());
    outer.splice(64.., inner);
    let torn = [&CONTAINER[..5], &[0; 3]].concat();
    let broken = container(&[entry(2, 70, 0x11, 64, 1 << 10)]);
    let code = [torn, broken[..80].to_vec(), container(&[outer])].concat();
    let file = library(&[(".nv_fatbin", code)]);
    for step in [1, 8, 64, 4096] {
        // The broken one claims a kilobyte that is the next container.
        assert_eq!(text(&scan(&file, step)), "1 sm_70", "step {step}");
    }
    let code = [
        container(&[entry(2, 70, 0x11, 64, 8)]),
        container(&[{
            let mut bad = entry(2, 75, 0, 64, 0);
            bad[8] = 0xff;
            bad
        }]),
        container(&[entry(2, 80, 0x11, 64, 8)]),
    ];
    assert_eq!(
        text(&scan(&library(&[(".nv_fatbin", code.concat())]), 64)),
        "1 sm_70, 1 sm_80",
        "an entry that cannot be ends its container alone"
    );
}

#[test]
fn no_cut_and_no_flipped_byte_panics() {
    let file = good();
    for end in 0..file.len() {
        scan(&file[..end], 64);
    }
    for at in 0..file.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut broken = file.clone();
            broken[at] = value;
            scan(&broken, 100);
        }
    }
}

/// Containers without end, each with entries without end.
#[test]
fn memory_is_bounded() {
    let many: Vec<Vec<u8>> = (0..2048).map(|_| entry(2, 80, 0x11, 64, 0)).collect();
    let one = container(&many);
    let mut scan = FatbinScan::default();
    let mut head = vec![0; FILE_HEADER];
    head[..6].copy_from_slice(b"\x7fELF\x02\x01");
    scan.push(&head);
    for _ in 0..600 {
        scan.push(&one);
        assert!(scan.entries <= MOST_ENTRIES && scan.found.len() <= MOST_CONTAINERS);
    }
    assert!(scan.is_cut);
    let empty = container(&[]);
    let mut scan = FatbinScan::default();
    scan.push(&head);
    (0..MOST_CONTAINERS + 10).for_each(|_| scan.push(&empty));
    assert!(scan.found.len() == MOST_CONTAINERS && scan.finish().is_cut);
}

#[test]
fn architectures_are_read_and_written() {
    for (text, expected) in
        [("90", "90"), ("90a", "90a"), ("sm_100f", "100f"), ("compute_75", "75"), ("9.0", "90"), ("12.1", "121")]
    {
        assert_eq!(text.parse::<GpuArchitecture>().unwrap().to_string(), expected, "{text}");
    }
    for wrong in ["", "a", "9", "9000", "sm_", "9.00", "9.x", "-90", "+90", "é", "9a0", "١٢"] {
        assert!(wrong.parse::<GpuArchitecture>().is_err(), "{wrong}");
    }
    let long = "x".repeat(1000).parse::<GpuArchitecture>().unwrap_err();
    assert!(long.to_string().len() < 120);
}
