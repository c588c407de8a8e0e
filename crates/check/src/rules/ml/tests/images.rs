//! Rules about what an image stands on: bases, CUDA, conda.

use std::path::Path;

use super::{silent, told};
use crate::lint::{Choice, Config, Date, lint_dockerfile};

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
