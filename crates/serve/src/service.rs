//! A request and its answer: who asks, what for, may he, and the work itself, which waits for the disk on threads of its
//! own.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use corten_oci::{Digest, LARGEST_DOCUMENT, Repository};
use corten_store::{Store, StoreError, Upload};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, EXPECT, HeaderValue};
use hyper::{HeaderMap, Request, Response};
use tokio::sync::Semaphore;

use crate::answer::{Answer, Code, Payload, Refusal};
use crate::holdings::{Holdings, Kind};
use crate::options::{self, Access, Limits};
use crate::pull::{self, Method};
use crate::push;
use crate::route::{self, Query, Route, Which};
use crate::uploads::{self, Begun, Received, Session, Uploads};
use crate::users::{self, Users};

/// Passwords that are checked at a time: the rest of the processors is for others.
const CHECKS: usize = 2;

/// One request, once its answer begins.
#[derive(Debug, Clone)]
pub struct Asked {
    /// From where.
    pub peer: SocketAddr,
    /// Who, if anybody is known.
    pub user: Option<String>,
    /// `GET` …
    pub method: String,
    /// Path and query, as they came.
    pub target: String,
    /// The answer's.
    pub status: u16,
    /// Bytes of the answer's body.
    pub bytes: u64,
    /// What the client is not told: why our disk or our store said no.
    pub trouble: Option<String>,
}

/// Everything that requests share.
pub(crate) struct Service {
    /// As they are opened now.
    pub(crate) holdings: Mutex<Holdings>,
    /// Opens the store anew.
    pub(crate) open: Box<dyn Fn() -> Result<Store, StoreError> + Send + Sync>,
    pub(crate) uploads: Uploads,
    pub(crate) users: Option<Users>,
    pub(crate) access: Access,
    pub(crate) limits: Limits,
    pub(crate) checks: Semaphore,
    pub(crate) log: Box<dyn Fn(&Asked) + Send + Sync>,
}

impl Service {
    pub(crate) fn checks() -> Semaphore {
        Semaphore::new(CHECKS)
    }

    /// Answers; never fails.
    pub(crate) async fn answer(self: Arc<Self>, request: Request<Incoming>, peer: SocketAddr) -> Response<Payload> {
        let (method, target) = (request.method().to_string(), request.uri().to_string());
        let mut user = None;
        let outcome = match self.let_in(request.headers()).await {
            Ok(known) => {
                user.clone_from(&known);
                Arc::clone(&self).route(request, known).await
            }
            Err(refusal) => {
                self.refuse_body(request).await;
                Err(refusal)
            }
        };
        let mut trouble = None;
        let answer = outcome.unwrap_or_else(|mut refusal| {
            trouble = refusal.trouble.take();
            refusal.answer()
        });
        let (status, bytes) = (answer.status, answer.body.length());
        (self.log)(&Asked { peer, user, method, target, status, bytes, trouble });
        response(answer)
    }

    /// The user's name; none where nobody has to say one.
    async fn let_in(self: &Arc<Self>, headers: &HeaderMap) -> Result<Option<String>, Refusal> {
        let Some(known) = &self.users else { return Ok(None) };
        let nobody = || {
            Refusal::new(Code::Unauthorized, "user and password are wanted")
                .with_header("www-authenticate", "Basic realm=\"corten\", charset=\"UTF-8\"")
        };
        let header = headers.get(AUTHORIZATION).and_then(|header| header.to_str().ok()).ok_or_else(nobody)?;
        let (user, password) = users::basic(header).ok_or_else(nobody)?;
        if known.remembers(&user, &password) {
            return Ok(Some(user));
        }
        let _turn = self.checks.acquire().await.map_err(|_| nobody())?;
        let (service, name) = (Arc::clone(self), user.clone());
        let check = move || service.users.as_ref().is_some_and(|users| users.check(&name, &password));
        match tokio::task::spawn_blocking(check).await {
            Ok(true) => Ok(Some(user)),
            _ => Err(nobody()),
        }
    }

    /// Who waits to be asked for his body (`Expect`) is not asked.
    async fn refuse_body(&self, request: Request<Incoming>) {
        if !request.headers().contains_key(EXPECT) {
            uploads::drain(&mut request.into_body(), &self.limits).await;
        }
    }

    /// What is asked for, if it may be done here.
    fn meant(&self, request: &Request<Incoming>, user: Option<&str>) -> Result<(Route, Query), Refusal> {
        let (route, query) = (Route::of(request.uri().path())?, Query::of(request.uri().query())?);
        let is_reader = user.is_some_and(|user| self.users.as_ref().is_some_and(|users| users.is_reader(user)));
        match self.access {
            _ if matches!(request.method().as_str(), "GET" | "HEAD") => Ok((route, query)),
            Access::ReadOnly => Err(Refusal::new(Code::Unsupported, "this registry is read-only")),
            Access::ReadAndWrite if is_reader => Err(Refusal::new(Code::Denied, "this user may pull alone")),
            Access::ReadAndWrite => Ok((route, query)),
        }
    }

    async fn route(self: Arc<Self>, request: Request<Incoming>, user: Option<String>) -> Result<Answer, Refusal> {
        let (route, query) = match self.meant(&request, user.as_deref()) {
            Ok(meant) => meant,
            Err(refusal) => {
                self.refuse_body(request).await;
                return Err(refusal);
            }
        };
        let method = request.method().as_str().to_owned();
        let reading = if method == "HEAD" { Method::Head } else { Method::Get };
        match (route, method.as_str()) {
            (Route::Base, "GET" | "HEAD") => Ok(Answer::new(200).json(&serde_json::json!({}))),
            (Route::Catalog, "GET") => self.blocking(move |it| pull::catalog(it, &query)).await,
            (Route::Tags(name), "GET") => self.blocking(move |it| pull::tags(it, &name, &query)).await,
            (Route::Referrers(name, subject), "GET") => {
                self.blocking(move |it| pull::referrers(it, &name, &subject, &query)).await
            }
            (Route::Manifest(name, which), "GET" | "HEAD") => {
                self.blocking(move |it| pull::manifest(it, reading, &name, &which)).await
            }
            (Route::Blob(name, digest), "GET" | "HEAD") => {
                let headers = request.headers().clone();
                self.blocking(move |it| pull::blob(it, reading, &name, &digest, &headers)).await
            }
            (Route::Manifest(name, which), "PUT") => self.put_manifest(name, which, request).await,
            (Route::Manifest(name, which), "DELETE") => self.blocking(move |it| push::delete(it, &name, &which)).await,
            (Route::Blob(name, digest), "DELETE") => {
                self.blocking(move |it| push::delete_blob(it, &name, &digest)).await
            }
            (Route::Uploads(name), "POST") => self.begin(name, query, request.into_body(), user).await,
            (Route::Upload(name, id), "GET" | "PATCH" | "PUT" | "DELETE") => {
                let session = self.uploads.get(&name, &id, user.as_deref())?;
                self.upload(session, name, query, request).await
            }
            (_, method) => Err(Refusal::new(Code::Unsupported, format!("{method} is not done here"))),
        }
    }

    /// What is asked of an upload that is under way.
    async fn upload(
        self: Arc<Self>,
        session: Arc<Session>,
        name: Repository,
        query: Query,
        request: Request<Incoming>,
    ) -> Result<Answer, Refusal> {
        match request.method().as_str() {
            "PATCH" => self.append(session, request).await,
            "PUT" => self.finish(session, name, query, request).await,
            "DELETE" => self.cancel(&session).await,
            _ => Ok(progress(204, &session)),
        }
    }

    /// The bytes are freed on a thread that may wait.
    async fn cancel(self: &Arc<Self>, session: &Session) -> Result<Answer, Refusal> {
        let upload = session.take()?.take();
        self.uploads.end(session);
        self.blocking(move |_| {
            drop(upload);
            Ok(Answer::new(204))
        })
        .await
    }

    /// A blob came to a repository. The store may have been opened anew since the request began, and keeps it all the same.
    fn remember(&self, it: &Holdings, repository: &Repository, blob: Digest) -> Result<(), StoreError> {
        it.remember(repository, blob);
        self.holdings().store.size(&blob).map(drop)
    }

    fn holdings(&self) -> Holdings {
        self.holdings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Throws away uploads that nobody goes on with, lets go of what requests have looked at. Where the store cannot be opened now, it stays for another while.
    pub(crate) async fn tidy(self: &Arc<Self>) {
        let service = Arc::clone(self);
        let tidy = move || -> Result<(), StoreError> {
            service.uploads.clean(&service.limits);
            service.holdings().renewed((service.open)()?)?.replace(&service.holdings)
        };
        drop(tokio::task::spawn_blocking(tidy).await);
    }

    /// Work that waits for the disk.
    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Holdings) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let holdings = self.holdings();
        let done = tokio::task::spawn_blocking(move || work(&holdings)).await;
        done.unwrap_or_else(|_| Err(Refusal::new(Code::Unknown, "a mistake of this registry")))
    }

    async fn put_manifest(
        self: Arc<Self>,
        name: Repository,
        which: Which,
        request: Request<Incoming>,
    ) -> Result<Answer, Refusal> {
        let content_type = header(request.headers(), "content-type").map(str::to_owned);
        let bytes = uploads::receive_small(request.into_body(), LARGEST_DOCUMENT, &self.limits).await?;
        self.blocking(move |it| push::put(it, &name, &which, content_type.as_deref(), &bytes)).await
    }

    /// end-4 and end-11.
    async fn begin(
        self: Arc<Self>,
        name: Repository,
        query: Query,
        body: Incoming,
        user: Option<String>,
    ) -> Result<Answer, Refusal> {
        if query.get("digest-algorithm").is_some_and(|algorithm| algorithm != "sha256") {
            return Err(
                Refusal::new(Code::Unsupported, "sha256 is the one algorithm of this registry").with_status(400)
            );
        }
        if let (Some(wanted), Some(from)) = (query.get("mount"), query.get("from")) {
            let (wanted, from) = (route::digest(wanted)?, route::repository_of(from)?);
            let (to, service) = (name.clone(), Arc::clone(&self));
            let mount = move |it: &Holdings| {
                let is_there = it.has(&from, &wanted, Kind::Blob)?;
                if is_there {
                    service.remember(it, &to, wanted)?;
                }
                Ok(is_there)
            };
            if self.blocking(mount).await? {
                return Ok(created(&name, &wanted));
            }
        }
        let digest = query.get("digest").map(route::digest).transpose()?;
        // An upload lies in the folder of the store that began it.
        let (store, upload) = self.blocking(|it| Ok((Arc::clone(&it.store), it.store.upload()?))).await?;
        let Some(digest) = digest else {
            let begun = Begun { repository: name, user, upload, store };
            let session = self.uploads.begin(id()?, begun, &self.limits)?;
            return Ok(progress(202, &session));
        };
        match uploads::receive(body, upload, &self.limits, None).await {
            Received { upload: Some(upload), refusal: None } => self.keep(upload, store, name, digest).await,
            Received { refusal, .. } => Err(refusal.unwrap_or_else(gone)),
        }
    }

    /// end-5. Goes on to its end where the connection breaks, so that what came is not lost.
    async fn append(self: Arc<Self>, session: Arc<Session>, request: Request<Incoming>) -> Result<Answer, Refusal> {
        let mut turn = session.take()?;
        in_order(&session, request.headers())?;
        let upload = turn.take().ok_or_else(gone)?;
        let work = async move {
            let received = uploads::receive(request.into_body(), upload, &self.limits, Some(&session)).await;
            if received.upload.is_none() {
                self.uploads.end(&session);
            }
            *turn = received.upload;
            received.refusal.map_or_else(|| Ok(progress(202, &session)), Err)
        };
        tokio::spawn(work).await.unwrap_or_else(|_| Err(gone()))
    }

    /// end-6.
    async fn finish(
        self: Arc<Self>,
        session: Arc<Session>,
        name: Repository,
        query: Query,
        request: Request<Incoming>,
    ) -> Result<Answer, Refusal> {
        let missing = || Refusal::new(Code::DigestInvalid, "the digest is missing");
        let digest = route::digest(query.get("digest").ok_or_else(missing)?)?;
        let mut turn = session.take()?;
        in_order(&session, request.headers())?;
        let upload = turn.take().ok_or_else(gone)?;
        let work = async move {
            let received = uploads::receive(request.into_body(), upload, &self.limits, Some(&session)).await;
            match received {
                Received { upload: Some(upload), refusal: None } => {
                    self.uploads.end(&session);
                    self.keep(upload, Arc::clone(&session.store), name, digest).await
                }
                Received { upload, refusal } => {
                    if upload.is_none() {
                        self.uploads.end(&session);
                    }
                    *turn = upload;
                    Err(refusal.unwrap_or_else(gone))
                }
            }
        };
        tokio::spawn(work).await.unwrap_or_else(|_| Err(gone()))
    }

    /// A complete upload becomes a blob of the store, durably, and one of the repository.
    async fn keep(
        self: &Arc<Self>,
        upload: Upload,
        from: Arc<Store>,
        name: Repository,
        digest: Digest,
    ) -> Result<Answer, Refusal> {
        let service = Arc::clone(self);
        self.blocking(move |it| {
            let _its_folder = from;
            let batch = it.store.batch();
            batch.adopt(upload, &digest)?;
            batch.finish()?;
            service.remember(it, &name, digest)?;
            Ok(created(&name, &digest))
        })
        .await
    }
}

fn gone() -> Refusal {
    Refusal::new(Code::BlobUploadUnknown, "this upload is over")
}

fn progress(status: u16, session: &Session) -> Answer {
    Answer::new(status)
        .header("location", session.location())
        .header("range", session.range())
        .header("docker-upload-uuid", session.id.clone())
}

fn created(name: &Repository, digest: &Digest) -> Answer {
    Answer::new(201)
        .header("location", format!("/v2/{name}/blobs/{digest}"))
        .header("docker-content-digest", digest.to_string())
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// A piece that says where it lies (`Content-Range: 5-9`, some say `bytes 5-9/10`) must lie at the end, and be as long as
/// it says.
fn in_order(session: &Session, headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(text) = header(headers, "content-range") else { return Ok(()) };
    let bare = text.trim().trim_start_matches("bytes ").split('/').next().unwrap_or_default();
    let number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    let range = bare.split_once('-').and_then(|(first, last)| Some((number(first)?, number(last)?)));
    let Some((first, last)) = range.filter(|(first, last)| first <= last) else {
        return Err(Refusal::new(Code::BlobUploadInvalid, format!("Content-Range '{text}' is none")));
    };
    if first != session.length() {
        return Err(session.out_of_order(&format!("the piece begins at {first}")));
    }
    let length = header(headers, "content-length").and_then(number);
    match length.is_some_and(|length| length.checked_sub(1) != Some(last - first)) {
        true => Err(Refusal::new(Code::SizeInvalid, "Content-Range and Content-Length do not agree")),
        false => Ok(()),
    }
}

/// An address that nobody can guess.
fn id() -> Result<String, Refusal> {
    let bytes: [u8; 16] = options::random().map_err(|_| Refusal::new(Code::Unknown, "no random numbers"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn response(answer: Answer) -> Response<Payload> {
    let mut response = Response::new(answer.body);
    *response.status_mut() = answer.status.try_into().unwrap_or_default();
    let headers = response.headers_mut();
    for (name, value) in answer.headers {
        // What a client said and is told again may be no value of a header.
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    headers.insert("docker-distribution-api-version", HeaderValue::from_static("registry/2.0"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}
