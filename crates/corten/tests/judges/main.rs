//! Other people's programs say whether the images of `examples/text-classifier` and of the jobs beside it are right. They are
//! shipped once, from the real archive and the real index, with nothing of this checkout's own state.
//!
//! | judge | what it says |
//! |---|---|
//! | `crane` | every digest, size and diff id is true |
//! | `skopeo`, a registry | the image is the same elsewhere |
//! | `distribution` 3.1 and 2.8 | what Corten brings to a registry is what others read, and it reads what they bring |
//! | `crane`, `regctl`, `skopeo`, `podman`, `docker`, `containerd`, BuildKit | `corten registry serve` is a registry to them; `distribution` 3.1 does what its table of endpoints says |
//! | BuildKit, `crane`, `regctl`, `skopeo`, `docker` | an image of a Dockerfile goes to distribution 3.1 in every compression as BuildKit's does; into docker by `--load`, where it runs |
//! | BuildKit | what a Dockerfile becomes: config, history, layers, files ([`buildkit`]); those of practitioners' guides, which then run ([`guides`]) |
//! | hadolint, compose, BuildKit | what `corten init` writes: read, built and started ([`init`]) |
//! | `bash` | the page of exercises does what it says ([`exercises`]) |
//! | `skopeo`, `podman`, `docker`, `crane`, `regctl` | what `save` writes is read by others, `load` reads what they write; by file to a place without a network |
//! | `crane`, `regctl`, `skopeo` | layers in zstd and eStargz and Docker's manifests go to distribution 3.1 and come back |
//! | `skopeo`, `estargz` | layers in zstd and eStargz are read by others |
//! | the image's Python | bytecode is taken |
//! | `umoci` + `runc` | the examples that are jobs: their own tests inside the image; data in, results out; killed, they go on |
//! | `docker`, `podman`, `umoci` + `runc` | the service starts without privileges, and answers; its health check passes |
//! | `uv` | what every installed distribution requires is there; the project's own packages are what it installs |
//! | `podman` | an image that it made is a base; the service on it starts |
//! | `crane`, `skopeo`, `podman`, `umoci`, `readelf`, `uv`, `qemu` | an index of two platforms: whole, each of its own machine code, started |
//! | `uv` on an empty Debian | the wheel of `cargo xtask dist` installs there, and the program in it builds |
//! | NVIDIA's `cuobjdump` | GPU code that libraries of wheels have |
//! | pytest | runs in the image by `corten test`, and writes its report |
//! | `dpkg`, `syft` | the packages are those of the bill of materials |
//! | `python3-jsonschema` | the bill of materials is SPDX 2.3 |
//! | hadolint | its variables of the environment mean the same ([`lint_environment`]) |
//! | reviewdog, GitHub's `@actions/core`, TypeScript | checkstyle is read whole, annotations are those of GitHub's library, issues of Code Climate's types ([`lint_formats`]) |
//! | schemas, `xmllint`, `hadolint`, `nvim` | the linter's reports are what their readers expect; an editor shows and mends what it finds ([`reports`]) |
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod attested;
mod bill;
mod buildkit;
mod bundle;
mod carry;
mod copies;
mod docker;
mod exercises;
mod files;
mod given;
mod gpu;
mod guides;
mod image;
mod init;
mod inside;
mod install;
mod jobs;
mod kinds;
mod lint_environment;
mod lint_formats;
mod modes;
mod own;
mod place;
mod platforms;
mod podman;
mod registries;
mod reports;
mod serve;
mod service;
mod trial;
