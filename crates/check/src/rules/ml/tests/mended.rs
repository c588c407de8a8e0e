//! What safe fixes of these rules make of layouts that people write.

use std::path::Path;

use super::{findings, lines};
use crate::fix::{Wanted, fix};
use crate::rules::Subject;

/// What the safe fixes of a rule make of a text.
fn mended(rule: &str, text: &str) -> String {
    fix(Path::new("Dockerfile"), text, Subject::Dockerfile, Wanted::Safe, &|text| findings(text, rule)).text
}

#[test]
fn an_option_goes_with_its_line() {
    let text = |command: &str| format!("FROM a\nRUN --mount=type=cache,target=/root/.cache/pip pip install{command}\n");
    for (before, after) in [
        (" --no-cache-dir torch", " torch"),
        (" torch --no-cache-dir", " torch"),
        (" \\\n  --no-cache-dir \\\n  torch", " \\\n  torch"),
        (" --no-cache-dir \\\n  torch", " \\\n  torch"),
        (" \\\n  --no-cache-dir torch", " \\\n  torch"),
        (" \\\n  # why\n  --no-cache-dir \\\n  torch", " \\\n  # why\n  torch"),
        (" torch \\\n  --no-cache-dir", " torch \\\n  --no-cache-dir"),
    ] {
        assert_eq!(mended("ML199", &text(before)), text(after), "{before}");
    }
    let list =
        "FROM a\nRUN --mount=type=cache,target=/root/.cache/pip [\"pip\", \"install\", \"--no-cache-dir\", \"a\"]\n";
    assert_eq!((lines(list, "ML199"), mended("ML199", list).as_str()), (vec![2], list));
}

#[test]
fn conda_cleans_where_it_is_and_as_it_was_called() {
    let text = |run: &str| format!("FROM a\nRUN {run}\n");
    for (before, after) in [
        ("conda install -y numpy", "conda install -y numpy && conda clean -afy"),
        (
            "/opt/conda/bin/conda install -y numpy",
            "/opt/conda/bin/conda install -y numpy && /opt/conda/bin/conda clean -afy",
        ),
        ("(cd x && conda install -y numpy)", "(cd x && conda install -y numpy) && conda clean -afy"),
    ] {
        assert_eq!(mended("ML111", &text(before)), text(after), "{before}");
    }
    for run in [
        "[\"conda\", \"install\", \"-y\", \"numpy\"]",
        "bash -lc \"conda install -y numpy\"",
        "[\"bash\", \"-lc\", \"conda install -y numpy\"]",
        "sudo conda install -y numpy",
        "PATH=/opt/conda/bin:$PATH conda install -y numpy",
        "cd /opt/conda && bin/conda install -y numpy",
        "conda install -y numpy &",
        "i() { conda install -y numpy; } && i",
    ] {
        assert_eq!((lines(&text(run), "ML111"), mended("ML111", &text(run))), (vec![2], text(run)));
    }
}

#[test]
fn texts_with_escapes_and_lists_are_left_as_they_are() {
    let all = |rule: &str, text: &str| {
        fix(Path::new("Dockerfile"), text, Subject::Dockerfile, Wanted::All, &|text| findings(text, rule)).text
    };
    let mount = "FROM a\nRUN --mount=type=cache,target=/root/.cache/pip ";
    for (rule, text) in [
        ("ML199", format!("{mount}sh -c \"echo \\\"a\\\" && pip install --no-cache-dir x\"\n")),
        ("ML199", format!("{mount}[\"sh\", \"-c\", \"echo \\\"a\\\" && pip install --no-cache-dir x\"]\n")),
        ("ML127", "FROM a\nRUN sh -c \"echo \\\"a\\\" && pip install torch==2.9.1\"\n".to_owned()),
        ("ML125", "FROM a\nRUN [\"uv\", \"sync\"]\n".to_owned()),
        ("ML125", "FROM a\nRUN sh -c \"echo \\\"a\\\" && uv sync\"\n".to_owned()),
    ] {
        assert_eq!((lines(&text, rule), all(rule, &text)), (vec![2], text));
    }
    let plain = format!("{mount}sh -c \"pip install --no-cache-dir x\"\n");
    assert_eq!(all("ML199", &plain), format!("{mount}sh -c \"pip install x\"\n"));
}

#[test]
fn wheels_that_others_use_are_not_mounted_instead() {
    let text = |between: &str, behind: &str| {
        format!(
            "FROM a AS b\nRUN pip wheel -w /wheels x\nFROM a AS c\nCOPY --from=b /wheels /wheels\n{between}RUN pip install /wheels/* && rm -rf /wheels/*\n{behind}"
        )
    };
    for (between, behind) in [
        ("RUN ls /wheels\n", ""),
        ("RUN cd / && ls wheels\n", ""),
        ("ENV D=/wheels\n", ""),
        ("RUN <<E\nls /whe*\nE\n", ""),
        ("", "FROM a AS d\nCOPY --from=c /wheels /w\nFROM c\n"),
        ("", "FROM a AS d\nCOPY --from=1 /wheels /w\nFROM c\n"),
    ] {
        let text = text(between, behind);
        assert_eq!((lines(&text, "ML130").len(), mended("ML130", &text)), (1, text));
    }
    let text = text("RUN true\n", "FROM a AS d\nCOPY --from=b /wheels /w\nFROM c\n");
    assert!(mended("ML130", &text).contains("RUN --mount=type=bind,from=b,source=/wheels,target=/wheels pip"));
}
