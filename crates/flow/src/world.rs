//! What the verbs work with. Everything outside comes in here: nothing below reads the environment, the clock or the
//! home folder by itself.

use corten_check::lint::Date;
use corten_diagnostic::Events;
use corten_net::Client;
use corten_store::Store;

use crate::credentials::AuthFiles;
use crate::dockerfile::GitSsh;
use crate::indexes::Indexes;
use crate::registry::RegistryOptions;

/// The world as the verbs see it.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// Bytes on disk.
    pub store: &'a Store,
    /// The one way out.
    pub client: &'a Client,
    /// What the environment says about indexes.
    pub indexes: &'a Indexes,
    /// Where credentials for registries are.
    pub auth: &'a AuthFiles,
    /// What the user says of registries, for all projects.
    pub registries: &'a RegistryOptions,
    /// What processes in sandboxes need to reach the internet as this machine does.
    pub passage: &'a corten_sandbox::Passage,
    /// The ssh that git is to call.
    pub git_ssh: &'a GitSsh,
    /// Who listens.
    pub events: &'a dyn Events,
    /// How many threads may work.
    pub jobs: usize,
    /// Seconds since 1970: for the age of archives and what has an end, never for an image.
    pub now: i64,
    /// `SOURCE_DATE_EPOCH`: overrides the commit's time.
    pub source_date_epoch: Option<i64>,
    /// Bytes above which the store removes what nothing needs, after a build.
    pub store_cap: Option<u64>,
    /// Version of this program, as the release names it.
    pub tool: &'a str,
}

impl World<'_> {
    /// Today, or the day of `SOURCE_DATE_EPOCH`: what rules judge ends of life by.
    pub fn today(&self) -> Date {
        Date::of(self.source_date_epoch.unwrap_or(self.now))
    }
}
