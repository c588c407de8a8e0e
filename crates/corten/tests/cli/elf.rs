//! The smallest programs that Linux starts, byte by byte: elf(5).

/// Processors, as ELF files name them.
pub const AMD64: u16 = 62;
pub const ARM64: u16 = 183;

/// Where a program lies in memory, from its first byte on.
const ADDRESS: u64 = 0x40_0000;
/// Of the file header and one program header.
const HEADERS: usize = 64 + 56;
/// Type of a program header: what lies in memory; the name of the loader.
const LOAD: u32 = 1;
const INTERPRETER: u32 = 3;

/// A program that becomes another: `arguments`, the first of them its path. What it was given itself is lost. Its code is
/// that of x86-64, whatever it says.
pub fn becomes(machine: u16, arguments: &[&str]) -> Vec<u8> {
    const CODE: usize = 24;
    let table = HEADERS + CODE;
    let mut strings = Vec::new();
    let mut pointers = Vec::new();
    for argument in arguments {
        pointers.push(ADDRESS + (table + 8 * (arguments.len() + 1) + strings.len()) as u64);
        strings.extend(argument.bytes().chain([0]));
    }
    let low = |address: u64| (address as u32).to_le_bytes();
    // push 59 (execve); pop rax; push path; pop rdi; push arguments; pop rsi; syscall. rdx, the environment, is 0.
    let (path, list) = (low(pointers[0]), low(ADDRESS + table as u64));
    let mut content = [&[0x6a, 59, 0x58, 0x68][..], &path, &[0x5f, 0x68], &list, &[0x5e, 0x0f, 0x05]].concat();
    content.resize(CODE, 0);
    content.extend(pointers.iter().chain([&0]).flat_map(|pointer| pointer.to_le_bytes()));
    content.extend(strings);
    let size = HEADERS + content.len();
    file(machine, 2, LOAD, 0, size, &content)
}

/// A file that says by which loader it is started.
pub fn loaded_by(machine: u16, loader: &str) -> Vec<u8> {
    let content = [loader.as_bytes(), &[0]].concat();
    file(machine, 3, INTERPRETER, HEADERS, content.len(), &content)
}

fn file(machine: u16, kind: u16, segment: u32, offset: usize, size: usize, content: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(16, 0);
    let long = |value: usize| (value as u64).to_le_bytes();
    bytes.extend(kind.to_le_bytes());
    bytes.extend(machine.to_le_bytes());
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend((ADDRESS + HEADERS as u64).to_le_bytes());
    bytes.extend(long(64));
    bytes.extend(long(0));
    bytes.extend(0_u32.to_le_bytes());
    // Sizes of the file header and of a program header, and how many there are; no section headers.
    for value in [64_u16, 56, 1, 64, 0, 0] {
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend(segment.to_le_bytes());
    // Readable and executable.
    bytes.extend(5_u32.to_le_bytes());
    bytes.extend(long(offset));
    let address = ADDRESS + offset as u64;
    bytes.extend(address.to_le_bytes());
    bytes.extend(address.to_le_bytes());
    bytes.extend(long(size));
    bytes.extend(long(size));
    bytes.extend(long(0x1000));
    assert_eq!(bytes.len(), HEADERS);
    bytes.extend(content);
    bytes
}
