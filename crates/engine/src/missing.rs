//! What a build's output says that it lacks, and which package of Debian has it.

/// Programs, with their packages.
const PROGRAMS: [(&str, &str); 16] = [
    ("gcc", "build-essential"),
    ("g++", "build-essential"),
    ("cc", "build-essential"),
    ("c++", "build-essential"),
    ("make", "build-essential"),
    ("x86_64-linux-gnu-gcc", "build-essential"),
    ("x86_64-linux-gnu-g++", "build-essential"),
    ("aarch64-linux-gnu-gcc", "build-essential"),
    ("gfortran", "gfortran"),
    ("cmake", "cmake"),
    ("ninja", "ninja-build"),
    ("git", "git"),
    ("swig", "swig"),
    ("cargo", "cargo"),
    ("pkg-config", "pkg-config"),
    ("pg_config", "libpq-dev"),
];

/// Headers, with their packages.
const HEADERS: [(&str, &str); 20] = [
    ("Python.h", "python3-dev"),
    ("unicode/", "libicu-dev"),
    ("linux/", "linux-libc-dev"),
    ("libpq-fe.h", "libpq-dev"),
    ("mysql.h", "default-libmysqlclient-dev"),
    ("ffi.h", "libffi-dev"),
    ("openssl/", "libssl-dev"),
    ("zlib.h", "zlib1g-dev"),
    ("bzlib.h", "libbz2-dev"),
    ("lzma.h", "liblzma-dev"),
    ("jpeglib.h", "libjpeg-dev"),
    ("libxml/", "libxml2-dev"),
    ("libxslt/", "libxslt1-dev"),
    ("portaudio.h", "portaudio19-dev"),
    ("sndfile.h", "libsndfile1-dev"),
    ("hdf5.h", "libhdf5-dev"),
    ("gmp.h", "libgmp-dev"),
    ("yaml.h", "libyaml-dev"),
    ("snappy.h", "libsnappy-dev"),
    ("stdio.h", "build-essential"),
];

/// What is missing and the package that has it; none where the output says nothing of the kind.
pub fn package(output: &str) -> Option<(String, &'static str)> {
    output.lines().find_map(|line| header(line).or_else(|| program(line)))
}

/// `x.c:1:10: fatal error: Python.h: No such file or directory`.
fn header(line: &str) -> Option<(String, &'static str)> {
    let rest = line.split_once("fatal error: ")?.1;
    let name = rest.split_once(": No such file")?.0.trim();
    let found = HEADERS.iter().find(|(begin, _)| name == *begin || begin.ends_with('/') && name.starts_with(begin))?;
    Some((name.to_owned(), found.1))
}

/// `error: command 'gcc' failed: No such file or directory`, `sh: 1: cmake: not found`, `[Errno 2] … 'pkg-config'`.
fn program(line: &str) -> Option<(String, &'static str)> {
    let absent = ["not found", "No such file or directory", "command not found"].iter().any(|text| line.contains(text));
    let mut words = line.split(|letter: char| letter.is_whitespace() || "'\"`:,;()[]".contains(letter));
    let found = words.find_map(|word| {
        let name = word.rsplit('/').next().unwrap_or(word);
        PROGRAMS.iter().find(|(program, _)| *program == name)
    });
    found.filter(|_| absent).map(|(program, deb)| ((*program).to_owned(), *deb))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_real_builds_say() {
        let cases = [
            ("error: command 'gcc' failed: No such file or directory", Some("build-essential")),
            ("error: command 'x86_64-linux-gnu-gcc' failed: No such file or directory", Some("build-essential")),
            ("src/cbor.c:1:10: fatal error: Python.h: No such file or directory", Some("python3-dev")),
            ("common.h:35:10: fatal error: unicode/utypes.h: No such file or directory", Some("libicu-dev")),
            ("/bin/sh: 1: cmake: not found", Some("cmake")),
            ("FileNotFoundError: [Errno 2] No such file or directory: 'pkg-config'", Some("pkg-config")),
            ("Error: pg_config executable not found.", Some("libpq-dev")),
            ("fatal error: ours.h: No such file or directory", None),
            ("gcc -c x.c", None),
            ("", None),
        ];
        for (line, expected) in cases {
            assert_eq!(package(line).map(|(_, deb)| deb), expected, "{line}");
        }
    }
}
