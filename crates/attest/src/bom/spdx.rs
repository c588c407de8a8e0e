//! SPDX 2.3 as JSON (<https://spdx.github.io/spdx-spec/v2.3/>), as BuildKit, Docker Scout, cosign and GitHub take it.
//!
//! ```text
//! document ──DESCRIBES──► image ──CONTAINS──► package ──CONTAINS──► file (where files are wanted)
//!                           └────CONTAINS──► file of no package
//! ```
//!
//! The document's namespace is made from the image's digest, and its time is the image's own: the same image always
//! gives the same bytes.

use std::collections::{BTreeMap, BTreeSet};

use corten_oci::{DiffId, Digest};
use serde::Serialize;

use super::files::verification_code;
use super::licence::{Licence, licence};
use super::{BomError, BomFile, BomInput, BomKind, BomPackage, Supplier};

const UNSAID: &str = "NOASSERTION";
const DOCUMENT: &str = "SPDXRef-DOCUMENT";
const IMAGE: &str = "SPDXRef-Image";
/// What `created` says where no reproducible time is known; the specification demands one.
const NO_TIME: &str = "1970-01-01T00:00:00Z";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    spdx_version: &'static str,
    data_license: &'static str,
    #[serde(rename = "SPDXID")]
    id: &'static str,
    name: String,
    document_namespace: String,
    creation_info: CreationInfo,
    packages: Vec<Package>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<File>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    has_extracted_licensing_infos: Vec<Extracted>,
    relationships: Vec<Relationship>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreationInfo {
    created: String,
    creators: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Package {
    #[serde(rename = "SPDXID")]
    id: String,
    name: String,
    version_info: String,
    supplier: String,
    download_location: String,
    files_analyzed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    package_verification_code: Option<VerificationCode>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checksums: Vec<Checksum>,
    license_concluded: &'static str,
    license_declared: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    license_info_from_files: Option<[&'static str; 1]>,
    copyright_text: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_info: Option<String>,
    primary_package_purpose: &'static str,
    external_refs: Vec<ExternalRef>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VerificationCode {
    package_verification_code_value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Checksum {
    algorithm: &'static str,
    checksum_value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExternalRef {
    reference_category: &'static str,
    reference_type: &'static str,
    reference_locator: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(rename = "SPDXID")]
    id: String,
    file_name: String,
    checksums: Vec<Checksum>,
    license_concluded: &'static str,
    license_info_in_files: [&'static str; 1],
    copyright_text: &'static str,
    comment: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Extracted {
    license_id: String,
    extracted_text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    spdx_element_id: String,
    relationship_type: &'static str,
    related_spdx_element: String,
}

/// Writes the document: JSON, indented by two blanks, with a line end.
pub fn spdx(input: &BomInput) -> Result<Vec<u8>, BomError> {
    let packages = identified(&input.packages);
    let files = Files::of(input, &packages);
    let licences: Vec<Licence> = packages.iter().map(|(_, package)| licence(package.license.as_deref())).collect();
    let document = Document {
        spdx_version: "SPDX-2.3",
        data_license: "CC0-1.0",
        id: DOCUMENT,
        name: format!("{}@{}", input.name, input.digest),
        document_namespace: namespace(input),
        creation_info: CreationInfo {
            created: created(input.created.as_deref())?,
            creators: vec![format!("Tool: corten-{}", input.tool_version)],
        },
        relationships: relationships(&packages, &files),
        packages: std::iter::once(image(input, &files))
            .chain(packages.iter().zip(&licences).map(|((id, it), licence)| package(id, it, licence, &files)))
            .collect(),
        files: files.shapes(),
        has_extracted_licensing_infos: extracted(licences),
    };
    let mut bytes = serde_json::to_vec_pretty(&document).map_err(|error| BomError(error.to_string()))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Unique for what decides the bytes: image, tool, with or without files.
fn namespace(input: &BomInput) -> String {
    let tail = if input.files.is_some() { "-files" } else { "" };
    let (name, tool) = (slug(&input.name), slug(&input.tool_version));
    format!("https://spdx.org/spdxdocs/corten-{tool}/{name}-{}{tail}", input.digest.hex())
}

/// In UTC, to the second: the only form that SPDX takes.
fn created(text: Option<&str>) -> Result<String, BomError> {
    let Some(text) = text else { return Ok(NO_TIME.into()) };
    let time: jiff::Timestamp = text.parse().map_err(|error| BomError(format!("created is '{text}': {error}")))?;
    jiff::Timestamp::from_second(time.as_second())
        .map(|time| time.to_string())
        .map_err(|error| BomError(format!("created is '{text}': {error}")))
}

/// Letters, digits, `.` and `-`: what an SPDX identifier may hold.
fn slug(text: &str) -> String {
    let good = |char: char| if char.is_ascii_alphanumeric() || char == '.' { char } else { '-' };
    text.chars().take(100).map(good).collect()
}

/// Packages in the order of their purls, each with an identifier of its own.
fn identified(packages: &[BomPackage]) -> Vec<(String, &BomPackage)> {
    let mut sorted: Vec<&BomPackage> = packages.iter().collect();
    sorted.sort_by_key(|package| (&package.purl, package.layer, package.digest, &package.name, &package.version));
    sorted.dedup();
    let mut taken = BTreeSet::new();
    let mut identify = |package: &BomPackage| {
        let plain = format!("SPDXRef-{}-{}-{}", kind(package.kind), slug(&package.name), slug(&package.version));
        let further = (2_u32..).map(|number| format!("{plain}-{number}"));
        std::iter::once(plain.clone()).chain(further).find(|id| taken.insert(id.clone())).unwrap_or(plain)
    };
    sorted.into_iter().map(|package| (identify(package), package)).collect()
}

fn kind(kind: BomKind) -> &'static str {
    match kind {
        BomKind::Wheel => "Wheel",
        BomKind::Deb => "Deb",
        BomKind::Application => "Application",
        BomKind::Weights => "Weights",
    }
}

fn image(input: &BomInput, files: &Files<'_>) -> Package {
    let name = input.name.rsplit('/').next().unwrap_or_default();
    let purl = format!("pkg:oci/{}@sha256%3A{}", slug(name).to_ascii_lowercase(), input.digest.hex());
    Package {
        id: IMAGE.into(),
        name: input.name.clone(),
        version_info: input.digest.to_string(),
        supplier: UNSAID.into(),
        download_location: UNSAID.into(),
        files_analyzed: files.has(IMAGE),
        package_verification_code: files.code(IMAGE),
        checksums: vec![sha256(&input.digest)],
        license_concluded: UNSAID,
        license_declared: UNSAID.into(),
        license_info_from_files: files.has(IMAGE).then_some([UNSAID]),
        copyright_text: UNSAID,
        source_info: None,
        primary_package_purpose: "CONTAINER",
        external_refs: vec![purl_reference(purl)],
    }
}

fn package(id: &str, package: &BomPackage, licence: &Licence, files: &Files<'_>) -> Package {
    Package {
        id: id.to_owned(),
        name: package.name.clone(),
        version_info: package.version.clone(),
        supplier: supplier(package.supplier.as_ref()),
        download_location: package.download_url.as_deref().map_or_else(|| UNSAID.into(), without_secrets),
        files_analyzed: files.has(id),
        package_verification_code: files.code(id),
        checksums: package.digest.iter().map(sha256).collect(),
        license_concluded: UNSAID,
        license_declared: licence.expression.clone(),
        license_info_from_files: files.has(id).then_some([UNSAID]),
        copyright_text: UNSAID,
        source_info: Some(source_info(package)),
        primary_package_purpose: match package.kind {
            BomKind::Wheel | BomKind::Deb => "LIBRARY",
            BomKind::Application => "APPLICATION",
            BomKind::Weights => "OTHER",
        },
        external_refs: vec![purl_reference(package.purl.clone())],
    }
}

/// Where it is, and what it was made of.
fn source_info(package: &BomPackage) -> String {
    match &package.source {
        None => format!("layer {}", package.layer),
        Some(source) => format!("layer {}; {source}", package.layer),
    }
}

fn sha256(digest: &Digest) -> Checksum {
    Checksum { algorithm: "SHA256", checksum_value: digest.hex() }
}

fn purl_reference(purl: String) -> ExternalRef {
    ExternalRef { reference_category: "PACKAGE-MANAGER", reference_type: "purl", reference_locator: purl }
}

/// `Organization: NAME (mail)`, as SPDX spells it (§7.5).
fn supplier(supplier: Option<&Supplier>) -> String {
    let (what, text) = match supplier {
        None => return UNSAID.into(),
        Some(Supplier::Organization(text)) => ("Organization", text),
        Some(Supplier::Person(text)) => ("Person", text),
    };
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.split_once('<') {
        Some((name, mail)) => format!("{what}: {} ({})", name.trim(), mail.trim_end_matches('>').trim()),
        None if words.is_empty() => UNSAID.into(),
        None => format!("{what}: {words}"),
    }
}

/// A URL without user, password, query and fragment: tokens hide in all of them.
fn without_secrets(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else { return UNSAID.into() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

fn extracted(licences: Vec<Licence>) -> Vec<Extracted> {
    let by_id: BTreeMap<String, String> = licences.into_iter().flat_map(|licence| licence.extracted).collect();
    by_id.into_iter().map(|(license_id, extracted_text)| Extracted { license_id, extracted_text }).collect()
}

fn relationships(packages: &[(String, &BomPackage)], files: &Files<'_>) -> Vec<Relationship> {
    let relate = |from: &str, how: &'static str, to: &str| Relationship {
        spdx_element_id: from.to_owned(),
        relationship_type: how,
        related_spdx_element: to.to_owned(),
    };
    let mut all = vec![relate(DOCUMENT, "DESCRIBES", IMAGE)];
    all.extend(packages.iter().map(|(id, _)| relate(IMAGE, "CONTAINS", id)));
    for (owner, owned) in &files.by_owner {
        all.extend(owned.iter().map(|(id, _)| relate(owner, "CONTAINS", id)));
    }
    all
}

/// The files by who owns them.
#[derive(Default)]
struct Files<'a> {
    /// Owner's identifier → files with theirs, sorted by path and layer.
    by_owner: BTreeMap<String, Vec<(String, &'a BomFile)>>,
}

impl<'a> Files<'a> {
    fn of(input: &'a BomInput, packages: &[(String, &BomPackage)]) -> Self {
        let owners: BTreeMap<(&str, DiffId), &str> =
            packages.iter().map(|(id, package)| ((package.purl.as_str(), package.layer), id.as_str())).collect();
        let mut sorted: Vec<&BomFile> = input.files.iter().flatten().collect();
        sorted.sort_by_key(|file| (&file.path, file.layer));
        sorted.dedup_by_key(|file| (&file.path, file.layer));
        let mut files = Self::default();
        for file in sorted {
            let owner = file.package.as_deref().and_then(|purl| owners.get(&(purl, file.layer))).unwrap_or(&IMAGE);
            files.by_owner.entry((*owner).to_owned()).or_default().push((file_id(file), file));
        }
        files
    }

    fn has(&self, owner: &str) -> bool {
        self.by_owner.contains_key(owner)
    }

    fn code(&self, owner: &str) -> Option<VerificationCode> {
        let sums = self.by_owner.get(owner)?.iter().map(|(_, file)| &file.sums);
        Some(VerificationCode { package_verification_code_value: verification_code(sums) })
    }

    fn shapes(&self) -> Vec<File> {
        let mut files: Vec<_> = self.by_owner.values().flatten().collect();
        files.sort_by_key(|(_, file)| (&file.path, file.layer));
        files.into_iter().map(|(id, file)| shape(id, file)).collect()
    }
}

fn file_id(file: &BomFile) -> String {
    let mut key = file.layer.0.as_bytes().to_vec();
    key.extend_from_slice(file.path.as_bytes());
    let hash: String = Digest::of(key).hex().chars().take(24).collect();
    format!("SPDXRef-File-{hash}")
}

fn shape(id: &str, file: &BomFile) -> File {
    let sha1 = Checksum { algorithm: "SHA1", checksum_value: file.sums.sha1_hex() };
    File {
        id: id.to_owned(),
        file_name: format!("./{}", file.path),
        checksums: vec![sha1, sha256(&file.sums.sha256)],
        license_concluded: UNSAID,
        license_info_in_files: [UNSAID],
        copyright_text: UNSAID,
        comment: format!("layer {}", file.layer),
    }
}
