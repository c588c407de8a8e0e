//! What registries are asked, how they differ, and how they fail.

use crate::http::{Answer, Trouble};

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// HEAD of a blob.
    HasBlob,
    /// GET of a blob.
    Blob,
    /// POST of an upload, without a mount.
    Begin,
    /// POST of an upload, with one.
    Mount,
    /// PATCH of an upload.
    Piece,
    /// PUT of an upload.
    Finish,
    /// GET of an upload.
    Progress,
    /// HEAD of a manifest.
    HasManifest,
    /// GET of a manifest.
    Manifest,
    /// PUT of a manifest.
    PutManifest,
    /// GET of the tags.
    Tags,
    /// GET of referrers.
    Referrers,
    /// GET or POST of a token.
    Token,
}

/// How a request goes wrong.
#[derive(Debug, Clone)]
pub enum Fault {
    /// This answer instead.
    Answer(Answer),
    /// The connection breaks after so many bytes of the answer's body.
    Cut(usize),
    /// The connection breaks after so many bytes of the request's body, which are kept.
    HangUp(u64),
    /// One byte of the answer's body is another.
    Flip,
    /// The right answer with this header set anew.
    Header(&'static str, String),
    /// The upload is forgotten, then 404.
    Forget,
    /// The right answer under another status.
    Status(u16),
    /// The right answer's body is another.
    Body(Vec<u8>),
    /// What is sent is answered as if it were kept, and is not.
    Lost,
    /// The connection is closed instead of an answer.
    Gone,
    /// What is asked is done, and the connection closed instead of an answer.
    Unanswered,
    /// The answer goes wrong on its way.
    Trouble(Trouble),
}

/// Who may come in.
#[derive(Debug, Clone, Default)]
pub enum Lock {
    /// Everybody.
    #[default]
    Open,
    /// With this user and password.
    Basic(&'static str, &'static str),
    /// With a token from this realm, which is given for this user and password, or this identity token.
    Bearer {
        /// The address; the registry's own `/token` where it is empty.
        realm: String,
        /// User and password.
        user: (&'static str, &'static str),
        /// Identity token.
        identity: &'static str,
        /// After so many uses a token is no longer taken.
        lasts: usize,
    },
}

/// How it differs from others.
#[derive(Debug, Clone, Default)]
pub struct Habits {
    /// Who may come in.
    pub lock: Lock,
    /// Lists referrers itself.
    pub referrers: bool,
    /// Mounts.
    pub mounts: bool,
    /// Locations are whole addresses.
    pub absolute: bool,
    /// Answers PATCH with 201 and an old range (ECR).
    pub stale_range: bool,
    /// The largest PATCH, and no larger PUT.
    pub largest_piece: Option<usize>,
    /// Does not say digests.
    pub silent: bool,
    /// Tags, or referrers, of a page.
    pub page: Option<usize>,
    /// Its token server takes in the first scope alone.
    pub first_scope: bool,
    /// Takes no smaller PATCH but the last, and says so (`OCI-Chunk-Min-Length`).
    pub smallest_piece: Option<usize>,
    /// The range of a PATCH's answer is the piece's own (Aliyun).
    pub relative_range: bool,
    /// Answers a PUT of an upload with 204.
    pub no_content: bool,
    /// Refuses mounts with this status.
    pub refuses_mounts: Option<u16>,
    /// Says that it knows what a manifest is about, and lists no referrers.
    pub pretends_subjects: bool,
    /// What it answers where it lists no referrers; 404 where nothing is said.
    pub unlisted: Option<Answer>,
}

/// Registries as they were seen to be, by name. What they do today is only known when they are asked.
pub fn known() -> Vec<(&'static str, Habits)> {
    let plain = Habits::default;
    let html = Answer::ok("<html>not here</html>").header("Content-Type", "text/html");
    vec![
        ("Docker Hub", Habits { mounts: true, absolute: true, ..plain() }),
        ("GHCR", Habits { largest_piece: Some(4 << 20), mounts: true, ..plain() }),
        ("ECR", Habits { stale_range: true, referrers: true, absolute: true, pretends_subjects: true, ..plain() }),
        ("GAR", Habits { mounts: true, referrers: true, absolute: true, smallest_piece: Some(256 << 10), ..plain() }),
        ("Harbor", Habits { refuses_mounts: Some(401), referrers: true, absolute: true, ..plain() }),
        ("Artifactory", Habits { refuses_mounts: Some(400), unlisted: Some(html), silent: true, ..plain() }),
        ("Aliyun", Habits { relative_range: true, largest_piece: Some(4 << 20), ..plain() }),
        ("Quay", Habits { no_content: true, mounts: true, first_scope: true, ..plain() }),
        ("ACR", Habits { referrers: true, mounts: true, page: Some(1), ..plain() }),
        ("zot", Habits { referrers: true, mounts: true, absolute: true, ..plain() }),
        ("distribution", Habits { mounts: true, absolute: true, ..plain() }),
        ("GitLab", Habits { mounts: true, first_scope: true, unlisted: Some(Answer::status(405)), ..plain() }),
    ]
}
