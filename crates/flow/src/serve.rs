//! The store as a registry for others.

use std::net::SocketAddr;
use std::path::PathBuf;

use corten_diagnostic::{Failure, Report};
pub use corten_serve::Asked;
use corten_serve::{Access, Exposed, Limits, Logger, Opener, Options, Server};
use corten_store::Store;

use crate::blobs;
use crate::registry::RegistryOptions;
use crate::world::World;

/// How the store is served.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Where.
    pub listen: SocketAddr,
    /// A file of users, as `htpasswd -B` writes it.
    pub users: Option<PathBuf>,
    /// Users who may pull alone.
    pub readers: Vec<String>,
    /// Certificate chain and key, PEM.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Pull alone.
    pub read_only: bool,
    /// Others may reach it without users or TLS.
    pub insecure: bool,
    /// Bytes of one blob, where the usual limit is not meant.
    pub largest_blob: Option<u64>,
    /// Fetch what lies at other registries alone before anybody asks for it.
    pub bring: bool,
    /// How these are reached.
    pub registry: RegistryOptions,
}

/// Images of the store may have layers that lie where their bases came from. Those are fetched, or said.
pub fn prepare(options: &ServeOptions, world: &World<'_>) -> Result<(), Report> {
    // What is looked at here is not relied on as long as the server runs: a store of its own lets go of it.
    let store = Store::open(world.store.root())?;
    let world = &World { store: &store, ..*world };
    let mut lacking = Vec::new();
    for (name, digest) in store.images()? {
        match blobs::absent(&digest, world) {
            Ok(absent) if absent.is_empty() => {}
            Ok(_) if options.bring => {
                blobs::bring_image(&digest, &format!("serving {name}"), &options.registry, world)?;
            }
            Ok(_) => lacking.push(name.to_string()),
            // The others are served all the same.
            Err(error) => world.events.warning(&format!("{name} cannot be served whole: {error}")),
        }
    }
    if !lacking.is_empty() {
        world.events.warning(&format!(
            "the store lacks layers of {}, which cannot be pulled whole: --bring fetches those that lie at other registries",
            lacking.join(", ")
        ));
    }
    Ok(())
}

/// Serves until SIGINT or SIGTERM. `ready` is told where, `log` of each request; `open` opens the store, many times: what was
/// looked at is not kept from being pruned for ever.
pub fn serve(
    options: &ServeOptions,
    ready: &dyn Fn(&str) -> Result<(), Failure>,
    open: Opener,
    log: Logger,
) -> Result<(), Report> {
    let usual = Limits::default();
    let tls = options.tls.as_ref().map(|(chain, key)| corten_serve::tls(chain, key)).transpose()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let options = Options {
        listen: options.listen,
        users: options.users.as_deref().map(|path| corten_serve::users(path, &options.readers)).transpose()?,
        tls,
        access: if options.read_only { Access::ReadOnly } else { Access::ReadAndWrite },
        exposed: if options.insecure { Exposed::Meant } else { Exposed::Refused },
        limits: Limits { largest_blob: options.largest_blob.unwrap_or(usual.largest_blob), ..usual },
    };
    let server = Server::bind(open, options, log)?;
    server.stop_on_signals()?;
    ready(&format!("{scheme}://{}", server.address()))?;
    server.run();
    Ok(())
}
