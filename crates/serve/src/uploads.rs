//! Blobs that come in: sessions that outlive a connection, one writer at a time.
//!
//! What has come is in the store's scratch folder, hashed already. A session that nobody goes on with is thrown away
//! after a while, all of them with the process, however it ends.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use corten_oci::Repository;
use corten_store::{Store, StoreError, Upload};
use hyper::body::{Body, Bytes, Incoming};
use tokio::sync::OwnedMutexGuard;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::answer::{Code, Refusal};
use crate::options::Limits;

/// Bytes that are collected before they are hashed and written.
const CHUNK: usize = 256 << 10;
/// Bytes of a refused body that are read all the same.
const MOST_DRAINED: usize = 8 << 20;
/// How long they may take to come.
const DRAINED_FOR: Duration = Duration::from_secs(2);

/// An upload that has an address.
pub(crate) struct Session {
    pub(crate) id: String,
    repository: Repository,
    user: Option<String>,
    upload: Arc<tokio::sync::Mutex<Option<Upload>>>,
    /// In whose folder it lies.
    pub(crate) store: Arc<Store>,
    length: AtomicU64,
    touched: Mutex<Instant>,
}

impl Session {
    /// Bytes that are here, as far as is known now.
    pub(crate) fn length(&self) -> u64 {
        self.length.load(Ordering::Relaxed)
    }

    /// Where it goes on.
    pub(crate) fn location(&self) -> String {
        format!("/v2/{}/blobs/uploads/{}", self.repository, self.id)
    }

    /// The bytes that are here, as the specification writes them; distribution says of nothing that it is the first byte.
    pub(crate) fn range(&self) -> String {
        format!("0-{}", self.length().saturating_sub(1))
    }

    /// To be the one who writes; refused while another connection does, so that the client asks again where to go on.
    pub(crate) fn take(&self) -> Result<OwnedMutexGuard<Option<Upload>>, Refusal> {
        let busy = || self.out_of_order("another connection is writing this upload");
        Arc::clone(&self.upload).try_lock_owned().map_err(|_| busy())
    }

    /// 416, with what the client needs to go on.
    pub(crate) fn out_of_order(&self, why: &str) -> Refusal {
        Refusal::new(Code::RangeInvalid, format!("{why}; there are {} bytes", self.length()))
            .with_header("location", self.location())
            .with_header("range", self.range())
    }

    fn touch(&self) {
        *self.touched.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Nobody goes on with it.
    fn is_abandoned(&self, after: Duration) -> bool {
        let touched = *self.touched.lock().unwrap_or_else(PoisonError::into_inner);
        touched.elapsed() > after && self.upload.try_lock().is_ok()
    }
}

/// An upload that gets an address.
pub(crate) struct Begun {
    pub(crate) repository: Repository,
    /// Who may go on with it.
    pub(crate) user: Option<String>,
    pub(crate) upload: Upload,
    /// In whose folder it lies.
    pub(crate) store: Arc<Store>,
}

/// All sessions.
#[derive(Default)]
pub(crate) struct Uploads(Mutex<HashMap<String, Arc<Session>>>);

impl Uploads {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new one.
    pub(crate) fn begin(&self, id: String, begun: Begun, limits: &Limits) -> Result<Arc<Session>, Refusal> {
        let (Begun { repository, user, upload, store }, most) = (begun, limits.uploads);
        let mut all = self.all();
        if all.len() >= most {
            all.retain(|_, session| !session.is_abandoned(limits.abandoned));
        }
        if all.len() >= most {
            let why = format!("{most} uploads are under way; finish or delete some");
            return Err(Refusal::new(Code::TooManyRequests, why).with_header("retry-after", "60"));
        }
        let session = Arc::new(Session {
            id: id.clone(),
            repository,
            user,
            store,
            upload: Arc::new(tokio::sync::Mutex::new(Some(upload))),
            length: AtomicU64::new(0),
            touched: Mutex::new(Instant::now()),
        });
        all.insert(id, Arc::clone(&session));
        Ok(session)
    }

    /// The session of that address, for the user who began it.
    pub(crate) fn get(&self, repository: &Repository, id: &str, user: Option<&str>) -> Result<Arc<Session>, Refusal> {
        let found = self.all().get(id).cloned();
        let found = found.filter(|it| it.repository == *repository && it.user.as_deref() == user);
        let session = found.ok_or_else(|| Refusal::new(Code::BlobUploadUnknown, "there is no such upload"))?;
        session.touch();
        Ok(session)
    }

    /// It is over.
    pub(crate) fn end(&self, session: &Session) {
        self.all().remove(&session.id);
    }

    /// Throws away what nobody goes on with.
    pub(crate) fn clean(&self, limits: &Limits) {
        self.all().retain(|_, session| !session.is_abandoned(limits.abandoned));
    }
}

/// What became of bytes that were to come.
pub(crate) struct Received {
    /// None where the disk said no: what is there cannot be gone on with.
    pub(crate) upload: Option<Upload>,
    /// Why not all came.
    pub(crate) refusal: Option<Refusal>,
}

/// Appends a request's body to an upload: while some bytes are hashed and written, the next come.
pub(crate) async fn receive(
    mut body: Incoming,
    upload: Upload,
    limits: &Limits,
    session: Option<&Session>,
) -> Received {
    let (mut writer, mut pace) = (Writer::Free(upload), Pace::new(limits.patience));
    let mut total = match &writer {
        Writer::Free(upload) => upload.length(),
        Writer::Busy(_) => 0,
    };
    let mut refusal = None;
    let mut pending = Vec::new();
    loop {
        let came = match pace.next(&mut body).await {
            Ok(came) => came,
            Err(why) => {
                refusal = Some(why);
                None
            }
        };
        let is_last = came.is_none();
        if let Some(bytes) = came {
            total += bytes.len() as u64;
            if total > limits.largest_blob {
                let why = format!("a blob may have {} bytes here", limits.largest_blob);
                refusal =
                    Some(Refusal::new(Code::SizeInvalid, why).with_status(413).with_header("connection", "close"));
                drain(&mut body, limits).await;
                break;
            }
            pending.extend_from_slice(&bytes);
        }
        if pending.len() >= CHUNK || (is_last && !pending.is_empty()) {
            match writer.write(std::mem::take(&mut pending), session).await {
                Ok(next) => writer = next,
                Err(error) => return Received { upload: None, refusal: Some(error.into()) },
            }
        }
        if is_last {
            break;
        }
    }
    match writer.free(session).await {
        Ok(upload) => Received { upload: Some(upload), refusal },
        Err(error) => Received { upload: None, refusal: Some(error.into()) },
    }
}

/// An upload, or the thread that has it now.
enum Writer {
    Free(Upload),
    Busy(JoinHandle<(Upload, Result<(), StoreError>)>),
}

impl Writer {
    async fn free(self, session: Option<&Session>) -> Result<Upload, StoreError> {
        let upload = match self {
            Self::Free(upload) => upload,
            Self::Busy(handle) => {
                let failed = |error| StoreError::from_io("writing", "an upload".as_ref(), std::io::Error::other(error));
                let (upload, written) = handle.await.map_err(failed)?;
                written?;
                upload
            }
        };
        if let Some(session) = session {
            session.length.store(upload.length(), Ordering::Relaxed);
            session.touch();
        }
        Ok(upload)
    }

    async fn write(self, bytes: Vec<u8>, session: Option<&Session>) -> Result<Self, StoreError> {
        let mut upload = self.free(session).await?;
        Ok(Self::Busy(tokio::task::spawn_blocking(move || {
            let written = upload.append(&bytes);
            (upload, written)
        })))
    }
}

/// How slowly a body may come: in each span of patience, some bytes.
pub(crate) struct Pace {
    patience: Duration,
    until: Instant,
    came: usize,
}

impl Pace {
    /// Bytes that one span must bring; a body that ends brings fewer.
    const LEAST: usize = 4 << 10;

    pub(crate) fn new(patience: Duration) -> Self {
        Self { patience, until: Instant::now() + patience, came: 0 }
    }

    /// The next bytes; none at the end.
    pub(crate) async fn next(&mut self, body: &mut Incoming) -> Result<Option<Bytes>, Refusal> {
        loop {
            let next = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context));
            match tokio::time::timeout_at(self.until, next).await {
                Ok(None) => return Ok(None),
                Ok(Some(Ok(frame))) => {
                    // Trailers say nothing to us.
                    let Ok(bytes) = frame.into_data() else { continue };
                    self.came = self.came.saturating_add(bytes.len());
                    return Ok(Some(bytes));
                }
                Ok(Some(Err(_))) => return Err(Refusal::new(Code::SizeInvalid, "the body broke off")),
                Err(_) if self.came >= Self::LEAST => {
                    self.came = 0;
                    self.until = Instant::now() + self.patience;
                }
                Err(_) => {
                    let why = "the body comes too slowly";
                    return Err(Refusal::new(Code::SizeInvalid, why)
                        .with_status(408)
                        .with_header("connection", "close"));
                }
            }
        }
    }
}

/// A whole small body.
pub(crate) async fn receive_small(mut body: Incoming, limit: u64, limits: &Limits) -> Result<Vec<u8>, Refusal> {
    let too_large = || {
        let why = format!("a manifest has at most {limit} bytes");
        Refusal::new(Code::SizeInvalid, why).with_status(413).with_header("connection", "close")
    };
    if body.size_hint().lower() > limit {
        drain(&mut body, limits).await;
        return Err(too_large());
    }
    let (mut pace, mut bytes) = (Pace::new(limits.patience), Vec::new());
    while let Some(came) = pace.next(&mut body).await? {
        if (bytes.len() + came.len()) as u64 > limit {
            drain(&mut body, limits).await;
            return Err(too_large());
        }
        bytes.extend_from_slice(&came);
    }
    Ok(bytes)
}

/// Takes some more of a body that is refused, for a moment: who is still sending when the connection is closed never reads
/// why.
pub(crate) async fn drain(body: &mut Incoming, limits: &Limits) {
    let (mut pace, mut left) = (Pace::new(limits.patience), MOST_DRAINED);
    let draining = async {
        while let Ok(Some(bytes)) = pace.next(body).await {
            match left.checked_sub(bytes.len()) {
                Some(less) => left = less,
                None => return,
            }
        }
    };
    // However it comes: who was refused gets no more of our time.
    drop(tokio::time::timeout(limits.patience.min(DRAINED_FOR), draining).await);
}
