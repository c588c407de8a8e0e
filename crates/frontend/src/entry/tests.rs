//! Projects in a few lines each, with the command that starts them.

use corten_diagnostic::Diagnose;

use super::*;
use crate::settings::{Text, Texts};

const FASTAPI: &str = "from fastapi import FastAPI\napp = FastAPI()\n";

struct Case<'a> {
    files: &'a [(&'a str, &'a str)],
    installed: &'a [&'a str],
    corten: &'a str,
    pyproject: &'a str,
}

fn found(case: &Case<'_>) -> Result<Entry, Failure> {
    let pyproject = (!case.pyproject.is_empty()).then(|| Text::new("pyproject.toml", case.pyproject));
    let corten = (!case.corten.is_empty()).then(|| Text::new("corten.toml", case.corten));
    let settings = Settings::read(&Texts { corten, pyproject, folder: "x".into() }).unwrap();
    let sources: Vec<_> = case.files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    let installed: Vec<_> = case.installed.iter().map(|name| (*name).to_owned()).collect();
    find(&Facts { sources: &sources, settings: &settings, installed: &installed })
}

fn files<'a>(files: &'a [(&'a str, &'a str)]) -> Case<'a> {
    Case { files, installed: &["uvicorn", "gunicorn", "streamlit", "gradio"], corten: "", pyproject: "" }
}

/// The command without the interpreter and without what every server gets.
fn short(entry: &Entry) -> String {
    let line = entry.command.join(" ");
    let line = line.strip_prefix("/opt/venv/bin/python ").unwrap_or(&line);
    line.replace(" --host 0.0.0.0 --port 8000", " …").replace(" --bind 0.0.0.0:8000 --worker-tmp-dir /dev/shm", " …")
}

#[test]
fn every_kind_of_project_starts_as_its_authors_would_start_it() {
    let flask = "import flask\nserver = flask.Flask(__name__)\n";
    let factory = "from fastapi import FastAPI\ndef create_app(debug=False):\n    app = FastAPI()\n    return app\n";
    type Files<'a> = &'a [(&'a str, &'a str)];
    let cases: [(Files<'_>, &str, Certainty); 17] = [
        (&[("main.py", FASTAPI)], "-m uvicorn main:app …", Certainty::High),
        (&[("app/__init__.py", ""), ("app/main.py", FASTAPI)], "-m uvicorn app.main:app …", Certainty::High),
        (
            &[("app/main.py", "from fastapi import FastAPI\nfrom app.x import y\napp = FastAPI()"), ("app/x.py", "")],
            "-m uvicorn app.main:app …",
            Certainty::High,
        ),
        (
            &[
                ("backend/main.py", "from fastapi import FastAPI\nfrom x import y\napp = FastAPI()"),
                ("backend/x.py", ""),
            ],
            "-m uvicorn main:app --app-dir backend …",
            Certainty::High,
        ),
        (
            &[("src/pkg/__init__.py", ""), ("src/pkg/web.py", FASTAPI)],
            "-m uvicorn pkg.web:app --app-dir src …",
            Certainty::Medium,
        ),
        (
            &[("main.py", FASTAPI), ("worker.py", "from fastapi import FastAPI\nadmin = FastAPI()")],
            "-m uvicorn main:app …",
            Certainty::High,
        ),
        (
            &[("main.py", "import fastapi as f\nother = f.FastAPI()\napi: f.FastAPI = f.FastAPI(\n    title='x',\n)")],
            "-m uvicorn main:api …",
            Certainty::High,
        ),
        (
            &[("svc.py", "from starlette.applications import Starlette\nx = Starlette(routes=[])")],
            "-m uvicorn svc:x …",
            Certainty::High,
        ),
        (&[("wsgi.py", flask)], "-m gunicorn wsgi:server …", Certainty::High),
        (
            &[("dashboard.py", "from dash import Dash\napp = Dash()")],
            "-m gunicorn dashboard:app.server …",
            Certainty::High,
        ),
        (&[("main.py", factory)], "-m uvicorn main:create_app --factory …", Certainty::Medium),
        (
            &[("main.py", "from pkg import create_app\napp = create_app()"), ("pkg/__init__.py", factory)],
            "-m uvicorn main:app …",
            Certainty::High,
        ),
        (
            &[
                ("manage.py", "from django.core.management import execute_from_command_line\n"),
                (
                    "site1/wsgi.py",
                    "from django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()",
                ),
            ],
            "-m gunicorn site1.wsgi:application …",
            Certainty::High,
        ),
        (&[("app.py", "import gradio as gr\ndemo = gr.Interface(fn=str)\ndemo.launch()")], "app.py", Certainty::High),
        (
            &[("train.py", "def f():\n    pass\nif __name__ == '__main__':\n    f()"), ("lib.py", "x = 1")],
            "train.py",
            Certainty::Low,
        ),
        (&[("pkg/__init__.py", ""), ("pkg/__main__.py", "print(1)")], "-m pkg", Certainty::Medium),
        (
            &[("serve.py", "import uvicorn\nif __name__ == '__main__':\n    uvicorn.run('pkg.x:app', reload=True)")],
            "-m uvicorn pkg.x:app …",
            Certainty::Medium,
        ),
    ];
    for (project, command, certainty) in cases {
        let entry = found(&files(project)).unwrap_or_else(|failure| panic!("{project:?}: {failure}"));
        assert_eq!((short(&entry).as_str(), entry.certainty), (command, certainty), "{project:?}");
        assert!(entry.at.is_some());
    }
}

#[test]
fn what_is_written_down_comes_first() {
    let written = Case {
        corten: "run = 'python serve.py --x'",
        ..files(&[("main.py", FASTAPI), ("serve.py", "import uvicorn")])
    };
    let entry = found(&written).unwrap();
    assert_eq!(
        (entry.command.join(" ").as_str(), entry.web, entry.certainty),
        ("python serve.py --x", true, Certainty::Certain)
    );
    let batch = Case { corten: "run = ['python', 'train.py']", ..files(&[("train.py", "import numpy")]) };
    assert!(!found(&batch).unwrap().web);

    let procfile = files(&[("Procfile", "worker: x\nweb: gunicorn a:b --bind 0.0.0.0:$PORT"), ("main.py", FASTAPI)]);
    let entry = found(&procfile).unwrap();
    assert_eq!(entry.command.join(" "), "gunicorn a:b --bind 0.0.0.0:8000");
    assert_eq!(entry.at.unwrap().position().0, 2);
    let shell = found(&files(&[("Procfile", "web: a && b")])).unwrap_err();
    assert!(shell.to_string().contains("only a shell") && shell.span().is_some());

    let fastapi = Case {
        pyproject: "[project]\nname='x'\n[tool.fastapi]\nentrypoint = 'a.b:api'",
        ..files(&[("main.py", FASTAPI)])
    };
    assert_eq!(short(&found(&fastapi).unwrap()), "-m uvicorn a.b:api …");
    let script = Case {
        pyproject: "[project]\nname='my-job'\nscripts = { my_job = 'job.cli:main', other = 'x:y' }",
        ..files(&[("src/job/cli.py", "def main(): ...")])
    };
    let entry = found(&script).unwrap();
    assert_eq!(short(&entry), "-c import sys; from job.cli import main; sys.exit(main())");
    assert_eq!((entry.python_path.as_str(), entry.web), ("src", false));
    let hostile =
        Case { pyproject: "[project]\nname='x'\nscripts = { x = \"os:x(); import evil\" }", ..files(&[("os.py", "")]) };
    assert!(found(&hostile).is_err());
}

#[test]
fn port_and_health_are_the_projects_own() {
    let text = format!(
        "{FASTAPI}@app.get('/ready')\ndef r(): ...\n@app.get(\"/healthz\")\nasync def h(): ...\n@router.get('/health')\ndef z(): ...\n"
    );
    let sources = [("main.py", text.as_str())];
    let entry = found(&Case { corten: "port = 9000", ..files(&sources) }).unwrap();
    assert_eq!(entry.health_path.as_deref(), Some("/healthz"));
    assert!(entry.command.ends_with(&["--port".into(), "9000".into()]));
    let page = found(&files(&[
        ("app.py", "import streamlit as st\nst.title('x')"),
        ("pages/a.py", "import streamlit as st\nst.title('x')"),
    ]))
    .unwrap();
    assert_eq!(page.health_path.as_deref(), Some("/_stcore/health"));
    assert_eq!(page.command[3..5], ["run", "app.py"]);
}

#[test]
fn what_cannot_be_decided_is_asked_and_what_is_missing_is_named() {
    let two = found(&files(&[("a/api.py", FASTAPI), ("b/api.py", FASTAPI)])).unwrap_err();
    assert!(two.to_string().contains("a/api.py:2") && two.hints()[0].contains("run"), "{two}");
    let both = found(&files(&[("api.py", FASTAPI), ("ui.py", "import streamlit as st\nst.title('x')")])).unwrap_err();
    assert!(both.to_string().contains("Streamlit page in ui.py:2"), "{both}");
    let none = found(&files(&[("lib.py", "x = 1")])).unwrap_err();
    assert!(none.to_string().contains("cannot find how the project is started") && !none.hints().is_empty());
    let unserved = found(&Case { installed: &["fastapi"], ..files(&[("main.py", FASTAPI)]) }).unwrap_err();
    assert!(unserved.to_string().contains("uvicorn is not in the lock"), "{unserved}");
    assert_eq!(unserved.span().unwrap().position(), (2, 1));
    let dev = found(&Case {
        installed: &["flask"],
        ..files(&[("app.py", "from flask import Flask\napp = Flask(__name__)")])
    })
    .unwrap();
    assert!(dev.warning.unwrap().contains("development"));
    let needs = "from fastapi import FastAPI\ndef create_app(config):\n    app = FastAPI()\n    return app\n";
    assert!(found(&files(&[("web.py", needs)])).is_err());
}

#[test]
fn tests_examples_and_hidden_files_are_not_sources() {
    for path in ["main.py", "a/b/c/d/x.py", "Procfile"] {
        assert!(is_source(path), "{path}");
    }
    for path in [
        "tests/x.py",
        "a/examples/x.py",
        ".venv/x.py",
        "test_x.py",
        "a/b/c/d/e/x.py",
        "x.txt",
        "a/Procfile",
        "setup.py",
        "",
    ] {
        assert!(!is_source(path), "{path}");
    }
}

#[test]
fn the_example_of_this_repository_is_found() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/text-classifier");
    let read = |name: &str| std::fs::read_to_string(format!("{folder}/{name}")).unwrap();
    let texts = ["main.py", "classifier.py", "features.py", "train.py"].map(|name| (name, read(name)));
    let sources: Vec<_> = texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let entry = found(&Case { pyproject: &read("pyproject.toml"), ..files(&sources) }).unwrap();
    assert_eq!(short(&entry), "-m uvicorn main:app …");
    assert_eq!(entry.health_path.as_deref(), Some("/health"));
}

#[test]
fn no_part_of_a_source_makes_it_fall_over() {
    let text = "from fastapi import (FastAPI as F,)\napp: F = F(title='é', x=[\"\"\"a\nb\"\"\"])\n@app.get('/health')\ndef create_app(a=(1, 2), *b):\n    return F()\nif __name__ == '__main__':\n    uvicorn.run(app='m:app')\n";
    for (at, _) in text.char_indices() {
        let _ = found(&files(&[("main.py", &text[..at])]));
        let _ = found(&files(&[("a/b.py", &text[at..]), ("Procfile", &text[at..])]));
    }
}
