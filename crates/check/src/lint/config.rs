//! What the user says about linting, already read: `.hadolint.yaml`, `[lint]`, options, what is known of driver and GPU.

use std::collections::BTreeMap;
use std::path::PathBuf;

use corten_frontend::dockerfile::{Named, Options};
use corten_frontend::ignore::Matcher;
use corten_oci::{ImageConfig, Platform};

/// What rules are told.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Registries that a base may come from, as patterns with `*`; empty where all may.
    pub trusted_registries: Vec<String>,
    /// Labels that an image has to have, and what their values are.
    pub labels: BTreeMap<String, LabelKind>,
    /// No other labels are allowed.
    pub strict_labels: bool,
    /// Of the build that is meant; the last stage where there is none.
    pub target: Option<String>,
    /// `--build-arg`: they go before defaults.
    pub build_args: BTreeMap<String, String>,
    /// What is built for, and on; amd64 where nobody says.
    pub platforms: Option<(Platform, Platform)>,
    /// `--build-context`: what names stand for.
    pub contexts: BTreeMap<String, Named>,
    /// Configs of images, by the names that FROM gives them, as far as somebody knows them.
    pub images: BTreeMap<String, ImageConfig>,
    /// Today, for what has an end; none in tests of what does not depend on it.
    pub today: Option<Date>,
    /// Version of the driver that containers will find.
    pub driver: Option<String>,
    /// GPUs that they will find.
    pub gpus: Vec<String>,
    /// What the context leaves out: its file where one is there.
    pub ignore: Option<IgnoreFile>,
    /// Is the context known, so that an absent ignore file says something?
    pub context_known: bool,
}

impl Config {
    /// As the frontend takes them.
    pub fn options(&self) -> Options {
        let linux = || Platform { os: "linux".to_owned(), architecture: "amd64".to_owned(), variant: None };
        let (platform, build) = self.platforms.clone().unwrap_or_else(|| (linux(), linux()));
        let mut options = Options::new(platform, build);
        options.target.clone_from(&self.target);
        options.build_args.clone_from(&self.build_args);
        options.contexts.clone_from(&self.contexts);
        options
    }
}

/// A day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// As in 2026.
    pub year: u16,
    /// From 1.
    pub month: u8,
    /// From 1.
    pub day: u8,
}

impl Date {
    /// The day of a time, in UTC; `seconds` since 1970.
    ///
    /// Howard Hinnant, "chrono-compatible low-level date algorithms": days of years that begin in March.
    pub fn of(seconds: i64) -> Self {
        let days = seconds.div_euclid(86_400).clamp(0, 23_000_000) + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = year + era * 400 + i64::from(month <= 2);
        let small = |number: i64| u8::try_from(number).unwrap_or(1);
        Self { year: u16::try_from(year).unwrap_or(u16::MAX), month: small(month), day: small(day) }
    }
}

impl std::fmt::Display for Date {
    /// `2026-10-31`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// `.dockerignore`, or `<Dockerfile>.dockerignore`.
#[derive(Debug, Clone)]
pub struct IgnoreFile {
    /// As the user knows it.
    pub path: PathBuf,
    /// As it is written.
    pub text: String,
    /// Its patterns.
    pub matcher: Matcher,
}

/// What the value of a label is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelKind {
    /// Any text.
    Text,
    /// An address.
    Url,
    /// A time of RFC 3339.
    Rfc3339,
    /// An SPDX licence identifier.
    Spdx,
    /// A commit of git.
    GitHash,
    /// A semantic version.
    SemVer,
    /// An address of e-mail.
    Email,
}

impl LabelKind {
    /// By the name that hadolint's settings give it.
    pub fn of(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "text" | "rawtext" | "" => Self::Text,
            "url" => Self::Url,
            "rfc3339" => Self::Rfc3339,
            "spdx" => Self::Spdx,
            "hash" => Self::GitHash,
            "semver" => Self::SemVer,
            "email" => Self::Email,
            _ => return None,
        })
    }
}
