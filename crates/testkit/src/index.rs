//! A Python package index: the simple API as JSON (PEP 691) and HTML (PEP 503), and the files.

use std::collections::BTreeMap;
use std::sync::Mutex;

use corten_oci::Digest;
use serde_json::json;

use crate::archive::{Fault, FileServer};

/// Which form of the simple API the index speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// PEP 691.
    Json,
    /// PEP 503.
    Html,
}

#[derive(Clone)]
struct Listed {
    file: String,
    digest: Digest,
    size: usize,
    yanked: Option<String>,
    requires_python: Option<String>,
}

/// An index with the files that a test puts into it.
pub struct PackageIndex {
    files: FileServer,
    form: Form,
    listed: Mutex<BTreeMap<String, Vec<Listed>>>,
}

impl PackageIndex {
    /// Empty.
    pub fn start(form: Form) -> Self {
        Self { files: FileServer::start(), form, listed: Mutex::default() }
    }

    /// The address of the index: `…/simple/`.
    pub fn url(&self) -> String {
        self.files.url("/simple/")
    }

    /// The address of a file.
    pub fn file_url(&self, file: &str) -> String {
        self.files.url(&format!("/files/{file}"))
    }

    /// Adds a file of a project (`name` normalised as in PEP 503); gives its digest.
    pub fn add(&self, name: &str, file: &str, content: &[u8]) -> Digest {
        self.add_with(name, file, content, None, None)
    }

    /// Adds a file with a reason why it is yanked and the Python that it needs.
    pub fn add_with(
        &self,
        name: &str,
        file: &str,
        content: &[u8],
        yanked: Option<&str>,
        requires_python: Option<&str>,
    ) -> Digest {
        let digest = Digest::of(content);
        self.files.put(&format!("/files/{file}"), content);
        let mut listed = self.listed.lock().unwrap();
        let files = listed.entry(name.to_owned()).or_default();
        files.push(Listed {
            file: file.to_owned(),
            digest,
            size: content.len(),
            yanked: yanked.map(str::to_owned),
            requires_python: requires_python.map(str::to_owned),
        });
        let (page, kind) = match self.form {
            Form::Json => (json_page(name, files), "application/vnd.pypi.simple.v1+json"),
            Form::Html => (html_page(name, files), "text/html; charset=utf-8"),
        };
        self.files.put_as(&format!("/simple/{name}/"), page, kind);
        digest
    }

    /// Lets something go wrong with a file.
    pub fn fault(&self, file: &str, fault: Fault) {
        self.files.fault(&format!("/files/{file}"), fault);
    }

    /// The files and their log.
    pub fn server(&self) -> &FileServer {
        &self.files
    }
}

fn json_page(name: &str, files: &[Listed]) -> String {
    let files: Vec<_> = files
        .iter()
        .map(|file| {
            json!({
                "filename": file.file,
                "url": format!("../../files/{}", file.file),
                "hashes": {"sha256": file.digest.hex()},
                "size": file.size,
                "yanked": file.yanked.as_ref().map_or(json!(false), |reason| json!(reason)),
                "requires-python": file.requires_python,
            })
        })
        .collect();
    json!({"meta": {"api-version": "1.1"}, "name": name, "files": files, "versions": []}).to_string()
}

fn html_page(name: &str, files: &[Listed]) -> String {
    let escape =
        |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    let mut page = format!(
        "<!DOCTYPE html>\n<html><head><meta name=\"pypi:repository-version\" content=\"1.1\"><title>Links for {name}</title></head><body>\n"
    );
    for file in files {
        let yanked =
            file.yanked.as_deref().map(|reason| format!(" data-yanked=\"{}\"", escape(reason))).unwrap_or_default();
        let python = file
            .requires_python
            .as_deref()
            .map(|python| format!(" data-requires-python=\"{}\"", escape(python)))
            .unwrap_or_default();
        page.push_str(&format!(
            "<a href=\"../../files/{}#sha256={}\"{yanked}{python}>{}</a><br/>\n",
            file.file,
            file.digest.hex(),
            file.file
        ));
    }
    page.push_str("</body></html>\n");
    page
}
