//! A registry for tests: strict where real ones are, and broken in the ways that real ones were seen to be.
//!
//! It takes no manifest whose blobs it has not, no blob that is not what its digest says, no piece of an upload out of its
//! order. What a client must never do is kept in [`FakeRegistry::breaches`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use corten_oci::Digest;
use serde_json::{Value, json};

use crate::gate::Gate;
use crate::http::{Answer, Asked, Server, Trouble};

mod habits;

pub use habits::{Fault, Habits, Kind, Lock, known};

#[derive(Default)]
struct State {
    blobs: BTreeMap<(String, Digest), Vec<u8>>,
    manifests: BTreeMap<(String, Digest), (String, Vec<u8>)>,
    tags: BTreeMap<(String, String), Digest>,
    uploads: BTreeMap<u64, Vec<u8>>,
    /// Those whose last piece was smaller than any but the last may be.
    short: std::collections::BTreeSet<u64>,
    next: u64,
    tokens: BTreeMap<String, (String, usize)>,
    faults: Vec<(Kind, usize, Fault)>,
    breaches: Vec<String>,
    /// Requests, and bytes of their bodies, until it dies.
    lives: Option<(usize, u64)>,
    lost_tags: usize,
    gates: Vec<(Kind, Gate)>,
    /// Bytes of blobs that came.
    received: u64,
}

/// A registry that lives as long as the value.
pub struct FakeRegistry {
    server: Server,
    state: Arc<Mutex<State>>,
}

impl FakeRegistry {
    /// On a free port of 127.0.0.1.
    pub fn start(habits: Habits) -> Self {
        Self::start_at("127.0.0.1", None, habits)
    }

    /// With TLS, on a free port of localhost.
    pub fn start_tls(habits: Habits) -> Self {
        Self::start_at("127.0.0.1", Some(Arc::new(crate::tls::server())), habits)
    }

    /// With TLS, for those who show a certificate of the same authority.
    pub fn start_tls_for_known_clients(habits: Habits) -> Self {
        Self::start_at("127.0.0.1", Some(Arc::new(crate::tls::server_for_known_clients())), habits)
    }

    /// On a free port of an address.
    pub fn start_at(host: &str, tls: Option<Arc<rustls::ServerConfig>>, habits: Habits) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let own = Arc::clone(&state);
        let server = Server::start_at(host, tls, move |asked| own.lock().unwrap().answer(asked, &habits));
        let faults = Arc::clone(&state);
        server.hang_up(move |asked| faults.lock().unwrap().hang_up(asked));
        Self { server, state }
    }

    /// `host:port`.
    pub fn place(&self) -> String {
        self.server.place()
    }

    /// For the log.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The first request of a kind that goes well opens the gate.
    pub fn opens(&self, kind: Kind, gate: &Gate) {
        self.state.lock().unwrap().gates.push((kind, gate.clone()));
    }

    /// The next `times` requests of a kind go wrong.
    pub fn fault(&self, kind: Kind, times: usize, fault: Fault) {
        self.state.lock().unwrap().faults.push((kind, times, fault));
    }

    /// After so many requests, and so many bytes of their bodies, it answers nothing more.
    pub fn dies_after(&self, requests: usize, bytes: u64) {
        self.state.lock().unwrap().lives = Some((requests, bytes));
    }

    /// So many times somebody else writes a tag right after us: ours is lost.
    pub fn lose_tags(&self, times: usize) {
        self.state.lock().unwrap().lost_tags = times;
    }

    /// No more of that.
    pub fn heal(&self) {
        let mut state = self.state.lock().unwrap();
        state.faults.clear();
        state.lives = None;
    }

    /// What clients did that they must not.
    pub fn breaches(&self) -> Vec<String> {
        self.state.lock().unwrap().breaches.clone()
    }

    /// Puts a blob there.
    pub fn add_blob(&self, repository: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        self.state.lock().unwrap().blobs.insert((repository.to_owned(), digest), bytes.to_vec());
        digest
    }

    /// What a manifest is, and its bytes.
    pub fn manifest(&self, repository: &str, digest: &Digest) -> Option<(String, Vec<u8>)> {
        self.state.lock().unwrap().manifests.get(&(repository.to_owned(), *digest)).cloned()
    }

    /// Puts a manifest there, whatever it says.
    pub fn add_manifest(&self, repository: &str, tag: &str, media_type: &str, bytes: &[u8]) -> Digest {
        let (digest, mut state) = (Digest::of(bytes), self.state.lock().unwrap());
        state.manifests.insert((repository.to_owned(), digest), (media_type.to_owned(), bytes.to_vec()));
        state.tags.insert((repository.to_owned(), tag.to_owned()), digest);
        digest
    }

    /// Lets a manifest's digest stand for other bytes.
    pub fn forge(&self, repository: &str, digest: Digest, media_type: &str, bytes: &[u8]) {
        let manifest = (media_type.to_owned(), bytes.to_vec());
        self.state.lock().unwrap().manifests.insert((repository.to_owned(), digest), manifest);
    }

    /// A blob's bytes.
    pub fn blob(&self, repository: &str, digest: &Digest) -> Option<Vec<u8>> {
        self.state.lock().unwrap().blobs.get(&(repository.to_owned(), *digest)).cloned()
    }

    /// Bytes of blobs that were sent to it, those that broke off and those that came twice, too.
    pub fn received(&self) -> u64 {
        self.state.lock().unwrap().received
    }

    /// Sizes of all blobs of a repository.
    pub fn blobs(&self, repository: &str) -> Vec<usize> {
        let state = self.state.lock().unwrap();
        let mine = state.blobs.iter().filter(|((known, _), _)| known == repository);
        mine.map(|(_, bytes)| bytes.len()).collect()
    }

    /// What a tag points to.
    pub fn tag(&self, repository: &str, tag: &str) -> Option<Digest> {
        self.state.lock().unwrap().tags.get(&(repository.to_owned(), tag.to_owned())).copied()
    }

    /// Manifests whose blobs or manifests are not all there. There must be none at any time.
    pub fn torn(&self) -> Vec<Digest> {
        let state = self.state.lock().unwrap();
        let whole = |repository: &str, bytes: &[u8]| state.missing(repository, bytes).is_none();
        let torn = state.manifests.iter().filter(|((repository, _), (_, bytes))| !whole(repository, bytes));
        torn.map(|((_, digest), _)| *digest).collect()
    }

    /// How many requests of a kind were made.
    pub fn count(&self, kind: Kind) -> usize {
        self.server.asked().iter().filter(|asked| kind_of(asked).is_some_and(|found| found.0 == kind)).count()
    }
}

/// Its kind, repository, and what it is about.
fn kind_of(asked: &Asked) -> Option<(Kind, String, String)> {
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    if path == "/token" {
        return Some((Kind::Token, String::new(), String::new()));
    }
    let rest = path.strip_prefix("/v2/")?;
    let method = asked.method.as_str();
    if let Some((repository, upload)) = rest.split_once("/blobs/uploads/") {
        let kind = match method {
            "POST" if query.contains("mount=") => Kind::Mount,
            "POST" => Kind::Begin,
            "PATCH" => Kind::Piece,
            "PUT" => Kind::Finish,
            "GET" => Kind::Progress,
            _ => return None,
        };
        return Some((kind, repository.to_owned(), upload.to_owned()));
    }
    let (repository, kind, name) = ["/blobs/", "/manifests/", "/tags/", "/referrers/"]
        .iter()
        .find_map(|kind| rest.split_once(kind).map(|(repository, name)| (repository, *kind, name)))?;
    let kind = match (kind, method) {
        ("/blobs/", "HEAD") => Kind::HasBlob,
        ("/blobs/", "GET") => Kind::Blob,
        ("/manifests/", "HEAD") => Kind::HasManifest,
        ("/manifests/", "GET") => Kind::Manifest,
        ("/manifests/", "PUT") => Kind::PutManifest,
        ("/tags/", "GET") => Kind::Tags,
        ("/referrers/", "GET") => Kind::Referrers,
        _ => return None,
    };
    Some((kind, repository.to_owned(), name.to_owned()))
}

fn parameter<'a>(asked: &'a Asked, name: &str) -> Option<&'a str> {
    let (_, query) = asked.path.split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

fn refusal(status: u16, code: &str) -> Answer {
    let body = json!({"errors": [{"code": code, "message": format!("{} it is", code.to_lowercase())}]}).to_string();
    Answer { status, ..Answer::ok(body) }
}

impl State {
    fn take_fault(&mut self, kind: Kind, hangs_up: bool) -> Option<Fault> {
        let at = self.faults.iter().position(|(known, times, fault)| {
            *known == kind && *times > 0 && matches!(fault, Fault::HangUp(_) | Fault::Gone) == hangs_up
        })?;
        self.faults[at].1 -= 1;
        Some(self.faults[at].2.clone())
    }

    fn hang_up(&mut self, asked: &Asked) -> Option<u64> {
        if let Some((requests, bytes)) = &mut self.lives {
            if *requests == 0 {
                return Some(0);
            }
            *requests -= 1;
            let length = asked.header("content-length").map_or(0, |length| length.parse().unwrap());
            if length > *bytes {
                *requests = 0;
                return Some(*bytes);
            }
            *bytes -= length;
        }
        match self.take_fault(kind_of(asked)?.0, true)? {
            Fault::HangUp(bytes) => Some(bytes),
            _ => Some(0),
        }
    }

    fn answer(&mut self, asked: &Asked, habits: &Habits) -> Answer {
        let Some((kind, repository, name)) = kind_of(asked) else { return self.other(asked, habits) };
        let fault = self.take_fault(kind, false);
        if let Some(Fault::Answer(answer)) = fault {
            return answer;
        }
        // Of what breaks off, only the bytes of an upload are kept.
        if asked.broken && !matches!(kind, Kind::Piece | Kind::Finish) {
            return Answer::status(500);
        }
        if kind != Kind::Token
            && let Some(refused) = self.refuse(asked, habits, kind, &repository)
        {
            return refused;
        }
        if let Some(Fault::Forget) = fault {
            self.uploads.clear();
            return refusal(404, "BLOB_UPLOAD_UNKNOWN");
        }
        if let Some(Fault::Lost) = fault {
            return Answer::status(201);
        }
        let mut answer = self.right(asked, habits, kind, &repository, &name);
        if answer.status < 300 {
            self.gates.iter().filter(|(of, _)| *of == kind).for_each(|(_, gate)| gate.open());
        }
        match fault {
            Some(Fault::Status(status)) => answer.status = status,
            Some(Fault::Body(body)) => answer.body = body,
            Some(Fault::Unanswered) => answer.trouble = Some(Trouble::Gone),
            Some(Fault::Trouble(trouble)) => answer.trouble = Some(trouble),
            Some(Fault::Cut(bytes)) => answer.cut = Some(bytes),
            Some(Fault::Flip) => {
                if let Some(byte) = answer.body.last_mut() {
                    *byte ^= 1;
                }
            }
            Some(Fault::Header(name, value)) => {
                answer.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
                answer.headers.push((name.to_owned(), value));
            }
            _ => {}
        }
        answer
    }

    fn other(&mut self, asked: &Asked, habits: &Habits) -> Answer {
        match asked.path.as_str() {
            "/v2/" => self.refuse(asked, habits, Kind::Tags, "").unwrap_or_else(|| Answer::ok("{}")),
            _ => {
                self.breaches.push(format!("{} {}", asked.method, asked.path));
                Answer::status(400)
            }
        }
    }

    /// 401 where somebody may not come in.
    fn refuse(&mut self, asked: &Asked, habits: &Habits, kind: Kind, repository: &str) -> Option<Answer> {
        let sent = asked.header("authorization");
        match &habits.lock {
            Lock::Open => None,
            Lock::Basic(user, password) => {
                let wanted = basic(user, password);
                (sent != Some(wanted.as_str()))
                    .then(|| refusal(401, "UNAUTHORIZED").header("WWW-Authenticate", "Basic realm=\"fake\""))
            }
            Lock::Bearer { realm, lasts, .. } => {
                let wanted = match kind {
                    Kind::Begin | Kind::Mount | Kind::Piece | Kind::Finish | Kind::Progress | Kind::PutManifest => {
                        "push"
                    }
                    _ => "pull",
                };
                let token = sent.and_then(|sent| sent.strip_prefix("Bearer ")).unwrap_or_default();
                let source = parameter(asked, "from").filter(|_| kind == Kind::Mount);
                let may = self.tokens.get_mut(token).is_some_and(|(scopes, used)| {
                    *used += 1;
                    let allows = |repository: &str, wanted: &str| {
                        let beginning = format!("repository:{repository}:");
                        let mine = scopes.split(' ').filter_map(|scope| scope.strip_prefix(&beginning));
                        repository.is_empty() || mine.flat_map(|may| may.split(',')).any(|may| may == wanted)
                    };
                    *used <= *lasts && allows(repository, wanted) && source.is_none_or(|source| allows(source, "pull"))
                });
                let host = asked.header("host").unwrap_or_default();
                let realm = if realm.is_empty() { format!("http://{host}/token") } else { realm.clone() };
                (!may).then(|| {
                    refusal(401, "UNAUTHORIZED")
                        .header("WWW-Authenticate", &format!("Bearer realm=\"{realm}\",service=\"fake\",error=\"x,y\""))
                })
            }
        }
    }

    fn right(&mut self, asked: &Asked, habits: &Habits, kind: Kind, repository: &str, name: &str) -> Answer {
        let blob = |state: &Self| {
            let digest = name.parse().ok()?;
            state.blobs.get(&(repository.to_owned(), digest)).cloned()
        };
        match kind {
            Kind::HasBlob | Kind::Blob => match blob(self) {
                Some(bytes) => Answer::ok(bytes).header("Docker-Content-Digest", name),
                None => refusal(404, "BLOB_UNKNOWN"),
            },
            Kind::Begin => self.begin(asked, habits, repository),
            Kind::Mount => self.mount(asked, habits, repository),
            Kind::Piece | Kind::Finish | Kind::Progress => self.upload(asked, habits, kind, repository, name),
            Kind::HasManifest | Kind::Manifest => self.manifest(habits, repository, name),
            Kind::PutManifest => self.put_manifest(asked, habits, repository, name),
            Kind::Tags => self.list(asked, habits, repository),
            Kind::Referrers if habits.referrers => self.referrers(asked, habits, repository, name),
            Kind::Referrers => habits.unlisted.clone().unwrap_or_else(|| refusal(404, "NOT_FOUND")),
            Kind::Token => self.token(asked, habits),
        }
    }

    fn location(&self, asked: &Asked, habits: &Habits, repository: &str, upload: u64) -> String {
        let path = format!("/v2/{repository}/blobs/uploads/{upload}?state=a%2Fb");
        match habits.absolute {
            true => format!("http://{}{path}", asked.header("host").unwrap_or_default()),
            false => path,
        }
    }

    fn begin(&mut self, asked: &Asked, habits: &Habits, repository: &str) -> Answer {
        self.next += 1;
        self.uploads.insert(self.next, Vec::new());
        let answer = Answer::status(202).header("Location", &self.location(asked, habits, repository, self.next));
        match habits.smallest_piece {
            Some(smallest) => answer.header("OCI-Chunk-Min-Length", &smallest.to_string()),
            None => answer,
        }
    }

    fn mount(&mut self, asked: &Asked, habits: &Habits, repository: &str) -> Answer {
        if let Some(status) = habits.refuses_mounts {
            return refusal(status, "UNSUPPORTED");
        }
        let digest: Option<Digest> = parameter(asked, "mount").and_then(|digest| digest.parse().ok());
        let from = parameter(asked, "from").unwrap_or_default().to_owned();
        let found = digest.and_then(|digest| Some((digest, self.blobs.get(&(from, digest))?.clone())));
        match found.filter(|_| habits.mounts) {
            Some((digest, bytes)) => {
                self.blobs.insert((repository.to_owned(), digest), bytes);
                Answer::status(201)
            }
            None => self.begin(asked, habits, repository),
        }
    }

    fn upload(&mut self, asked: &Asked, habits: &Habits, kind: Kind, repository: &str, name: &str) -> Answer {
        let Some(number) = name.parse().ok().filter(|number| self.uploads.contains_key(number)) else {
            return refusal(404, "BLOB_UPLOAD_UNKNOWN");
        };
        if parameter(asked, "state") != Some("a%2Fb") {
            self.breaches.push(format!("the query of a Location is lost: {}", asked.path));
        }
        let location = self.location(asked, habits, repository, number);
        let Some(held) = self.uploads.get_mut(&number) else { return refusal(404, "BLOB_UPLOAD_UNKNOWN") };
        if habits.largest_piece.is_some_and(|largest| asked.body.len() > largest) {
            return refusal(if kind == Kind::Piece { 416 } else { 413 }, "SIZE_INVALID");
        }
        self.received += asked.body.len() as u64;
        if kind == Kind::Piece {
            if self.short.contains(&number) {
                self.breaches.push("a small piece that is not the last".to_owned());
            }
            if !asked.broken && habits.smallest_piece.is_some_and(|smallest| asked.body.len() < smallest) {
                self.short.insert(number);
            }
        }
        let range = |held: &[u8]| format!("0-{}", held.len().saturating_sub(1));
        let begins = asked.header("content-range").map(|range| range.split('-').next().map(str::parse::<usize>));
        match kind {
            Kind::Progress => Answer::status(204).header("Location", &location).header("Range", &range(held)),
            Kind::Piece if begins != Some(Some(Ok(held.len()))) => {
                refusal(416, "RANGE_INVALID").header("Range", &range(held))
            }
            Kind::Piece if habits.stale_range => {
                let before = range(held);
                held.extend(&asked.body);
                Answer::status(201).header("Location", &location).header("Range", &before)
            }
            Kind::Piece if habits.relative_range => {
                held.extend(&asked.body);
                Answer::status(202).header("Location", &location).header("Range", &range(&asked.body))
            }
            Kind::Piece => {
                held.extend(&asked.body);
                Answer::status(202).header("Location", &location).header("Range", &range(held))
            }
            _ => {
                held.extend(&asked.body);
                if asked.broken {
                    return Answer::status(500);
                }
                if begins.is_some() {
                    self.breaches.push("a PUT with a range".to_owned());
                }
                let bytes = self.uploads.remove(&number).unwrap_or_default();
                let digest: Option<Digest> = parameter(asked, "digest").and_then(|digest| digest.parse().ok());
                match digest.filter(|digest| *digest == Digest::of(&bytes)) {
                    Some(digest) => {
                        self.blobs.insert((repository.to_owned(), digest), bytes);
                        let status = if habits.no_content { 204 } else { 201 };
                        Answer::status(status).header("Docker-Content-Digest", &digest.to_string())
                    }
                    None => refusal(400, "DIGEST_INVALID"),
                }
            }
        }
    }

    fn manifest(&self, habits: &Habits, repository: &str, name: &str) -> Answer {
        let tagged = || self.tags.get(&(repository.to_owned(), name.to_owned())).copied();
        let Some(digest) = name.parse().ok().or_else(tagged) else { return refusal(404, "MANIFEST_UNKNOWN") };
        let Some((media_type, bytes)) = self.manifests.get(&(repository.to_owned(), digest)) else {
            return refusal(404, "MANIFEST_UNKNOWN");
        };
        let answer = Answer::ok(bytes.clone()).header("Content-Type", media_type);
        if habits.silent { answer } else { answer.header("Docker-Content-Digest", &digest.to_string()) }
    }

    /// What a manifest names and the repository has not.
    fn missing(&self, repository: &str, bytes: &[u8]) -> Option<String> {
        let document: Value = serde_json::from_slice(bytes).ok()?;
        let digest = |value: &Value| value["digest"].as_str().and_then(|digest| digest.parse::<Digest>().ok());
        let list = |name: &str| document[name].as_array().into_iter().flatten().filter_map(digest).collect::<Vec<_>>();
        let blobs = list("layers").into_iter().chain(digest(&document["config"]));
        let no_blob = blobs.into_iter().find(|digest| !self.blobs.contains_key(&(repository.to_owned(), *digest)));
        let no_manifest = list("manifests")
            .into_iter()
            .find(|digest| !self.manifests.contains_key(&(repository.to_owned(), *digest)));
        no_blob.or(no_manifest).map(|digest| digest.to_string())
    }

    fn put_manifest(&mut self, asked: &Asked, habits: &Habits, repository: &str, name: &str) -> Answer {
        let digest = Digest::of(&asked.body);
        if name.starts_with("sha256:") && name != digest.to_string() {
            return refusal(400, "DIGEST_INVALID");
        }
        // A list of referrers by tag may name what is not there yet; images may not.
        if !name.starts_with("sha256-")
            && let Some(missing) = self.missing(repository, &asked.body)
        {
            self.breaches.push(format!("a manifest without {missing}"));
            return refusal(404, "MANIFEST_BLOB_UNKNOWN");
        }
        let media_type = asked.header("content-type").unwrap_or_default().to_owned();
        self.manifests.insert((repository.to_owned(), digest), (media_type, asked.body.clone()));
        if name.parse::<Digest>().is_err() && self.lost_tags > 0 {
            self.lost_tags -= 1;
        } else if name.parse::<Digest>().is_err() {
            self.tags.insert((repository.to_owned(), name.to_owned()), digest);
        }
        let answer = Answer::status(201).header("Docker-Content-Digest", &digest.to_string());
        if habits.pretends_subjects { answer.header("OCI-Subject", &digest.to_string()) } else { answer }
    }

    fn list(&self, asked: &Asked, habits: &Habits, repository: &str) -> Answer {
        let all: Vec<&str> =
            self.tags.keys().filter(|(known, _)| known == repository).map(|(_, tag)| tag.as_str()).collect();
        let last = parameter(asked, "last").unwrap_or_default();
        let from = all.iter().position(|tag| *tag > last).unwrap_or(all.len());
        let page = habits.page.unwrap_or(usize::MAX).min(all.len() - from);
        let shown = &all[from..from + page];
        let answer = Answer::ok(json!({"name": repository, "tags": shown}).to_string());
        match shown.last().filter(|_| from + page < all.len()) {
            Some(last) => {
                answer.header("Link", &format!("</v2/{repository}/tags/list?n={page}&last={last}>; rel=\"next\""))
            }
            None => answer,
        }
    }

    fn referrers(&self, asked: &Asked, habits: &Habits, repository: &str, subject: &str) -> Answer {
        let of = |(digest, (media_type, bytes)): (&Digest, &(String, Vec<u8>))| {
            let document: Value = serde_json::from_slice(bytes).ok()?;
            let kind = document["artifactType"].as_str().or(document["config"]["mediaType"].as_str())?;
            (document["subject"]["digest"].as_str() == Some(subject)).then(|| {
                json!({"mediaType": media_type, "digest": digest.to_string(), "size": bytes.len(), "artifactType": kind})
            })
        };
        let mine = self.manifests.iter().filter(|((known, _), _)| known == repository);
        let found: Vec<Value> = mine.filter_map(|((_, digest), manifest)| of((digest, manifest))).collect();
        let from = parameter(asked, "from").map_or(0, |from| from.parse().unwrap()).min(found.len());
        let page = habits.page.unwrap_or(usize::MAX).min(found.len() - from);
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": found[from..from + page],
        });
        let answer = Answer::ok(index.to_string()).header("Content-Type", "application/vnd.oci.image.index.v1+json");
        match from + page < found.len() {
            true => {
                let next = format!("</v2/{repository}/referrers/{subject}?from={}>; rel=\"next\"", from + page);
                answer.header("Link", &next)
            }
            false => answer,
        }
    }

    fn token(&mut self, asked: &Asked, habits: &Habits) -> Answer {
        let Lock::Bearer { user: (user, password), identity, .. } = &habits.lock else { return Answer::status(404) };
        let form = String::from_utf8_lossy(&asked.body).into_owned();
        let of_form = |name: &str| form.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        let known = match asked.method.as_str() {
            "POST" if identity.is_empty() => return Answer::status(405),
            "POST" => of_form("refresh_token") == Some(identity),
            _ => asked.header("authorization") == Some(basic(user, password).as_str()),
        };
        if !known {
            return refusal(401, "UNAUTHORIZED");
        }
        let (_, query) = asked.path.split_once('?').unwrap_or_default();
        let scopes: Vec<&str> = query.split('&').filter_map(|pair| pair.strip_prefix("scope=")).collect();
        let scopes = match of_form("scope") {
            Some(scope) => scope.replace("%20", " "),
            None => scopes.join(" "),
        };
        let scopes = match habits.first_scope {
            true => scopes.split(' ').next().unwrap_or_default().to_owned(),
            false => scopes,
        };
        self.next += 1;
        let token = format!("token-{}", self.next);
        self.tokens.insert(token.clone(), (scopes.replace("%2C", ","), 0));
        let name = if asked.method == "POST" { "access_token" } else { "token" };
        Answer::ok(json!({name: token, "expires_in": 300}).to_string())
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}
