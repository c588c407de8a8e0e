//! Scripts of a wheel: those generated from `entry_points.txt`, and `.data/scripts` whose `#!python` line is replaced.
//!
//! The text is uv's, so that an image behaves as an environment made by uv does. Every name that gets into a script is
//! checked against a grammar first: the file comes from anybody.

use std::collections::BTreeMap;

use super::InstallTarget;

/// The kernel takes no longer first line (`BINPRM_BUF_SIZE` of Linux before 5.1; the shortest still met).
const LONGEST_SHEBANG: usize = 127;

/// A reference to a callable: `module:function.of`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Callable {
    module: String,
    function: String,
}

/// The scripts of `[console_scripts]` and `[gui_scripts]` (PyPA, entry points specification), sorted by name.
pub(super) fn entry_points(text: &str) -> Result<BTreeMap<String, Callable>, String> {
    let mut scripts = BTreeMap::new();
    let mut wanted = false;
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            wanted = matches!(section.trim(), "console_scripts" | "gui_scripts");
        } else if wanted {
            let (name, value) = line.split_once('=').ok_or_else(|| format!("entry point '{line}' has no '='"))?;
            let name = name.trim();
            check_name(name)?;
            let callable = callable(value.trim())
                .ok_or_else(|| format!("entry point '{name}' does not name a callable: '{}'", value.trim()))?;
            scripts.insert(name.to_owned(), callable);
        }
    }
    Ok(scripts)
}

/// Letters, digits, `.`, `_`, `-`, `+`; not the interpreter's own names.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+".contains(&byte);
    if name.is_empty() || name.starts_with('.') || !name.bytes().all(fine) {
        return Err(format!("'{}' is no name of a script", name.escape_debug()));
    }
    if is_interpreter(name) {
        return Err(format!("script '{name}' would replace the interpreter"));
    }
    Ok(())
}

/// `python`, `python3`, `python3.11`, `pythonw`, `pypy` …, in any case.
pub(super) fn is_interpreter(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let rest = name.strip_prefix("python").or_else(|| name.strip_prefix("pypy"));
    rest.is_some_and(|rest| {
        rest.trim_end_matches(".exe").trim_start_matches('w').bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    })
}

fn callable(value: &str) -> Option<Callable> {
    let value = match value.split_once('[') {
        Some((value, extras)) if extras.trim_end().ends_with(']') => value,
        Some(_) => return None,
        None => value,
    };
    let (module, function) = value.split_once(':')?;
    let (module, function) = (module.trim(), function.trim());
    (dotted(module) && dotted(function)).then(|| Callable { module: module.to_owned(), function: function.to_owned() })
}

/// Identifiers of Python with dots between them; a dash is let through, as uv does (such a script fails when started).
fn dotted(text: &str) -> bool {
    text.split('.').all(|part| {
        let mut characters = part.chars();
        characters.next().is_some_and(|first| first.is_alphabetic() || first == '_')
            && characters.all(|character| character.is_alphanumeric() || character == '_' || character == '-')
    })
}

impl Callable {
    /// The script, as uv writes it.
    pub(super) fn script(&self, target: &InstallTarget) -> String {
        let Self { module, function } = self;
        let imported = function.split('.').next().unwrap_or(function);
        let shebang = shebang(target, "");
        format!(
            "{shebang}
# -*- coding: utf-8 -*-
import sys
from {module} import {imported}
if __name__ == \"__main__\":
    if sys.argv[0].endswith(\"-script.pyw\"):
        sys.argv[0] = sys.argv[0][:-11]
    elif sys.argv[0].endswith(\".exe\"):
        sys.argv[0] = sys.argv[0][:-4]
    sys.exit({function}())
"
        )
    }
}

/// A script of `.data/scripts` with its `#!python` line replaced; none where it has another first line.
pub(super) fn rewritten(content: &[u8], target: &InstallTarget) -> Option<Vec<u8>> {
    let rest = content.strip_prefix(b"#!python")?;
    let end = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
    let (line, body) = rest.split_at(end);
    let line = String::from_utf8_lossy(line);
    let arguments = line.trim_end().split_once(' ').map_or("", |(_, arguments)| arguments);
    let mut script = shebang(target, arguments).into_bytes();
    script.extend_from_slice(body);
    Some(script)
}

/// `#!/opt/venv/bin/python`, or through the shell where a kernel would not take that line.
fn shebang(target: &InstallTarget, arguments: &str) -> String {
    let python = format!("/{}/bin/python", target.prefix);
    let separator = if arguments.is_empty() { "" } else { " " };
    let line = format!("#!{python}{separator}{arguments}");
    if line.len() <= LONGEST_SHEBANG && !python.contains(' ') {
        return line;
    }
    let quoted = python.replace('\'', "'\"'\"'");
    format!("#!/bin/sh\n'''exec' '{quoted}'{separator}{arguments} \"$0\" \"$@\"\n' '''")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(prefix: &str) -> InstallTarget {
        InstallTarget { prefix: prefix.to_owned(), python: (3, 11) }
    }

    /// The expected text was written by uv 0.13.9, but for the environment's path.
    #[test]
    fn a_console_script_is_the_one_that_uv_writes() {
        let scripts = entry_points("[console_scripts]\nuvicorn = uvicorn.main:main\n\n[other]\nx y = !!!\n").unwrap();
        let expected = "#!/opt/venv/bin/python\n# -*- coding: utf-8 -*-\nimport sys\nfrom uvicorn.main import main\nif __name__ == \"__main__\":\n    if sys.argv[0].endswith(\"-script.pyw\"):\n        sys.argv[0] = sys.argv[0][:-11]\n    elif sys.argv[0].endswith(\".exe\"):\n        sys.argv[0] = sys.argv[0][:-4]\n    sys.exit(main())\n";
        assert_eq!(scripts["uvicorn"].script(&target("opt/venv")), expected);
        assert_eq!(scripts.len(), 1);
    }

    #[test]
    fn a_method_and_extras_are_understood() {
        let scripts = entry_points("[gui_scripts]\n# comment\nrun=pkg.cli : App.main [extra]\n").unwrap();
        let script = scripts["run"].script(&target("opt/venv"));
        assert!(script.contains("from pkg.cli import App\n") && script.contains("sys.exit(App.main())"), "{script}");
    }

    /// Attack F3: names and code that would get into a script or out of the folder.
    #[test]
    fn hostile_entry_points_are_refused() {
        for line in [
            "../../bin/x = a:b",
            "python = a:b",
            "Python3 = a:b",
            "python3.11 = a:b",
            "pythonw = a:b",
            " = a:b",
            ".hidden = a:b",
            "x = a",
            "x = a:b(); import os",
            "x = a:b\u{2028}import os",
            "x = os;evil:main",
            "x = a:b [extra",
            "x a:b",
            "a\u{0}b = a:b",
        ] {
            assert!(entry_points(&format!("[console_scripts]\n{line}\n")).is_err(), "{line:?}");
        }
        for fine in ["pythonic", "py.test", "python-argcomplete-check-easy-install-script", "c++filt", "f2py"] {
            assert!(check_name(fine).is_ok(), "{fine}");
        }
    }

    #[test]
    fn only_a_python_line_is_rewritten() {
        let rewrite =
            |text: &str| rewritten(text.as_bytes(), &target("opt/venv")).map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(rewrite("#!python\nx\n").unwrap(), "#!/opt/venv/bin/python\nx\n");
        assert_eq!(rewrite("#!pythonw\nx").unwrap(), "#!/opt/venv/bin/python\nx");
        assert_eq!(rewrite("#!python3 -E\nx").unwrap(), "#!/opt/venv/bin/python -E\nx");
        assert_eq!(rewrite("#!python").unwrap(), "#!/opt/venv/bin/python");
        assert_eq!(rewrite("#!/usr/bin/env python\n"), None);
        assert_eq!(rewrite("\u{7f}ELF"), None);
    }

    #[test]
    fn a_path_that_no_kernel_takes_goes_through_the_shell() {
        let long = "p/".repeat(70);
        for prefix in ["opt/my venv", long.as_str()] {
            let script = rewritten(b"#!python\nx\n", &target(prefix)).unwrap();
            let script = String::from_utf8(script).unwrap();
            assert!(
                script.starts_with(&format!("#!/bin/sh\n'''exec' '/{prefix}/bin/python' \"$0\" \"$@\"\n' '''\nx")),
                "{script}"
            );
        }
    }
}
