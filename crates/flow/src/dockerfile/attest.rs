//! `--sbom` and `--provenance`: what is said about an image that was built from a Dockerfile, in an index with it.
//!
//! The bill of materials comes from the databases of dpkg and Python in its final files; provenance from the plan and from what was
//! fetched. An image that `corten ship` makes has its bill as a referrer instead, and of every file: its packages are known by
//! construction.

use std::collections::BTreeMap;

use base64::Engine;
use corten_attest::bom::{BomInput, spdx::spdx};
use corten_attest::{
    Material, PROVENANCE_PREDICATE, Provenance, SPDX_PREDICATE, Statement, Subject, Whole, about_files, attest, brief,
    provenance,
};
use corten_diagnostic::{Failure, Report};
use corten_oci::{Digest, ImageConfig, LayerPath, Platform, Reference};
use corten_package::{Purl, PurlParts};
use corten_store::{AddedFile, TreeLayer};
use serde_json::Value;

use super::build::{Outcome, Way};
use super::request::{ContextPlace, Request};
use crate::exports::{self, Exported, IndexTexts};
use crate::world::World;
use crate::{base::HOST, blobs, git, registry, scan};

/// Names of statements beside plain files, as BuildKit's.
const BILL_FILE: &str = "sbom.spdx.json";
const PROVENANCE_FILE: &str = "provenance.json";

/// What is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attestations {
    /// `--sbom`.
    pub sbom: bool,
    /// `--provenance`.
    pub provenance: Option<Mode>,
    /// `builder-id=`.
    pub builder: String,
}

/// How much provenance tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// What it was built from.
    Min,
    /// And with which arguments and Dockerfile.
    Max,
}

impl Attestations {
    /// Is anything wanted?
    pub fn is_some(&self) -> bool {
        self.sbom || self.provenance.is_some()
    }
}

/// A commit, and where its repository is published.
type Revision = (String, Option<String>);

/// A build that is over.
pub struct Built<'a> {
    /// What was asked for.
    pub request: &'a Request,
    /// How it was built.
    pub way: &'a Way,
    /// What came of it.
    pub outcome: &'a Outcome,
    /// Its names.
    pub names: &'a [Reference],
    /// When it began and ended, seconds since 1970.
    pub times: (i64, i64),
}

impl Built<'_> {
    /// Says of `manifest`, the image's, what is wanted, and stores an index of both: its digest.
    ///
    /// # Errors
    /// Layers that are nowhere, databases of packages that cannot be read, a disk that says no.
    pub fn attest(
        &self,
        manifest: &Digest,
        wanted: &Attestations,
        texts: &IndexTexts,
        world: &World<'_>,
    ) -> Result<Digest, Report> {
        let store = world.store;
        let config = self.config(world)?;
        let platform = Platform {
            os: config.os.clone(),
            architecture: config.architecture.clone(),
            variant: config.variant.clone(),
        };
        let statements = self.statements(manifest, &config, wanted, world)?;
        let mut described = registry::describe(manifest, world)?;
        described.annotations.clone_from(&texts.manifest_descriptor);
        let names = self.names.iter().filter_map(|name| purl(name, &platform)).collect();
        let subject = Subject { manifest: described, platform, names };
        let made = attest(&subject, &statements, texts.index.clone()).map_err(unwritten)?;
        let batch = store.batch();
        for blob in &made.blobs {
            batch.put(blob)?;
        }
        let index = batch.put(&made.index)?;
        batch.finish()?;
        Ok(index)
    }

    /// The same statements as files beside those of the image, about each of them, as BuildKit writes them with its exporters
    /// `local` and `tar`.
    ///
    /// # Errors
    /// As [`Built::attest`].
    pub fn files(&self, wanted: &Attestations, prefix: &str, world: &World<'_>) -> Result<Vec<AddedFile>, Report> {
        let id = self.outcome.id;
        let statements = self.statements(&id, &self.config(world)?, wanted, world)?;
        let layers = exports::layers(Exported::Local(id), world)?;
        let blobs: Vec<_> = layers.iter().filter_map(|layer| layer.blob.clone()).collect();
        blobs::bring(&blobs, "listing the image's files", &self.request.registry, world)?;
        let subjects: Vec<(String, Digest)> = world
            .store
            .file_digests(&layers, world.store)?
            .into_iter()
            .map(|(path, digest)| (path.to_string(), digest))
            .collect();
        let epoch = self.outcome.planned.pinned.recipe.epoch.and_then(|epoch| i64::try_from(epoch).ok());
        let file = |statement: &Statement| {
            let base = if statement.predicate_type == SPDX_PREDICATE { BILL_FILE } else { PROVENANCE_FILE };
            let name = LayerPath::new(format!("{prefix}{base}"));
            let name = name.map_err(|error| Failure::usage(format!("--output attestation-prefix: {error}")))?;
            let content = about_files(statement, &subjects).map_err(unwritten)?;
            Ok(AddedFile { name, content, mtime: epoch.unwrap_or(self.times.1) })
        };
        statements.iter().map(file).collect()
    }

    /// What buildx writes of where the image came from to its metadata file.
    pub fn metadata(&self, world: &World<'_>) -> Value {
        brief(&self.provenance(Mode::Min, "", None, world))
    }

    fn config(&self, world: &World<'_>) -> Result<ImageConfig, Report> {
        let bytes = world.store.bytes(&self.outcome.id)?;
        let config = ImageConfig::parse(&bytes);
        Ok(config.map_err(|error| Failure::world(format!("reading the config {}: {error}", self.outcome.id)))?)
    }

    /// `image` is what the bill is of.
    fn statements(
        &self,
        image: &Digest,
        config: &ImageConfig,
        wanted: &Attestations,
        world: &World<'_>,
    ) -> Result<Vec<Statement>, Report> {
        let mut statements = Vec::new();
        if wanted.sbom {
            let predicate = self.bill(image, config, world)?;
            statements.push(Statement { predicate_type: SPDX_PREDICATE, predicate });
        }
        if let Some(mode) = wanted.provenance {
            let revision = self.revision(world)?;
            let predicate = provenance(&self.provenance(mode, &wanted.builder, revision, world));
            statements.push(Statement { predicate_type: PROVENANCE_PREDICATE, predicate });
        }
        Ok(statements)
    }

    fn bill(&self, manifest: &Digest, config: &ImageConfig, world: &World<'_>) -> Result<Value, Report> {
        let layers = self.outcome.finished.layers.iter();
        let layers = layers.map(|layer| TreeLayer { diff_id: layer.diff_id, blob: layer.blob.clone() });
        let name = self.names.first().map_or_else(|| "image".to_owned(), |name| name.repository.to_string());
        let input = BomInput {
            name,
            digest: *manifest,
            created: config.created.clone(),
            tool_version: world.tool.trim_start_matches("corten ").to_owned(),
            packages: scan::packages(&layers.collect::<Vec<_>>(), &self.request.registry, world)?,
            files: None,
        };
        let bytes = spdx(&input).map_err(|error| Failure::bug(error.to_string()))?;
        let value = serde_json::from_slice(&bytes);
        Ok(value.map_err(|error| Failure::bug(format!("reading the bill of materials: {error}")))?)
    }

    fn provenance(&self, mode: Mode, builder: &str, revision: Option<Revision>, world: &World<'_>) -> Provenance {
        let planned = &self.outcome.planned;
        let source = &planned.source;
        let file = source.file.path.as_path();
        let within = source.folder.as_ref().and_then(|folder| file.strip_prefix(folder).ok()).unwrap_or(file);
        let context = source.address.as_ref().zip(source.commit.as_ref());
        let images = planned.pinned.images.iter().filter_map(|(name, image)| {
            let uri = purl(&name.image.parse().ok()?, &name.platform)?;
            Some(Material { uri, digest: ("sha256", image.digest.hex()) })
        });
        let is_remote = |place: &ContextPlace| matches!(place, ContextPlace::Remote(_));
        let fetched = self.outcome.fetched.iter().map(|(address, pin)| material(address, pin));
        Provenance {
            path: within.display().to_string(),
            context: context.map(|(address, commit)| material(address, commit)),
            materials: images.chain(fetched).collect(),
            // An archive at an address is not pinned.
            is_complete: (source.address.is_none() || source.commit.is_some())
                && !self.request.contexts.values().any(is_remote),
            revision,
            platform: format!("linux/{HOST}"),
            builder: builder.to_owned(),
            version: world.tool.trim_start_matches("corten ").to_owned(),
            times: match planned.pinned.recipe.epoch {
                Some(_) => None,
                None => time(self.times.0).zip(time(self.times.1)),
            },
            whole: (mode == Mode::Max).then(|| self.whole()),
        }
    }

    /// The commit of a folder on this machine.
    fn revision(&self, world: &World<'_>) -> Result<Option<Revision>, Report> {
        let source = &self.outcome.planned.source;
        let Some(folder) = source.folder.as_ref().filter(|_| source.address.is_none()) else { return Ok(None) };
        let Some(commit) = git::commit(folder, world.store)? else { return Ok(None) };
        let changed = if commit.changed.is_empty() { "" } else { "-dirty" };
        Ok(Some((format!("{}{changed}", commit.id), git::origin(folder)?)))
    }

    fn whole(&self) -> Whole {
        let pairs = |all: &BTreeMap<String, String>| all.iter().map(|(n, v)| (n.clone(), v.clone())).collect();
        let text = self.outcome.planned.source.file.text.as_bytes();
        Whole {
            arguments: pairs(&self.request.build_args),
            labels: pairs(&self.request.labels),
            target: self.request.target.clone(),
            secrets: self.way.secrets.values.keys().cloned().collect(),
            agents: self.way.secrets.agents.keys().cloned().collect(),
            steps: self.outcome.finished.steps.iter().map(|step| step.name.clone()).collect(),
            dockerfile: base64::engine::general_purpose::STANDARD.encode(text),
        }
    }
}

fn unwritten(error: serde_json::Error) -> Failure {
    Failure::bug(format!("writing attestations: {error}"))
}

fn material(address: &str, pin: &str) -> Material {
    let digest = match pin.split_once(':') {
        Some((_, hex)) => ("sha256", hex.to_owned()),
        None if pin.len() > 40 => ("sha256", pin.to_owned()),
        None => ("sha1", pin.to_owned()),
    };
    Material { uri: address.to_owned(), digest }
}

/// `pkg:docker/demo@1?platform=linux%2Famd64`, as BuildKit names images.
fn purl(name: &Reference, platform: &Platform) -> Option<String> {
    let whole = name.repository.normalised().to_string();
    let short = whole.strip_prefix("docker.io/").unwrap_or(&whole);
    let short = short.strip_prefix("library/").unwrap_or(short);
    let (namespace, bare) = short.rsplit_once('/').map_or((None, short), |(space, name)| (Some(space), name));
    let tag = name.tag.as_ref().map(ToString::to_string);
    let version = name.digest.as_ref().map(ToString::to_string).or(tag);
    let version = version.unwrap_or_else(|| "latest".to_owned());
    let parts = PurlParts { kind: "docker", namespace, name: bare, version: Some(&version), ..PurlParts::default() };
    Some(Purl::from_parts(&parts).ok()?.with("platform", &platform.to_string()).to_string())
}

fn time(seconds: i64) -> Option<String> {
    jiff::Timestamp::from_second(seconds).ok().map(|time| time.to_string())
}
