//! What sources and notebooks import that is neither Python's own nor the project's: the packages that a folder without
//! requirements asks for.
//!
//! A module's name is not its package's: `cv2` comes from opencv-python-headless. Where the table does not know better, the name is
//! taken as it stands, which is a guess and told as one. Lines are read, nothing runs; `%pip install x` of a notebook counts, too.

use std::collections::BTreeMap;

use serde_json::Value;

/// Package → the first place that asks for it: `explore.ipynb`, `main.py`.
pub type Imports = BTreeMap<String, String>;

/// Python's own modules, of 3.9 to 3.14.
const STANDARD: &str = "__future__ _thread abc aifc annotationlib antigravity argparse array ast asynchat asyncio asyncore atexit audioop base64 bdb binascii bisect builtins bz2 cProfile calendar cgi cgitb chunk cmath cmd code codecs codeop collections colorsys compileall compression concurrent configparser contextlib contextvars copy copyreg crypt csv ctypes curses dataclasses datetime dbm decimal difflib dis distutils doctest email encodings ensurepip enum errno faulthandler fcntl filecmp fileinput fnmatch formatter fractions ftplib functools gc genericpath getopt getpass gettext glob graphlib grp gzip hashlib heapq hmac html http idlelib imaplib imghdr imp importlib inspect io ipaddress itertools json keyword lib2to3 linecache locale logging lzma mailbox mailcap marshal math mimetypes mmap modulefinder msilib msvcrt multiprocessing netrc nis nntplib nt ntpath numbers opcode operator optparse os ossaudiodev parser pathlib pdb pickle pickletools pipes pkgutil platform plistlib poplib posix posixpath pprint profile pstats pty pwd py_compile pyclbr pydoc pyexpat queue quopri random re readline reprlib resource rlcompleter runpy sched secrets select selectors shelve shlex shutil signal site smtpd smtplib sndhdr socket socketserver spwd sqlite3 ssl stat statistics string stringprep struct subprocess sunau symbol symtable sys sysconfig syslog tabnanny tarfile telnetlib tempfile termios test textwrap this threading time timeit tkinter token tokenize tomllib trace traceback tracemalloc tty turtle turtledemo types typing unicodedata unittest urllib uu uuid venv warnings wave weakref webbrowser winreg winsound wsgiref xdrlib xml xmlrpc zipapp zipfile zipimport zlib zoneinfo";

/// Modules whose package has another name.
const PACKAGES: [(&str, &str); 34] = [
    ("Crypto", "pycryptodome"),
    ("IPython", "ipython"),
    ("OpenSSL", "pyopenssl"),
    ("PIL", "pillow"),
    ("attr", "attrs"),
    ("bs4", "beautifulsoup4"),
    ("cv2", "opencv-python-headless"),
    ("dateutil", "python-dateutil"),
    ("docx", "python-docx"),
    ("dotenv", "python-dotenv"),
    ("faiss", "faiss-cpu"),
    ("fitz", "pymupdf"),
    ("git", "gitpython"),
    ("google", ""),
    ("jose", "python-jose"),
    ("jwt", "pyjwt"),
    ("langchain_openai", "langchain-openai"),
    ("lightning", "lightning"),
    ("llama_cpp", "llama-cpp-python"),
    ("magic", "python-magic"),
    ("multipart", "python-multipart"),
    ("mysqldb", "mysqlclient"),
    ("onnxruntime", "onnxruntime"),
    ("open_clip", "open-clip-torch"),
    ("pkg_resources", "setuptools"),
    ("psycopg2", "psycopg2-binary"),
    ("sentence_transformers", "sentence-transformers"),
    ("serial", "pyserial"),
    ("skimage", "scikit-image"),
    ("sklearn", "scikit-learn"),
    ("slugify", "python-slugify"),
    ("whisper", "openai-whisper"),
    ("yaml", "pyyaml"),
    ("zmq", "pyzmq"),
];

/// Lines of one text that are read, at most.
const LINES: usize = 100_000;

/// Of Python files and notebooks, by path and text.
pub fn imports(sources: &[(String, String)], notebooks: &[(String, String)]) -> Imports {
    let own = |name: &str| sources.iter().any(|(path, _)| is_module(path, name));
    let mut found = Imports::new();
    let mut add = |path: &str, text: &str, notebook: bool| {
        for line in text.lines().take(LINES) {
            for name in names(line) {
                if !own(name) && !STANDARD.split(' ').any(|standard| standard == name) {
                    add_package(&mut found, package_of(name), path);
                }
            }
            if notebook {
                installed(line).for_each(|name| add_package(&mut found, name.to_owned(), path));
            }
        }
    };
    sources.iter().for_each(|(path, text)| add(path, text, false));
    notebooks.iter().for_each(|(path, text)| add(path, &code(text), true));
    found
}

fn add_package(found: &mut Imports, package: String, path: &str) {
    if !package.is_empty() {
        found.entry(package).or_insert_with(|| path.to_owned());
    }
}

/// Is it a module of the project, or a folder of some?
fn is_module(path: &str, name: &str) -> bool {
    let mut parts = path.split('/');
    parts.any(|part| part == name || part.strip_suffix(".py") == Some(name))
}

/// The modules that a line imports, without what is below them.
fn names(line: &str) -> Vec<&str> {
    let code = line.split('#').next().unwrap_or_default();
    code.split(';').flat_map(|statement| names_of(statement.trim())).collect()
}

fn names_of(statement: &str) -> Vec<&str> {
    if let Some(rest) = statement.strip_prefix("from ") {
        return if rest.contains(" import") { top(rest.trim_start()).into_iter().collect() } else { Vec::new() };
    }
    let rest = statement.strip_prefix("import ").unwrap_or_default();
    rest.split(',').filter_map(|part| top(part.trim_start())).collect()
}

/// The word at the beginning.
fn top(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    text.get(..end).filter(|name| !name.is_empty())
}

/// What `%pip install a b` and `!pip install a` of a notebook name.
fn installed(line: &str) -> impl Iterator<Item = &str> {
    let line = line.trim_start().trim_start_matches(['%', '!']);
    let rest = line.strip_prefix("pip install ").or_else(|| line.strip_prefix("pip3 install ")).unwrap_or_default();
    let plain = |word: &&str| {
        let name = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        !word.starts_with('-') && !word.ends_with(".txt") && word.chars().all(name)
    };
    rest.split_whitespace().filter(plain)
}

fn package_of(module: &str) -> String {
    match PACKAGES.iter().find(|(name, _)| *name == module) {
        Some((_, package)) => (*package).to_owned(),
        None => module.to_lowercase().replace('_', "-"),
    }
}

/// The code cells of a notebook, as one text; empty where it is none.
fn code(notebook: &str) -> String {
    let Ok(document) = serde_json::from_str::<Value>(notebook) else { return String::new() };
    let cells = document.get("cells").and_then(Value::as_array).into_iter().flatten();
    let mut text = String::new();
    for cell in cells.filter(|cell| cell.get("cell_type").and_then(Value::as_str) == Some("code")) {
        match cell.get("source") {
            Some(Value::String(source)) => text.push_str(source),
            Some(Value::Array(lines)) => lines.iter().filter_map(Value::as_str).for_each(|line| text.push_str(line)),
            _ => {}
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(sources: &[(&str, &str)], notebooks: &[(&str, &str)]) -> Vec<String> {
        let own = |(path, text): &(&str, &str)| ((*path).to_owned(), (*text).to_owned());
        let all = |texts: &[(&str, &str)]| texts.iter().map(own).collect::<Vec<_>>();
        imports(&all(sources), &all(notebooks)).into_keys().collect()
    }

    #[test]
    fn packages_by_their_names_and_neither_pythons_nor_the_projects_own() {
        let main = "import os, numpy as np, sklearn.svm\nfrom cv2 import imread\nfrom . import x\nfrom src.deep import y\n\
            from utils import z\nimport utils.more; import yaml # import nothing\n    import torch\nimportant = 1\nfrom x\n";
        let sources = [("main.py", main), ("utils.py", ""), ("src/deep/__init__.py", "")];
        assert_eq!(of(&sources, &[]), ["numpy", "opencv-python-headless", "pyyaml", "scikit-learn", "torch"]);
    }

    #[test]
    fn code_cells_of_notebooks_count_and_what_they_install() {
        let notebook = r##"{"cells": [
            {"cell_type": "markdown", "source": ["import lies\n"]},
            {"cell_type": "code", "source": ["%pip install -q tqdm lightgbm==4 ./x\n", "import pandas as pd\n"]},
            {"cell_type": "code", "source": "from PIL import Image"},
            {"cell_type": "code", "source": 5}, 7]}"##;
        assert_eq!(
            of(&[], &[("a.ipynb", notebook), ("b.ipynb", "{"), ("c.ipynb", "[]")]),
            ["pandas", "pillow", "tqdm"]
        );
    }
}
