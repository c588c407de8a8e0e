//! What a registry must do, endpoint by endpoint (distribution specification 1.1, "Endpoints"), for ours and for those of
//! others: so that the table itself is judged.

use corten_oci::{Digest, MediaType};
use serde_json::{Value, json};

use crate::client::{Got, ask};

/// A registry at an address, and a repository of it that nobody else uses.
pub struct Target {
    /// `host:port`.
    pub place: String,
    /// Begins the names of the repositories that are used.
    pub prefix: String,
}

/// One demand of the specification.
pub struct Row {
    /// `end-1` …; `none` for what has no number.
    pub end: &'static str,
    /// What is demanded.
    pub what: &'static str,
    /// Says what is not so.
    pub check: fn(&Target) -> Result<(), String>,
}

/// What does not hold, as `end-… what: why`.
pub fn violations(target: &Target, ends: &[&str]) -> Vec<String> {
    let rows = ROWS.iter().filter(|row| ends.is_empty() || ends.contains(&row.end));
    rows.filter_map(|row| Some(format!("{} {}: {}", row.end, row.what, (row.check)(target).err()?))).collect()
}

const fn row(end: &'static str, what: &'static str, check: fn(&Target) -> Result<(), String>) -> Row {
    Row { end, what, check }
}

/// All demands.
pub const ROWS: [Row; 33] = [
    row("end-1", "the base answers", base),
    row("end-2", "a blob comes whole, GET and HEAD", blob),
    row("end-2", "a part of a blob is 206", part),
    row("end-2", "a part beyond the end is 416", beyond),
    row("end-2", "an unknown blob is 404 BLOB_UNKNOWN", no_blob),
    row("end-3", "a manifest comes by tag and by digest, GET and HEAD", manifest),
    row("end-3", "an unknown manifest is 404 MANIFEST_UNKNOWN", no_manifest),
    row("end-4a", "an upload begins", begin),
    row("end-4b", "a blob comes with its POST", monolithic),
    row("end-5", "pieces come in their order", pieces),
    row("end-5", "a piece out of order is 416", out_of_order),
    row("end-5", "a piece that came already is 416", again),
    row("end-6", "PUT brings all of a blob", put_blob),
    row("end-6", "PUT brings the last piece", last_piece),
    row("end-6", "a wrong digest is 400 DIGEST_INVALID, and nothing is kept", wrong_digest),
    row("end-6", "an unknown upload is 404 BLOB_UPLOAD_UNKNOWN", no_upload),
    row("end-7", "a manifest goes under a tag", put_by_tag),
    row("end-7", "a manifest goes under its digest", put_by_digest),
    row("end-7", "a manifest under another digest is 400", put_by_wrong_digest),
    row("end-7", "a manifest whose blob is missing is refused with MANIFEST_BLOB_UNKNOWN", torn),
    row("end-7", "the subject is told in OCI-Subject", told_subject),
    row("end-8a", "tags are listed in order", tags),
    row("end-8b", "tags come in pages", tag_pages),
    row("end-8b", "no tags, where none are wanted", no_tags),
    row("end-9", "a manifest goes by its digest", delete_manifest),
    row("end-9", "a tag goes, and the manifest stays", delete_tag),
    row("end-10", "a blob goes, or that is not done", delete_blob),
    row("end-11", "a blob is mounted", mount),
    row("end-11", "what is not there is not mounted", no_mount),
    row("end-12a", "referrers are listed", referrers),
    row("end-12b", "referrers are filtered", filtered),
    row("end-13", "an upload says how far it is", status),
    row("none", "an upload is given up", give_up),
];

type Checked = Result<(), String>;

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Checked {
    if found == expected { Ok(()) } else { Err(format!("{what} is {found:?}, not {expected:?}")) }
}

impl Target {
    fn ask(&self, method: &str, target: &str) -> Got {
        // Without, distribution says of an OCI manifest that there is none.
        self.send(method, target, &[("accept", MediaType::MANIFEST)], b"")
    }

    fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Got {
        // A Location may be a whole address.
        let own = format!("http://{}", self.place);
        ask(&self.place, method, target.strip_prefix(&own).unwrap_or(target), headers, body)
    }

    fn path(&self, repository: &str, below: &str) -> String {
        format!("/v2/{}/{repository}/{below}", self.prefix)
    }

    fn begin(&self, repository: &str) -> Result<String, String> {
        let got = self.ask("POST", &self.path(repository, "blobs/uploads/"));
        same("the status of POST", got.status, 202)?;
        got.header("location").map(str::to_owned).ok_or_else(|| "there is no Location".to_owned())
    }

    fn put(&self, location: &str, digest: &Digest, headers: &[(&str, &str)], body: &[u8]) -> Got {
        let joint = if location.contains('?') { '&' } else { '?' };
        self.send("PUT", &format!("{location}{joint}digest={digest}"), headers, body)
    }

    fn push_blob(&self, repository: &str, bytes: &[u8]) -> Result<Digest, String> {
        let digest = Digest::of(bytes);
        let got = self.put(&self.begin(repository)?, &digest, &[("content-type", "application/octet-stream")], bytes);
        same("the status of PUT", got.status, 201).map(|()| digest)
    }

    /// An image without layers that says `text`, and its bytes.
    fn image(&self, repository: &str, text: &str, more: &Value) -> Result<Vec<u8>, String> {
        let config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}, "author": text});
        let config = config.to_string().into_bytes();
        let digest = self.push_blob(repository, &config)?;
        let mut manifest = json!({
            "schemaVersion": 2, "mediaType": MediaType::MANIFEST,
            "config": {"mediaType": MediaType::CONFIG, "digest": digest, "size": config.len()}, "layers": [],
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            manifest[name] = value.clone();
        }
        Ok(manifest.to_string().into_bytes())
    }

    fn put_manifest(&self, repository: &str, name: &str, bytes: &[u8]) -> Got {
        let headers = [("content-type", MediaType::MANIFEST)];
        self.send("PUT", &self.path(repository, &format!("manifests/{name}")), &headers, bytes)
    }

    fn tagged(&self, repository: &str, tags: &[&str]) -> Result<(Digest, Vec<u8>), String> {
        let bytes = self.image(repository, repository, &json!({}))?;
        for tag in tags {
            same("the status of PUT", self.put_manifest(repository, tag, &bytes).status, 201)?;
        }
        Ok((Digest::of(&bytes), bytes))
    }

    fn status(&self, method: &str, repository: &str, below: &str) -> u16 {
        self.ask(method, &self.path(repository, below)).status
    }

    fn listed(&self, target: &str) -> Result<(Value, Option<String>), String> {
        let got = self.ask("GET", target);
        same("the status", got.status, 200)?;
        let body: Value = serde_json::from_slice(&got.body).map_err(|error| error.to_string())?;
        let next = got.header("link").and_then(|link| link.strip_prefix('<')?.split_once('>'));
        Ok((body, next.map(|(next, _)| next.to_owned())))
    }
}

fn base(to: &Target) -> Checked {
    let got = to.ask("GET", "/v2/");
    same("the status", got.status, 200)?;
    same("the version", got.header("docker-distribution-api-version"), Some("registry/2.0"))
}

fn blob(to: &Target) -> Checked {
    let digest = to.push_blob("blob", b"0123456789")?;
    let path = to.path("blob", &format!("blobs/{digest}"));
    let (got, head) = (to.ask("GET", &path), to.ask("HEAD", &path));
    same("the status", (got.status, head.status), (200, 200))?;
    same("the body", (got.body.as_slice(), head.body.as_slice()), (b"0123456789", b""))?;
    same("the length", (got.header("content-length"), head.header("content-length")), (Some("10"), Some("10")))?;
    same("the digest", got.header("docker-content-digest"), Some(digest.to_string().as_str()))
}

fn part(to: &Target) -> Checked {
    let digest = to.push_blob("part", b"0123456789")?;
    let path = to.path("part", &format!("blobs/{digest}"));
    for (range, expected, bytes) in
        [("2-4", "bytes 2-4/10", "234"), ("7-", "bytes 7-9/10", "789"), ("-1", "bytes 9-9/10", "9")]
    {
        let got = to.send("GET", &path, &[("range", &format!("bytes={range}"))], b"");
        same("the status", got.status, 206)?;
        same("the body", got.body.as_slice(), bytes.as_bytes())?;
        same("the range", got.header("content-range"), Some(expected))?;
    }
    Ok(())
}

fn beyond(to: &Target) -> Checked {
    let digest = to.push_blob("beyond", b"0123456789")?;
    let got = to.send("GET", &to.path("beyond", &format!("blobs/{digest}")), &[("range", "bytes=10-")], b"");
    same("the status", got.status, 416)
}

fn no_blob(to: &Target) -> Checked {
    to.push_blob("noblob", b"x")?;
    let got = to.ask("GET", &to.path("noblob", &format!("blobs/{}", Digest::of("absent"))));
    same("the refusal", (got.status, got.code().as_str()), (404, "BLOB_UNKNOWN"))
}

fn manifest(to: &Target) -> Checked {
    let (digest, bytes) = to.tagged("manifest", &["one"])?;
    for name in ["one".to_owned(), digest.to_string()] {
        let path = to.path("manifest", &format!("manifests/{name}"));
        let (got, head) = (to.ask("GET", &path), to.ask("HEAD", &path));
        same("the status", (got.status, head.status), (200, 200))?;
        same("the body", (got.body.as_slice(), head.body.as_slice()), (bytes.as_slice(), b""))?;
        let length = bytes.len().to_string();
        same("the length", head.header("content-length"), Some(length.as_str()))?;
        same("the type", got.header("content-type"), Some(MediaType::MANIFEST))?;
        same("the digest", head.header("docker-content-digest"), Some(digest.to_string().as_str()))?;
    }
    Ok(())
}

fn no_manifest(to: &Target) -> Checked {
    to.tagged("nomanifest", &["one"])?;
    for name in ["two".to_owned(), Digest::of("absent").to_string()] {
        let got = to.ask("GET", &to.path("nomanifest", &format!("manifests/{name}")));
        same("the refusal", (got.status, got.code().as_str()), (404, "MANIFEST_UNKNOWN"))?;
    }
    Ok(())
}

fn begin(to: &Target) -> Checked {
    let location = to.begin("begin")?;
    same("the location's place", location.contains("/begin/blobs/uploads/"), true)
}

fn monolithic(to: &Target) -> Checked {
    let digest = Digest::of("all of it");
    let path = to.path("monolithic", &format!("blobs/uploads/?digest={digest}"));
    let got = to.send("POST", &path, &[("content-type", "application/octet-stream")], b"all of it");
    same("the status", got.status, 201)?;
    same("the status of the blob", to.status("HEAD", "monolithic", &format!("blobs/{digest}")), 200)
}

/// PATCH, and where it goes on.
fn piece(to: &Target, location: &str, range: &str, bytes: &[u8]) -> Result<(String, Option<String>), String> {
    let headers = [("content-range", range), ("content-type", "application/octet-stream")];
    let got = to.send("PATCH", location, &headers, bytes);
    same("the status of PATCH", got.status, 202)?;
    let location = got.header("location").ok_or("there is no Location")?.to_owned();
    Ok((location, got.header("range").map(str::to_owned)))
}

fn pieces(to: &Target) -> Checked {
    let (location, range) = piece(to, &to.begin("pieces")?, "0-4", b"01234")?;
    same("the range", range.as_deref(), Some("0-4"))?;
    let (location, range) = piece(to, &location, "5-9", b"56789")?;
    same("the range", range.as_deref(), Some("0-9"))?;
    let digest = Digest::of("0123456789");
    same("the status of PUT", to.put(&location, &digest, &[], b"").status, 201)?;
    same("the status of the blob", to.status("HEAD", "pieces", &format!("blobs/{digest}")), 200)
}

fn out_of_order(to: &Target) -> Checked {
    let location = to.begin("outoforder")?;
    same("the status of PATCH", to.send("PATCH", &location, &[("content-range", "5-9")], b"56789").status, 416)
}

fn again(to: &Target) -> Checked {
    let (location, _) = piece(to, &to.begin("again")?, "0-4", b"01234")?;
    same("the status of PATCH", to.send("PATCH", &location, &[("content-range", "0-4")], b"01234").status, 416)
}

fn put_blob(to: &Target) -> Checked {
    let digest = to.push_blob("putblob", b"all")?;
    same("the status of the blob", to.status("HEAD", "putblob", &format!("blobs/{digest}")), 200)
}

fn last_piece(to: &Target) -> Checked {
    let (location, _) = piece(to, &to.begin("lastpiece")?, "0-4", b"01234")?;
    let digest = Digest::of("0123456789");
    same("the status of PUT", to.put(&location, &digest, &[("content-range", "5-9")], b"56789").status, 201)?;
    let got = to.ask("GET", &to.path("lastpiece", &format!("blobs/{digest}")));
    same("the blob", got.body.as_slice(), b"0123456789")
}

fn wrong_digest(to: &Target) -> Checked {
    let (location, digest) = (to.begin("wrongdigest")?, Digest::of("other"));
    let got = to.put(&location, &digest, &[], b"bytes");
    same("the refusal", (got.status, got.code().as_str()), (400, "DIGEST_INVALID"))?;
    for digest in [digest, Digest::of("bytes")] {
        same("the status of the blob", to.status("HEAD", "wrongdigest", &format!("blobs/{digest}")), 404)?;
    }
    Ok(())
}

fn no_upload(to: &Target) -> Checked {
    let location = to.begin("noupload")?;
    let end = location.split('?').next().unwrap_or_default().len();
    // The same with the last letter of its name changed.
    let other = if location[..end].ends_with('0') { "1" } else { "0" };
    let wrong = format!("{}{other}{}", &location[..end - 1], &location[end..]);
    let got = to.send("PATCH", &wrong, &[], b"x");
    same("the refusal", (got.status, got.code().as_str()), (404, "BLOB_UPLOAD_UNKNOWN"))
}

fn put_by_tag(to: &Target) -> Checked {
    let bytes = to.image("bytag", "by tag", &json!({}))?;
    let got = to.put_manifest("bytag", "one", &bytes);
    same("the status", got.status, 201)?;
    same("the digest", got.header("docker-content-digest"), Some(Digest::of(&bytes).to_string().as_str()))?;
    let location = got.header("location").ok_or("there is no Location")?;
    same("the status of the location", to.ask("GET", location).status, 200)
}

fn put_by_digest(to: &Target) -> Checked {
    let bytes = to.image("bydigest", "by digest", &json!({}))?;
    let digest = Digest::of(&bytes).to_string();
    same("the status", to.put_manifest("bydigest", &digest, &bytes).status, 201)?;
    same("the status of the manifest", to.status("GET", "bydigest", &format!("manifests/{digest}")), 200)
}

fn put_by_wrong_digest(to: &Target) -> Checked {
    let bytes = to.image("bywrong", "by wrong digest", &json!({}))?;
    let got = to.put_manifest("bywrong", &Digest::of("other").to_string(), &bytes);
    same("the refusal", (got.status, got.code().as_str()), (400, "DIGEST_INVALID"))
}

fn torn(to: &Target) -> Checked {
    let layer = json!({"layers": [{"mediaType": MediaType::LAYER_GZIP, "digest": Digest::of("absent"), "size": 6}]});
    let bytes = to.image("torn", "torn", &layer)?;
    let got = to.put_manifest("torn", "one", &bytes);
    same("the refusal", ((400..500).contains(&got.status), got.code().as_str()), (true, "MANIFEST_BLOB_UNKNOWN"))?;
    same("the status of the manifest", to.status("GET", "torn", "manifests/one"), 404)
}

fn artifact(to: &Target, repository: &str, subject: &[u8], artifact_type: &str) -> Result<(Digest, Got), String> {
    let about = json!({"mediaType": MediaType::MANIFEST, "digest": Digest::of(subject), "size": subject.len()});
    let more = json!({"subject": about, "artifactType": artifact_type, "annotations": {"kind": artifact_type}});
    let bytes = to.image(repository, artifact_type, &more)?;
    let digest = Digest::of(&bytes);
    let got = to.put_manifest(repository, &digest.to_string(), &bytes);
    same("the status", got.status, 201).map(|()| (digest, got))
}

fn told_subject(to: &Target) -> Checked {
    let subject = b"a manifest that nobody has pushed yet";
    let (_, got) = artifact(to, "toldsubject", subject, "application/one")?;
    same("the subject", got.header("oci-subject"), Some(Digest::of(subject).to_string().as_str()))
}

fn tags(to: &Target) -> Checked {
    to.tagged("tags", &["b", "a", "B", "10", "9"])?;
    let (body, _) = to.listed(&to.path("tags", "tags/list"))?;
    same("the list", body, json!({"name": format!("{}/tags", to.prefix), "tags": ["10", "9", "B", "a", "b"]}))?;
    same("the status of another", to.status("GET", "absent", "tags/list"), 404)
}

fn tag_pages(to: &Target) -> Checked {
    to.tagged("tagpages", &["a", "b", "c", "d", "e"])?;
    let (mut next, mut all) = (Some(to.path("tagpages", "tags/list?n=2")), Vec::new());
    while let Some(target) = next {
        let (body, following) = to.listed(target.strip_prefix(&format!("http://{}", to.place)).unwrap_or(&target))?;
        let page: Vec<String> = serde_json::from_value(body["tags"].clone()).map_err(|error| error.to_string())?;
        same("a page is short enough", page.len() <= 2, true)?;
        all.extend(page);
        same("the list ends", all.len() <= 5, true)?;
        next = following;
    }
    same("all", all.join(" "), "a b c d e".to_owned())?;
    let (body, _) = to.listed(&to.path("tagpages", "tags/list?n=2&last=c"))?;
    same("the end", body["tags"].clone(), json!(["d", "e"]))
}

fn no_tags(to: &Target) -> Checked {
    to.tagged("notags", &["a"])?;
    let (body, next) = to.listed(&to.path("notags", "tags/list?n=0"))?;
    same("the list", (body["tags"].clone(), next), (json!([]), None))
}

fn delete_manifest(to: &Target) -> Checked {
    let (digest, _) = to.tagged("deletemanifest", &["one", "two"])?;
    let path = format!("manifests/{digest}");
    same("the status", to.status("DELETE", "deletemanifest", &path), 202)?;
    for name in [path.as_str(), "manifests/one", "manifests/two"] {
        same("the status afterwards", to.status("GET", "deletemanifest", name), 404)?;
    }
    same("the status of another try", to.status("DELETE", "deletemanifest", &path), 404)
}

fn delete_tag(to: &Target) -> Checked {
    let (digest, _) = to.tagged("deletetag", &["one", "two"])?;
    same("the status", to.status("DELETE", "deletetag", "manifests/one"), 202)?;
    same("the status of the tag", to.status("GET", "deletetag", "manifests/one"), 404)?;
    same("the status of the other", to.status("GET", "deletetag", "manifests/two"), 200)?;
    same("the status of the second try", to.status("DELETE", "deletetag", "manifests/one"), 404)?;
    same("the status of DELETE", to.status("DELETE", "deletetag", "manifests/two"), 202)?;
    same("the status of the manifest", to.status("GET", "deletetag", &format!("manifests/{digest}")), 200)
}

fn delete_blob(to: &Target) -> Checked {
    let digest = to.push_blob("deleteblob", b"blob")?;
    let path = format!("blobs/{digest}");
    let (status, then) = (to.status("DELETE", "deleteblob", &path), to.status("HEAD", "deleteblob", &path));
    same("the statuses", matches!((status, then), (202, 404) | (405, 200)), true)
}

fn mount(to: &Target) -> Checked {
    let digest = to.push_blob("mountfrom", b"mounted")?;
    let from = format!("{}/mountfrom", to.prefix).replace('/', "%2F");
    let got = to.ask("POST", &to.path("mountto", &format!("blobs/uploads/?mount={digest}&from={from}")));
    same("the status", got.status, 201)?;
    same("the status of the blob", to.status("HEAD", "mountto", &format!("blobs/{digest}")), 200)
}

fn no_mount(to: &Target) -> Checked {
    let target = format!("blobs/uploads/?mount={}&from={}%2Fnowhere", Digest::of("absent"), to.prefix);
    let got = to.ask("POST", &to.path("nomount", &target));
    same("the status", (got.status, got.header("location").is_some()), (202, true))
}

fn about(to: &Target, repository: &str) -> Result<(Digest, [Digest; 2]), String> {
    let (subject, bytes) = to.tagged(repository, &["one"])?;
    let first = artifact(to, repository, &bytes, "application/vnd.first")?.0;
    let second = artifact(to, repository, &bytes, "application/vnd.second")?.0;
    Ok((subject, [first, second]))
}

fn referrers(to: &Target) -> Checked {
    let (subject, artifacts) = about(to, "referrers")?;
    let path = to.path("referrers", &format!("referrers/{subject}"));
    same("the type", to.ask("GET", &path).header("content-type"), Some(MediaType::INDEX))?;
    let (body, _) = to.listed(&path)?;
    let found: Vec<(Value, Value, Value)> = body["manifests"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|it| (it["digest"].clone(), it["artifactType"].clone(), it["annotations"]["kind"].clone()))
        .collect();
    for (digest, kind) in artifacts.iter().zip(["application/vnd.first", "application/vnd.second"]) {
        same("the artifact", found.contains(&(json!(digest), json!(kind), json!(kind))), true)?;
    }
    same("the number", found.len(), 2)?;
    let (body, _) = to.listed(&to.path("referrers", &format!("referrers/{}", Digest::of("nothing"))))?;
    same("the list of nothing", body["manifests"].clone(), json!([]))
}

fn filtered(to: &Target) -> Checked {
    let (subject, artifacts) = about(to, "filtered")?;
    let got = to.ask("GET", &to.path("filtered", &format!("referrers/{subject}?artifactType=application/vnd.second")));
    let body: Value = serde_json::from_slice(&got.body).map_err(|error| error.to_string())?;
    same("the filters", got.header("oci-filters-applied"), Some("artifactType"))?;
    same(
        "the list",
        (body["manifests"][0]["digest"].clone(), body["manifests"][1].clone()),
        (json!(artifacts[1]), Value::Null),
    )
}

fn status(to: &Target) -> Checked {
    let (location, _) = piece(to, &to.begin("status")?, "0-4", b"01234")?;
    let got = to.ask("GET", &location);
    same("the status", got.status, 204)?;
    same("the range", got.header("range"), Some("0-4"))?;
    same("there is a Location", got.header("location").is_some(), true)
}

fn give_up(to: &Target) -> Checked {
    let (location, _) = piece(to, &to.begin("giveup")?, "0-4", b"01234")?;
    same("the status", to.ask("DELETE", &location).status, 204)?;
    same("the status afterwards", to.ask("GET", &location).status, 404)
}
