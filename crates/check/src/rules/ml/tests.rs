//! What the rules must not say: the traps of supply-chain.md §1.4, one row each; and what they say beside their examples.

use std::path::Path;

use corten_diagnostic::{Finding, Place};
use corten_frontend::dockerfile::Dockerfile;

use crate::lint::{Choice, Config, Date, Lint, lint_dockerfile};

/// Looks at a file.
pub(super) fn linted<T>(text: &str, look: impl FnOnce(&Lint<'_>) -> T) -> T {
    let (file, mistakes) = Dockerfile::read_what_can_be(Path::new("Dockerfile"), text);
    let config = Config::default();
    look(&Lint::new(&file, &mistakes, &config))
}

pub(super) fn findings(text: &str, rule: &str) -> Vec<Finding> {
    let choice = Choice { select: vec![rule.to_owned()], ..Choice::default() };
    let config = Config { today: Some(Date { year: 2026, month: 11, day: 22 }), ..Config::default() };
    lint_dockerfile(Path::new("Dockerfile"), text, &config, &choice).findings
}

/// Lines that have a finding.
pub(super) fn lines(text: &str, rule: &str) -> Vec<usize> {
    let line = |finding: &Finding| match &finding.at {
        Place::Text(span) => span.position().0,
        _ => 0,
    };
    findings(text, rule).iter().map(line).collect()
}

#[track_caller]
fn silent(rule: &str, texts: &[&str]) {
    for text in texts {
        assert_eq!(findings(text, rule), [], "{rule}\n{text}");
    }
}

#[track_caller]
fn told(rule: &str, texts: &[(&str, &[usize])]) {
    for (text, wanted) in texts {
        assert_eq!(lines(text, rule), *wanted, "{rule}\n{text}");
    }
}

#[test]
fn traps_of_bases() {
    silent(
        "ML102",
        &[
            "FROM python:3.12 AS Base\nFROM base\n".trim_start_matches("FROM python:3.12 AS Base\n"),
            "FROM scratch\n",
            "ARG IMAGE\nFROM $IMAGE\n",
            "FROM python@sha256:1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f\n",
            "FROM localhost:5000/python\n",
        ],
    );
    told("ML102", &[("FROM python:3.12 AS Base\nFROM BASE AS two\nFROM two\n", &[1])]);
    silent(
        "ML103",
        &[
            "FROM python:3.12-alpine\nRUN apk add --no-cache py3-torch\n",
            "FROM python:3.12-alpine\nRUN pip install numpy==2.3.5 pandas pyarrow==21.0.0\n",
            "FROM node:22-alpine AS web\nRUN npm ci\nFROM python:3.12-slim\nRUN pip install torch\n",
        ],
    );
    told("ML103", &[("FROM python:3.12-alpine\nRUN pip install numpy==1.24.4 \\\n    scikit-learn\n", &[2, 3])]);
    silent(
        "ML104",
        &[
            "FROM nvidia/cuda:12.4.1-devel-ubuntu22.04\nRUN pip install deepspeed==0.15\n",
            "FROM nvidia/cuda:12.4.1-devel-ubuntu22.04 AS build\nFROM nvidia/cuda:12.4.1-runtime-ubuntu22.04\nCOPY --from=build /x /x\n",
            "FROM mcr.microsoft.com/devel:1\n",
        ],
    );
    told("ML104", &[("FROM pytorch/pytorch:2.4.1-cuda12.4-cudnn9-devel AS base\nFROM base\nCOPY a /a\n", &[1])]);
    silent(
        "ML108",
        &[
            "FROM --platform=linux/amd64 python:3.12\n",
            "FROM --platform=$BUILDPLATFORM nvidia/cuda:12.8.1-base-ubuntu24.04\n",
            "FROM --platform=linux/amd64 pytorch/pytorch:2.4.1-cuda12.4-cudnn9-runtime\n",
        ],
    );
    silent(
        "ML109",
        &[
            "FROM python:3.11\n",
            "FROM python:3\n",
            "FROM python:3.1000\n",
            "FROM debian:12\nRUN apt-get install -y python3.9\n",
            "ARG V=3.12\nFROM python:$V\n",
            "FROM mambaorg/micromamba:2\nRUN micromamba install python=3.13\n",
        ],
    );
    told(
        "ML109",
        &[
            ("ARG V=3.8\nFROM python:$V-slim\n", &[2]),
            ("FROM python:3.10\n", &[1]),
            ("FROM mambaorg/micromamba:2\nRUN micromamba create -y -n x python=3.7 numpy\n", &[2]),
            ("FROM debian:12\nRUN uv python install 3.9\n", &[2]),
            ("FROM public.ecr.aws/lambda/python:3.9\n", &[1]),
        ],
    );
    silent(
        "ML110",
        &[
            "FROM debian:12\n",
            "FROM debian:bookworm-slim\n",
            "FROM ubuntu:22.04\n",
            "FROM alpine:3.22\n",
            "FROM alpine:3.1.9\n",
            "FROM python:3.12-slim-trixie\n",
            "FROM nvidia/cuda:12.4.1-base-ubuntu22.04\n",
            "FROM debian:unstable\n",
        ],
    );
    told(
        "ML110",
        &[
            ("FROM debian:10\n", &[1]),
            ("FROM python:3.9-slim-buster\n", &[1]),
            ("FROM nvidia/cuda:11.8.0-base-ubuntu20.04\n", &[1]),
            ("FROM centos:7\n", &[1]),
            ("FROM alpine:3.12\n", &[1]),
            ("FROM debian:bullseye-slim\n", &[1]),
        ],
    );
}

/// The day comes from the caller: before the end nothing is said, without a day neither.
#[test]
fn ends_of_life_depend_on_the_day_that_is_given() {
    let at = |today| {
        let choice = Choice { select: vec!["ML109".into(), "ML110".into()], ..Choice::default() };
        let config = Config { today, ..Config::default() };
        let text = "FROM python:3.10-slim-bookworm\n";
        lint_dockerfile(Path::new("Dockerfile"), text, &config, &choice).findings.len()
    };
    let day = |year, month, day| Some(Date { year, month, day });
    assert_eq!((at(None), at(day(2026, 10, 31)), at(day(2026, 11, 1)), at(day(2028, 7, 1))), (0, 0, 1, 2));
}

#[test]
fn traps_of_cuda() {
    silent(
        "ML105",
        &[
            "FROM nvidia/cuda:12.8.1-base-ubuntu24.04\nRUN pip install torch==2.9.1\n",
            "FROM nvidia/cuda:12.8.1-cudnn-runtime-ubuntu24.04\nRUN pip install onnxruntime-gpu==1.23 tensorrt==10\n",
            "FROM nvidia/cuda:12.8.1-runtime-ubuntu24.04\nRUN pip install torch --index-url https://download.pytorch.org/whl/cpu\n",
            "FROM nvidia/cuda:12.8.1-runtime-ubuntu24.04 AS build\nRUN pip install torch==2.9.1\nFROM python:3.12-slim\n",
            "FROM python:3.12-slim\nRUN pip install torch==2.9.1\n",
            "FROM nvidia/cuda:12.8.1-runtime-ubuntu24.04\nRUN pip install tensorflow==2.20\n",
        ],
    );
    told(
        "ML105",
        &[
            ("FROM nvidia/cuda:12.8.1-runtime-ubuntu24.04\nRUN pip install 'tensorflow[and-cuda]==2.20'\n", &[2]),
            ("FROM nvidia/cuda:12.8.1-runtime-ubuntu24.04\nRUN uv pip install --system vllm==0.11\n", &[2]),
        ],
    );
    silent(
        "ML106",
        &[
            "FROM nvidia/cuda:12.1.0-runtime-ubuntu22.04\nRUN pip install torch==2.9.1 --index-url https://download.pytorch.org/whl/cu128\n",
            "FROM nvidia/cuda:latest\nRUN pip install torch --index-url https://download.pytorch.org/whl/cu128\n",
            "FROM nvidia/cuda:12.4.1-base-ubuntu22.04\nRUN pip install torch --index-url https://download.pytorch.org/whl/cpu\n",
        ],
    );
    told(
        "ML106",
        &[
            ("FROM nvidia/cuda:13.0.1-base-ubuntu24.04\nRUN pip install torch==2.5.1+cu124\n", &[2]),
            (
                "FROM nvidia/cuda:11.8.0-base-ubuntu22.04\nENV PIP_INDEX_URL=https://download.pytorch.org/whl/cu130/\nRUN pip install torch\n",
                &[3],
            ),
        ],
    );
    silent(
        "ML127",
        &[
            "FROM python:3.12\nENV NVIDIA_VISIBLE_DEVICES=all\nRUN pip install torch==2.9.1\n",
            "FROM pytorch/pytorch:2.4.1\nRUN pip install torch\n",
            "FROM python:3.12\nRUN pip install torch==2.9.1+cpu\n",
        ],
    );
    silent(
        "ML128",
        &[
            "FROM pytorch/pytorch:2.4.1-cuda12.4-cudnn9-runtime\nRUN pip install torch\n",
            "FROM nvcr.io/nvidia/pytorch:24.05-py3\nRUN pip install -c /etc/pip/constraint.txt torch==2.3\n",
        ],
    );
    silent(
        "ML158",
        &[
            "FROM nvidia/cuda:12.8.1-base-ubuntu24.04\nRUN pip install torch --index-url https://download.pytorch.org/whl/cu128\n",
        ],
    );
    silent(
        "ML196",
        &["FROM nvidia/cuda:12.8.1-base-ubuntu24.04\nRUN apt-get install -y cuda-compat-12-8 && ldconfig\n"],
    );
    told(
        "ML196",
        &[
            (
                "FROM nvidia/cuda:12.8.1-base-ubuntu24.04\nENV LD_LIBRARY_PATH=/usr/local/cuda/compat:$LD_LIBRARY_PATH\n",
                &[2],
            ),
            ("FROM a:1\nRUN echo /usr/local/cuda-12.8/compat/ > /etc/ld.so.conf.d/x.conf && ldconfig\n", &[2]),
        ],
    );
    silent(
        "ML197",
        &[
            "FROM python:3.12\nENV LD_LIBRARY_PATH=/opt/lib\n",
            "FROM python:3.12\nENV LD_LIBRARY_PATH=/opt/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}\n",
            "FROM python:3.12\nENV LD_LIBRARY_PATH=/a\nENV LD_LIBRARY_PATH=/opt/lib:$LD_LIBRARY_PATH\n",
        ],
    );
    told("ML197", &[("FROM python:3.12\nENV LD_LIBRARY_PATH=/opt/lib:$LD_LIBRARY_PATH\n", &[2])]);
}

/// Minor versions do not matter, and without a driver nothing is said.
#[test]
fn a_driver_is_held_against_majors_alone() {
    let count = |driver: Option<&str>, text: &str| {
        let choice = Choice { select: vec!["ML107".to_owned()], ..Choice::default() };
        let config = Config { driver: driver.map(str::to_owned), ..Config::default() };
        lint_dockerfile(Path::new("Dockerfile"), text, &config, &choice).findings.len()
    };
    let (old, new) = ("FROM nvidia/cuda:12.9.1-base-ubuntu24.04\n", "FROM nvidia/cuda:13.0.1-base-ubuntu24.04\n");
    let wheels = "FROM python:3.12\nRUN pip install torch --index-url https://download.pytorch.org/whl/cu130\n";
    assert_eq!([None, Some("525.60.13"), Some("580.65"), Some("what")].map(|driver| count(driver, old)), [0, 0, 0, 0]);
    assert_eq!([Some("470"), Some("579.1")].map(|driver| (count(driver, old), count(driver, new))), [(1, 1), (0, 1)]);
    assert_eq!((count(Some("550"), wheels), count(Some("580"), wheels)), (1, 0));
}

#[test]
fn traps_of_conda() {
    silent(
        "ML111",
        &[
            "FROM condaforge/miniforge3:24\nRUN mamba install -y numpy \\\n && mamba clean --all -y\n",
            "FROM condaforge/miniforge3:24\nRUN --mount=type=cache,target=/opt/conda/pkgs conda install -y numpy\n",
            "FROM condaforge/miniforge3:24 AS build\nRUN conda env create -f env.yml\nFROM debian:12\nCOPY --from=build /opt/conda/envs/x /x\n",
            "FROM condaforge/miniforge3:24\nRUN conda env list\n",
        ],
    );
    told("ML111", &[("FROM continuumio/anaconda3:2024.10-1\n", &[1])]);
    silent(
        "ML112",
        &[
            "FROM continuumio/miniconda3:24\nRUN conda install -y -c conda-forge numpy\n",
            "FROM continuumio/miniconda3:24\nCOPY .condarc /root/\nRUN conda install -y numpy\n",
        ],
    );
}

#[test]
fn traps_of_installing() {
    silent(
        "ML121",
        &[
            "FROM python:3.12\nCOPY . /app\nRUN pip install /app\n",
            "FROM python:3.12\nCOPY . .\nRUN pip install -e .\n",
            "FROM python:3.12\nCOPY . .\nRUN pip install -r requirements.txt -e .\n",
            "FROM python:3.12 AS a\nCOPY . .\nFROM python:3.12\nRUN pip install -r requirements.txt\n",
            "FROM python:3.12\nCOPY requirements.txt .\nRUN pip install -r requirements.txt\nCOPY . .\n",
            "FROM python:3.12\nCOPY --from=x . .\nRUN pip install flask\n",
        ],
    );
    told("ML121", &[("FROM python:3.12\nCOPY . .\nRUN uv sync --no-install-project\n", &[2])]);
    silent(
        "ML122",
        &[
            "FROM python:3.12\nRUN pip install torch torchvision numpy\n",
            "FROM python:3.12 AS x\nRUN pip install torch flask\nFROM debian:12\n",
            "FROM python:3.12\nRUN pip install -r requirements.txt\n",
        ],
    );
    silent(
        "ML125",
        &[
            "FROM python:3.12\nENV UV_LOCKED=1\nRUN uv sync\n",
            "FROM python:3.12\nRUN UV_FROZEN=1 uv sync\n",
            "FROM python:3.12\nRUN pipenv install --deploy\n",
            "FROM python:3.12\nCOPY pyproject.toml poetry.lock ./\nRUN poetry install\n",
        ],
    );
    silent(
        "ML126",
        &[
            "FROM python:3.12\nRUN pip install --index-url https://download.pytorch.org/whl/cpu torch\n",
            "FROM python:3.12\nRUN uv pip install --extra-index-url https://x/simple ours\n",
        ],
    );
    told(
        "ML126",
        &[
            ("FROM python:3.12\nENV PIP_EXTRA_INDEX_URL=https://x/simple\n", &[2]),
            (
                "FROM python:3.12\nRUN uv pip install --index-strategy unsafe-best-match --extra-index-url https://x/simple ours\n",
                &[2],
            ),
        ],
    );
    silent(
        "ML199",
        &[
            "FROM python:3.12\nRUN pip install --no-cache-dir a==1\n",
            "FROM python:3.12\nENV PIP_NO_CACHE_DIR=0\nRUN --mount=type=cache,target=/root/.cache pip install a\n",
        ],
    );
    silent(
        "ML132",
        &[
            "FROM debian:12\nRUN apt-get update && ./install.sh\n",
            "FROM debian:12\nRUN apt-get update\n",
            "FROM debian:12\nRUN --mount=type=cache,target=/var/lib/apt apt-get update\nRUN apt-get install -y a\n",
        ],
    );
}

#[test]
fn traps_of_layers() {
    silent(
        "ML129",
        &[
            "FROM python:3.12\nRUN mkdir /data && chown -R 1000 /data\n",
            "FROM python:3.12\nCOPY a /data\nRUN chown 1000 /data\n",
            "FROM python:3.12 AS x\nCOPY a /data\nRUN rm -rf /data\nFROM debian:12\n",
            "FROM python:3.12\nRUN apt-get update && apt-get install -y a && rm -rf /var/lib/apt/lists/*\n",
            "FROM python:3.12\nRUN rm -rf /var/lib/apt/lists/*\n",
        ],
    );
    told(
        "ML129",
        &[
            ("FROM debian:12\nRUN apt-get update && apt-get install -y a\nRUN rm -rf /var/lib/apt/lists/*\n", &[3]),
            ("FROM debian:12\nCOPY src /app/src\nRUN chmod -R a+rX /app\n", &[3]),
            ("FROM debian:12\nCOPY big /tmp/big/\nRUN ./x && rm -rf /tmp/big\n", &[3]),
        ],
    );
    silent(
        "ML130",
        &[
            "FROM python:3.12\nCOPY wheels /wheels\nRUN pip install /wheels/*\n",
            "FROM python:3.12 AS b\nCOPY wheels /wheels\nRUN pip install /wheels/* && rm -rf /wheels\nFROM debian:12\n",
        ],
    );
    told(
        "ML130",
        &[
            (
                "FROM python:3.12\nCOPY wheels /wheels\nRUN pip install --no-index --find-links=/wheels -r r.txt\nRUN rm -r /wheels\n",
                &[2],
            ),
            ("FROM a:1 AS b\nFROM python:3.12\nCOPY --from=b /w /w\nRUN pip install /w/*.whl && rm -rf /w/\n", &[3]),
        ],
    );
    silent(
        "ML131",
        &[
            "FROM debian:12\nRUN apt-get update && apt-get install -y gcc && make && apt-get purge -y gcc\n",
            "FROM debian:12 AS b\nRUN apt-get install -y gcc\nFROM debian:12\nCOPY --from=b /x /x\n",
            "FROM debian:12\nRUN apt-get install -y gcc\nRUN pip install vllm\n",
            "FROM alpine:3.22\nRUN apk add --no-cache --virtual .build gcc && make && apk del .build\n",
        ],
    );
    silent(
        "ML161",
        &[
            "FROM python:3.12\nCOPY model.safetensors /m/\nCOPY . /app\n",
            "FROM python:3.12\nCOPY . /app\nCOPY --from=x /models /models\n",
            "FROM python:3.12\nCOPY . /app\nCOPY a.bin /x\n",
        ],
    );
    told("ML161", &[("FROM python:3.12\nCOPY . /app\nCOPY weights/ /w/\n", &[3])]);
}

#[test]
fn traps_of_secrets() {
    silent(
        "ML145",
        &[
            "FROM a:1\nENV KEYBOARD=x KEYCLOAK_URL=y PUBLIC_KEY=z GPG_KEY=E3FF2839\n",
            "FROM a:1\nENV SORT_KEY=\n",
            "FROM a:1\nARG SSH_AUTH_SOCK\n",
        ],
    );
    told("ML145", &[("FROM a:1\nARG WANDB_APIKEY\nENV OPENAI_KEY=x\n", &[2, 3])]);
    silent(
        "ML142",
        &[
            "FROM a:1\nCOPY .env.example certs/ca.crt ca.pem tests/id_rsa /x/\n",
            "FROM a:1\nADD https://example.com/.env /x\n",
            "FROM a:1\nCOPY environment.yml .\n",
        ],
    );
    told(
        "ML142",
        &[
            ("FROM a:1\nCOPY .env* ./\nRUN rm .env\n", &[2]),
            ("FROM a:1\nCOPY a \\\n  kaggle.json /root/.kaggle/\n", &[3]),
            ("FROM a:1\nADD [\"id_ed25519\", \"/root/.ssh/\"]\n", &[2]),
        ],
    );
    let token = format!("hf_{}", "aBcDeFgHiJkLmNoPqRsTuVwXyZ012345");
    silent(
        "ML143",
        &[
            "FROM a:1\nENV HF_TOKEN=hf_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n",
            "FROM a:1\nRUN git clone https://$USER:$TOKEN@example.com/x\n",
            "FROM a:1\nRUN docker login -u me -p $PASSWORD && hf auth login --token \"$(cat /run/secrets/hf)\"\n",
            "FROM a:1\n# hf_aBcDeFgHiJkLmNoPqRsTuVwXyZ012345\nRUN true\n",
            "FROM a:1\nRUN pip install --hash=sha256:aBcDeFgHiJkLmNoPqRsTuVwXyZ012345 x\n",
        ],
    );
    told(
        "ML143",
        &[
            (&format!("FROM a:1\nENV X={token}\n"), &[2]),
            (&format!("FROM a:1\nRUN <<EOF\ntrue\nhf auth login --token {token}\nEOF\n"), &[4]),
            ("FROM a:1\nRUN docker login -u me -p correct-horse\n", &[2]),
            ("FROM a:1\nRUN pip install --index-url https://me:correct-horse@example.com/simple x\n", &[2]),
        ],
    );
    let shown = findings(&format!("FROM a:1\nENV X={token}\n"), "ML143").remove(0);
    assert_eq!(shown.message, "a token of Hugging Face (hf_…) stands here for everybody to read");
    silent(
        "ML144",
        &[
            "FROM a:1\nRUN --mount=type=secret,id=hf,env=HF_TOKEN python fetch.py\n",
            "FROM a:1\nRUN --mount=type=secret,id=n cp /run/secrets/n /root/.netrc && pip install x && rm /root/.netrc\n",
            "FROM a:1\nRUN --mount=type=secret,id=n --mount=type=tmpfs,target=/work cat /run/secrets/n > /work/n\n",
            "FROM a:1\nRUN --mount=type=secret,id=n cat /run/secrets/n > /dev/null\n",
            "FROM a:1\nRUN --mount=type=secret,id=n,env=T curl -H \"Authorization: $T\" https://x > /out\n"
                .trim_end_matches(" > /out\n"),
        ],
    );
    told(
        "ML144",
        &[
            (
                "FROM a:1\nRUN --mount=type=secret,id=n echo \"machine x password $(cat /run/secrets/n)\" > ~/.netrc\n",
                &[2],
            ),
            ("FROM a:1\nRUN --mount=type=secret,id=n,env=T echo $T | tee /root/t\n", &[2]),
            (
                "FROM a:1\nRUN --mount=type=secret,id=n,env=T git config --global url.https://x:$T@h.insteadOf https://h\n",
                &[2],
            ),
        ],
    );
}

#[test]
fn traps_of_who_runs() {
    silent(
        "ML151",
        &[
            "FROM gcr.io/distroless/python3-debian12:nonroot\n",
            "FROM quay.io/jupyter/base-notebook:2025-01-01\n",
            "FROM debian:12\nRUN apt-get install -y gosu\nENTRYPOINT [\"/entry.sh\"]\n",
            "ARG X\nFROM debian:12\nUSER $X\n",
            "ARG IMAGE\nFROM $IMAGE\n",
            "FROM debian:12 AS a\nUSER 1000\nFROM a\n",
        ],
    );
    told("ML151", &[("FROM debian:12 AS a\nUSER 1000\nFROM debian:12\nCOPY --from=a /x /x\n", &[3])]);
    silent(
        "ML153",
        &[
            "FROM a:1\nENV HF_HOME=/root/.cache\n",
            "FROM a:1\nRUN useradd -m -u 1000 app && pip install transformers\nUSER 1000\n",
            "FROM a:1\nENV HF_HOME=/models\nRUN pip install transformers\nUSER 1000\n",
        ],
    );
    told(
        "ML153",
        &[
            ("FROM a:1\nRUN pip install transformers\nUSER 10001\n", &[3]),
            ("FROM a:1\nRUN useradd --no-create-home app && pip install vllm\nUSER app\n", &[3]),
        ],
    );
    silent(
        "ML154",
        &[
            "FROM a:1\nCMD [\"python\", \"train.py\"]\n",
            "FROM a:1\nEXPOSE 80\nHEALTHCHECK NONE\n",
            "FROM a:1 AS b\nHEALTHCHECK CMD true\nFROM b\nEXPOSE 80\n",
        ],
    );
    told("ML154", &[("FROM a:1\nCMD exec gunicorn app:app\n", &[2])]);
    silent(
        "ML155",
        &[
            "FROM python:3.12\nHEALTHCHECK CMD curl -f http://localhost\n",
            "FROM python:3.12-alpine\nHEALTHCHECK CMD wget -q http://localhost\n",
            "FROM python:3.12-slim\nRUN apt-get install -y curl=7\nHEALTHCHECK CMD [\"curl\", \"-f\", \"http://localhost\"]\n",
            "FROM debian:12\nHEALTHCHECK CMD python -c 'curl' || exit 1\n",
            "FROM python:3.12\nRUN pip install torch\nHEALTHCHECK --start-period=5m CMD true\n",
        ],
    );
    told("ML155", &[("FROM python:3.12\nRUN pip install torch\nHEALTHCHECK CMD true\n", &[3])]);
    silent(
        "ML157",
        &[
            "FROM a:1\nCMD [\"uvicorn\", \"a:a\", \"--host\", \"127.0.0.1\"]\n",
            "FROM a:1 AS dev\nCMD [\"flask\", \"run\"]\n",
            "FROM a:1\nEXPOSE 80\nCMD [\"gunicorn\", \"-b\", \"0.0.0.0:80\", \"a:a\"]\n",
        ],
    );
    told(
        "ML157",
        &[
            ("FROM a:1\nCMD flask run --host 0.0.0.0\n", &[2]),
            ("FROM a:1\nENV FLASK_DEBUG=1\nCMD [\"gunicorn\"]\n", &[2]),
            ("FROM a:1\nEXPOSE 8000\nCMD [\"gunicorn\", \"-b\", \"127.0.0.1:8000\"]\n", &[3]),
            ("FROM a:1\nCMD [\"jupyter\", \"lab\", \"--ServerApp.token=''\"]\n", &[2]),
        ],
    );
    silent(
        "ML198",
        &[
            "FROM a:1\nEXPOSE 8000-8010\nCMD [\"uvicorn\", \"a:a\", \"--port\", \"8005\"]\n",
            "FROM a:1\nEXPOSE $PORT\nCMD [\"uvicorn\", \"a:a\", \"--port\", \"8005\"]\n",
            "FROM a:1\nEXPOSE 80\nCMD uvicorn a:a --port $PORT\n",
            "FROM a:1\nEXPOSE 80\nCMD [\"train\", \"--port\", \"1\"]\n",
        ],
    );
    told("ML198", &[("FROM a:1\nEXPOSE 80/tcp\nCMD gunicorn --bind=0.0.0.0:8000 a:a\n", &[2])]);
}

#[test]
fn traps_of_what_is_fetched() {
    silent(
        "ML163",
        &[
            "FROM a:1\nRUN hf download x/y --revision $REV\n",
            "FROM a:1\nRUN curl -L https://huggingface.co/x/y/resolve/0123abcd/model.safetensors -o m\n",
            "FROM a:1\nRUN wget https://example.com/a.pt && echo 'x a.pt' | sha256sum -c\n",
            "FROM a:1\nRUN python -c \"AutoModel.from_pretrained('x', revision='1f')\"\n",
            "FROM a:1\nRUN curl https://example.com/a.tar.gz -o a\n",
        ],
    );
    told(
        "ML163",
        &[
            ("FROM a:1\nRUN python3 -c \"from x import *; snapshot_download('a/b')\"\n", &[2]),
            ("FROM a:1\nRUN wget https://example.com/m.gguf?download=true\n", &[2]),
            ("FROM a:1\nRUN git clone https://huggingface.co/x/y\n", &[2]),
        ],
    );
    silent(
        "ML165",
        &["FROM a:1\nADD https://example.com/x.git#v1 /x\n", "FROM a:1\nADD a.tar.gz /x\n", "FROM a:1\nCOPY a /a\n"],
    );
    silent(
        "ML166",
        &[
            "FROM a:1\nRUN curl https://x/a.sh -o a && echo 'y a' | sha256sum -c && sh a\n",
            "FROM a:1\nRUN curl https://x/a.json | python3 -c 'import json'\n",
            "FROM a:1\nRUN curl https://x/a.json | python3 -m json.tool\n",
            "FROM a:1\nRUN curl https://x/a.tar.gz | tar xz\n",
            "FROM a:1\nRUN echo hi | sh\n",
            "FROM a:1\nRUN VERSION=$(curl https://x/version) && bash install.sh\n",
        ],
    );
    told(
        "ML166",
        &[
            ("FROM a:1\nRUN curl -LsSf https://astral.sh/uv/install.sh | sudo -E bash -s -- -y\n", &[2]),
            ("FROM a:1\nRUN bash -c \"$(curl -fsSL https://x)\"\n", &[2]),
            ("FROM a:1\nRUN wget -qO- https://x | python3 -\n", &[2]),
            ("FROM a:1\nSHELL [\"/bin/bash\", \"-c\"]\nRUN bash <(curl -s https://x)\n", &[3]),
        ],
    );
    silent(
        "ML167",
        &[
            "FROM a:1\nCOPY ca.crt /usr/local/share/ca-certificates/\nRUN update-ca-certificates && curl -f https://x\n",
            "FROM a:1\nRUN tar -k -xf a && wget -q https://x\n",
            "FROM a:1\nENV NODE_TLS_REJECT_UNAUTHORIZED=1\n",
        ],
    );
    told(
        "ML167",
        &[
            ("FROM a:1\nRUN curl -fsSLk https://x\n", &[2]),
            ("FROM a:1\nRUN pip install --trusted-host x a\nENV PYTHONHTTPSVERIFY=0\n", &[2, 3]),
            ("FROM a:1\nRUN git config --global http.sslVerify false && npm config set strict-ssl false\n", &[2, 2]),
            ("FROM a:1\nRUN apt-get install -y --allow-unauthenticated x && apk add --allow-untrusted y\n", &[2, 2]),
        ],
    );
    silent(
        "ML183",
        &[
            "FROM a:1\nRUN git clone --branch v1.2 https://x/y\n",
            "FROM a:1\nRUN git clone -b $TAG https://x/y\n",
            "FROM a:1\nRUN git clone https://x/y && cd y && git checkout 1f2e\n",
            "FROM a:1\nRUN apt-get update\n",
        ],
    );
    told("ML183", &[("FROM a:1\nRUN apt-get update && apt-get -y dist-upgrade\nRUN date > /built\n", &[2, 3])]);
}

/// The files of practitioners' guides: what is right in them is not told, and the wheels that stay are.
#[test]
fn the_guides_files_get_what_is_right() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/guides"));
    if !folder.is_dir() {
        assert!(std::env::var_os("CI").is_none(), "{} is absent", folder.display());
        return;
    }
    let told = |name: &str| -> Vec<String> {
        let text = std::fs::read_to_string(folder.join(name).join("Dockerfile")).unwrap();
        let all = findings(&text, "ML").into_iter().zip(lines(&text, "ML"));
        all.map(|(finding, line)| format!("{} {line}", finding.rule)).collect()
    };
    assert_eq!(told("fastapi-service"), ["ML102 2", "ML130 12"]);
    assert_eq!(told("api"), ["ML151 1", "ML102 1", "ML131 4", "ML154 12"]);
    assert_eq!(told("train-job"), ["ML151 1", "ML102 1"]);
    assert_eq!(told("gpu-train"), ["ML102 2", "ML151 7", "ML102 7"]);
}
