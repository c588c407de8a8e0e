//! What goes back: a status, headers and a body; and refusals in the specification's JSON ("Error Codes").

use std::io::Read;
use std::pin::Pin;
use std::task::{Context, Poll};

use corten_oci::Unsuitable;
use corten_store::StoreError;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::task::JoinHandle;

/// Bytes of a blob that are read at a time.
const CHUNK: usize = 128 << 10;

/// A kind of refusal, as the specification numbers them; [`Code::NotFound`] and [`Code::Unknown`] are distribution's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    Denied,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    NotFound,
    RangeInvalid,
    SizeInvalid,
    TooManyRequests,
    Unauthorized,
    Unknown,
    Unsupported,
}

impl Code {
    fn name(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Self::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::Denied => "DENIED",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Self::ManifestInvalid => "MANIFEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::NotFound => "NOT_FOUND",
            Self::RangeInvalid => "RANGE_INVALID",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::TooManyRequests => "TOOMANYREQUESTS",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Unknown => "UNKNOWN",
            Self::Unsupported => "UNSUPPORTED",
        }
    }

    fn status(self) -> u16 {
        match self {
            Self::BlobUnknown
            | Self::BlobUploadUnknown
            | Self::ManifestBlobUnknown
            | Self::ManifestUnknown
            | Self::NameUnknown
            | Self::NotFound => 404,
            Self::BlobUploadInvalid
            | Self::DigestInvalid
            | Self::ManifestInvalid
            | Self::NameInvalid
            | Self::SizeInvalid => 400,
            Self::Denied => 403,
            Self::RangeInvalid => 416,
            Self::TooManyRequests => 429,
            Self::Unauthorized => 401,
            Self::Unknown => 500,
            Self::Unsupported => 405,
        }
    }
}

/// Why a request is not done.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) status: u16,
    message: String,
    headers: Vec<(&'static str, String)>,
    /// What the client is not told.
    pub(crate) trouble: Option<String>,
}

impl Refusal {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, status: code.status(), message: message.into(), headers: Vec::new(), trouble: None }
    }

    pub(crate) fn with_code(self, code: Code) -> Self {
        Self { code, ..self }
    }

    pub(crate) fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    pub(crate) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn answer(self) -> Answer {
        let body = serde_json::json!({"errors": [{"code": self.code.name(), "message": self.message}]});
        let mut answer = Answer::new(self.status).json(&body);
        answer.headers.extend(self.headers);
        answer
    }
}

/// Whoever asks learns what is wrong with what he sent, and of our disk only whether it is full.
impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let trouble = Some(error.to_string());
        match error {
            StoreError::Full { .. } | StoreError::Crowded { .. } => {
                let full = Self::new(Code::Unknown, "the disk of this registry is full").with_status(507);
                Self { trouble, ..full }
            }
            StoreError::Unsuitable(Unsuitable { why, .. }) => Self::new(Code::DigestInvalid, why),
            StoreError::Missing(_) | StoreError::Damaged { .. } => {
                Self { trouble, ..Self::new(Code::BlobUnknown, "it is damaged here, or was just removed") }
            }
            _ => Self { trouble, ..Self::new(Code::Unknown, "the store of this registry cannot be used") },
        }
    }
}

/// What goes back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Payload,
}

impl Answer {
    pub(crate) fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Payload::Bytes(Bytes::new()) }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn json(self, value: &serde_json::Value) -> Self {
        self.header("content-type", "application/json").bytes(value.to_string())
    }

    pub(crate) fn bytes(mut self, bytes: impl Into<Bytes>) -> Self {
        self.body = Payload::Bytes(bytes.into());
        self
    }

    /// Exactly `size` bytes of a blob.
    pub(crate) fn blob(mut self, content: Content, size: u64) -> Self {
        self.body = Payload::Blob(Blob { state: State::Idle(content), left: size });
        self
    }
}

/// The body of an answer.
pub(crate) enum Payload {
    Bytes(Bytes),
    Blob(Blob),
}

impl Payload {
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Blob(blob) => blob.left,
        }
    }
}

/// Bytes of a file, read on a thread that may wait for the disk; none waits for the client.
pub(crate) struct Blob {
    state: State,
    left: u64,
}

type Content = Box<dyn Read + Send>;
/// What reading has given; the content comes back.
type Chunk = (Content, std::io::Result<Vec<u8>>);

enum State {
    Idle(Content),
    Reading(JoinHandle<Chunk>),
    Done,
}

impl Body for Payload {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Bytes(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Blob(blob) => blob.poll(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.length() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length())
    }
}

impl Blob {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        loop {
            match std::mem::replace(&mut self.state, State::Done) {
                State::Done => return Poll::Ready(None),
                State::Idle(_) if self.left == 0 => return Poll::Ready(None),
                State::Idle(content) => {
                    let wanted = usize::try_from(self.left).map_or(CHUNK, |left| left.min(CHUNK));
                    self.state = State::Reading(tokio::task::spawn_blocking(move || read(content, wanted)));
                }
                State::Reading(mut reading) => {
                    let Poll::Ready(outcome) = Pin::new(&mut reading).poll(context) else {
                        self.state = State::Reading(reading);
                        return Poll::Pending;
                    };
                    let (content, bytes) = outcome.map_err(std::io::Error::other)?;
                    let bytes = bytes?;
                    self.left = self.left.saturating_sub(bytes.len() as u64);
                    self.state = State::Idle(content);
                    return Poll::Ready(Some(Ok(Frame::data(bytes.into()))));
                }
            }
        }
    }
}

/// At least one byte, at most `wanted`; fewer are there than were promised is an error.
fn read(mut content: Content, wanted: usize) -> Chunk {
    let mut bytes = vec![0; wanted];
    let got = content.read(&mut bytes).and_then(|got| match got {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        got => Ok(got),
    });
    let bytes = got.map(|got| {
        bytes.truncate(got);
        bytes
    });
    (content, bytes)
}
