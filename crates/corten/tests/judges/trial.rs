//! `corten test` with pytest of PyPI, in an image from Debian's archive.

use std::fs;
use std::path::Path;

use corten_testkit::command::{Corten, Ran};

use crate::place::new_folder;

const FILES: [(&str, &str); 6] = [
    (
        "corten.toml",
        "name = \"adder\"\nversion = \"1\"\nrun = \"python -m adder\"\nport = false\n[test]\njunit = \"reports/junit.xml\"\npaths = [\"tests\", \"pytest.ini\"]\nnetwork = \"none\"\n",
    ),
    ("requirements.txt", "packaging==24.2\n"),
    ("requirements-dev.txt", "-r requirements.txt\niniconfig==2.0.0\npluggy==1.5.0\npytest==8.3.4\n"),
    ("pytest.ini", "[pytest]\naddopts = -ra\nmarkers = slow: takes long\n"),
    ("adder/__init__.py", "def add(a, b):\n    return a + b\n"),
    (
        "tests/test_add.py",
        "import importlib.util\nimport os\n\nimport adder\nimport packaging\nimport pytest\n\n\ndef test_add():\n    assert adder.add(1, 2) == int(os.environ.get('SUM', '3'))\n\n\ndef test_mounts_are_read_only():\n    assert os.getuid() == 10001\n    with pytest.raises(OSError):\n        open(__file__, 'a')\n\n\n@pytest.mark.slow\ndef test_slow():\n    pass\n",
    ),
];

fn corten(folder: &Path, arguments: &[&str]) -> Ran {
    Corten::new(env!("CARGO_BIN_EXE_corten"))
        .env("CORTEN_HOME", folder.join("store").to_str().unwrap())
        .run(&folder.join("project"), arguments)
}

#[test]
fn pytest_of_pypi_passes_and_fails_and_its_report_is_kept() {
    let folder = new_folder("trial");
    for (path, text) in FILES {
        let path = folder.join("project").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let passed = corten(&folder, &["test"]).expect(0);
    assert!(
        passed.stdout.contains("configfile: pytest.ini") && passed.stdout.contains("= 3 passed in "),
        "{}",
        passed.stdout
    );
    assert!(passed.stderr.contains("requirements-dev.txt lies beside requirements.txt"), "{}", passed.stderr);
    let report = fs::read_to_string(folder.join("project/reports/junit.xml")).unwrap();
    assert!(report.contains("errors=\"0\" failures=\"0\" skipped=\"0\" tests=\"3\""), "{report}");
    assert!(report.contains("<testcase classname=\"tests.test_add\" name=\"test_slow\""), "{report}");

    let failed = corten(&folder, &["test", "-e", "SUM=4", "--", "-k", "add"]).expect(1);
    assert!(
        failed.stdout.contains("FAILED tests/test_add.py::test_add - AssertionError: assert 3 == 4"),
        "{}",
        failed.stdout
    );
    let report = fs::read_to_string(folder.join("project/reports/junit.xml")).unwrap();
    assert!(
        report.contains("failures=\"1\"") && report.contains("<failure message=\"AssertionError: assert 3 == 4"),
        "{report}"
    );

    corten(&folder, &["test", "--", "-k", "nothing"]).expect(5);
    corten(&folder, &["test", "--", "--no-such-option"]).expect(4);
    // A test is chosen by its name; what is no test is a command of its own.
    let one = corten(&folder, &["test", "--", "tests/test_add.py::test_slow"]).expect(0);
    assert!(one.stdout.contains("= 1 passed in "), "{}", one.stdout);
    corten(&folder, &["test", "--", "python", "-c", "import pytest, sys; sys.exit(7)"]).expect(7);

    // Nothing of it is in the image.
    corten(&folder, &["build", "-t", "adder:1"]).expect(0);
    let bare =
        corten(&folder, &["run", "--rm", "--network", "none", "adder:1", "python", "-c", "import pytest"]).expect(1);
    assert!(bare.stderr.contains("No module named 'pytest'"), "{}", bare.stderr);
    let listed = corten(
        &folder,
        &[
            "run",
            "--rm",
            "--network",
            "none",
            "adder:1",
            "python",
            "-c",
            "import os; print(sorted(os.listdir('/app')))",
        ],
    )
    .expect(0);
    assert_eq!(listed.stdout, "['adder', 'requirements-dev.txt', 'requirements.txt']\n");
}
