//! Is everything in the store what its name says, and does every pointer point to something whole?

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use corten_diagnostic::{Event, Events, TaskId, Unit};
use corten_oci::{Closure, Descriptor, DiffId, Digest, Document, ImageConfig, Index, Manifest, Unsuitable};

use crate::contents::is_image_config;
use crate::verified::VerifiedReader;
use crate::{Store, StoreError, disk, format, index_file, layout, names, pointer};

/// More do not make a disk faster.
const MOST_THREADS: usize = 8;
const CHUNK: usize = 256 << 10;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where.
    pub path: PathBuf,
    /// What is wrong with it.
    pub why: String,
}

impl Store {
    /// Hashes every blob and checks every pointer, index and record: what is wrong, sorted by path. Changes nothing.
    /// Other processes may go on working.
    pub fn verify(&self, events: &dyn Events) -> Result<Vec<Problem>, StoreError> {
        let mut problems = self.verify_blobs(events)?;
        self.verify_layers(&mut problems)?;
        self.verify_images(&mut problems)?;
        self.verify_referrers(&mut problems)?;
        self.verify_records(&mut problems)?;
        self.verify_layouts(&mut problems)?;
        if format::is_torn(self.root()) {
            let why = "it is torn: the store counts as one of version 1".into();
            problems.push(Problem { path: self.root().join(format::FILE), why });
        }
        problems.sort();
        Ok(problems)
    }

    fn verify_blobs(&self, events: &dyn Events) -> Result<Vec<Problem>, StoreError> {
        let folder = self.blobs_folder();
        let paths: Vec<PathBuf> = list(&folder)?;
        let total = paths.iter().filter_map(|path| fs::symlink_metadata(path).ok()).map(|found| found.len()).sum();
        let task = TaskId::fresh();
        events.emit(Event::Started { task, what: "verify blobs", unit: Unit::Bytes, total: Some(total) });
        let (next, problems) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let work = || {
            while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                let advance = |by| events.emit(Event::Advanced { task, by });
                if let Err(why) = verify_blob(path, &advance) {
                    let problem = Problem { path: path.clone(), why };
                    problems.lock().unwrap_or_else(PoisonError::into_inner).push(problem);
                }
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get().min(MOST_THREADS));
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(work);
            }
        });
        events.emit(Event::Finished { task });
        Ok(problems.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn verify_layers(&self, problems: &mut Vec<Problem>) -> Result<(), StoreError> {
        for folder in list(&self.folder("layers"))? {
            let path = folder.join("index");
            let diff_id = folder.file_name().and_then(names::digest_of_name).map(DiffId);
            if let Some(diff_id) = &diff_id {
                problems.extend(crate::trees::verify(self, &folder, diff_id)?);
            }
            let bytes = match disk::read_small(&path, u64::MAX) {
                // A process that was killed may leave a folder without its index.
                Ok(None) => continue,
                Ok(Some(bytes)) => bytes,
                Err(error) => {
                    problems.push(Problem { path, why: error.to_string() });
                    continue;
                }
            };
            if diff_id.and_then(|diff_id| index_file::decode(&diff_id, &bytes)).is_none() {
                problems.push(Problem { path, why: "it is torn, or no index of this layer".into() });
            }
        }
        Ok(())
    }

    fn verify_images(&self, problems: &mut Vec<Problem>) -> Result<(), StoreError> {
        let tags = self.image_paths()?.into_iter().map(|(_, path)| path);
        for path in tags.chain(self.held_paths()?) {
            let bytes = disk::read_small(&path, pointer::LARGEST);
            let why = match bytes.as_ref().map(|bytes| bytes.as_deref().and_then(pointer::decode_image)) {
                Err(error) => Some(error.to_string()),
                Ok(None) => Some("it does not hold a digest".into()),
                Ok(Some(digest)) => self.verify_image(&digest).err(),
            };
            problems.extend(why.map(|why| Problem { path, why }));
        }
        Ok(())
    }

    /// Everything below a manifest is there, with the right sizes, or at a registry; the bytes were hashed before.
    fn verify_image(&self, digest: &Digest) -> Result<(), String> {
        if let Some(config) = self.local(digest) {
            return self.verify_local(&config);
        }
        let root = self.plain(digest).and_then(|bytes| self.describe(digest, &bytes).map_err(|it| it.to_string()))?;
        self.verify_closure(&root)
    }

    /// The config of an image that was built here and not yet packed: its name points to it.
    fn local(&self, digest: &Digest) -> Option<ImageConfig> {
        let bytes = self.plain(digest).ok()?;
        let is_manifest = Manifest::parse(&bytes).is_ok() || Index::parse(&bytes).is_ok();
        ImageConfig::parse(&bytes).ok().filter(|_| !is_manifest)
    }

    fn verify_local(&self, config: &ImageConfig) -> Result<(), String> {
        for layer in &config.rootfs.diff_ids {
            if !self.has_layer(layer).map_err(|error| error.to_string())? {
                return Err(format!("layer {layer} is missing"));
            }
        }
        Ok(())
    }

    fn verify_closure(&self, root: &Descriptor) -> Result<(), String> {
        let fetch = |descriptor: &Descriptor| {
            let bytes = self.plain(&descriptor.digest);
            bytes.map_err(|why| StoreError::Unsuitable(Unsuitable { digest: descriptor.digest, why }))
        };
        let mut closure = Closure::default();
        closure.add(root, &fetch).map_err(|error| error.to_string())?;
        let documents = closure.documents.iter().map(|(descriptor, _)| descriptor);
        for Descriptor { digest, size, .. } in documents.chain(&closure.blobs) {
            match self.size_now(digest).map_err(|error| error.to_string())? {
                Some(found) if found == *size => {}
                // It is had from there when it is needed.
                None if !self.origins(digest).map_err(|error| error.to_string())?.is_empty() => {}
                Some(found) => return Err(format!("blob {digest} has {found} bytes, not {size}")),
                None => return Err(format!("blob {digest} is missing")),
            }
        }
        let manifests = closure.documents.iter().filter_map(|(_, document)| match document {
            Document::Manifest(manifest) => Some(manifest),
            Document::Index(_) => None,
        });
        for manifest in manifests.filter(|manifest| is_image_config(&manifest.config.media_type)) {
            let config =
                ImageConfig::parse(&self.plain(&manifest.config.digest)?).map_err(|error| error.to_string())?;
            let (layers, diff_ids) = (manifest.layers.len(), config.rootfs.diff_ids.len());
            if layers != diff_ids {
                return Err(format!("its manifest has {layers} layers, its config {diff_ids}"));
            }
        }
        Ok(())
    }

    /// The layouts of the store. Most of their blobs are other names of the store's own, which were hashed before.
    fn verify_layouts(&self, problems: &mut Vec<Problem>) -> Result<(), StoreError> {
        for (_, folder) in self.layouts()? {
            for path in list(&layout::blobs(&folder))? {
                let own = path.file_name().map(|name| self.blobs_folder().join(name));
                if !own.is_some_and(|own| disk::is_same_file(&own, &path))
                    && let Err(why) = verify_blob(&path, &|_| ())
                {
                    problems.push(Problem { path, why });
                }
            }
            if let Err(error) = layout::check(&folder) {
                problems.push(Problem { path: folder, why: error.to_string() });
            }
        }
        Ok(())
    }

    /// A document's bytes without a check of their hash, and without setting anything aside.
    fn plain(&self, digest: &Digest) -> Result<Vec<u8>, String> {
        match disk::read_small(&self.blob_path(digest), corten_oci::LARGEST_DOCUMENT) {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(format!("blob {digest} is missing")),
            Err(error) => Err(error.to_string()),
        }
    }

    fn verify_referrers(&self, problems: &mut Vec<Problem>) -> Result<(), StoreError> {
        for folder in list(&self.folder("referrers"))? {
            for path in list(&folder)? {
                let bytes = disk::read_small(&path, pointer::LARGEST).ok().flatten();
                let referrer = bytes.and_then(|bytes| pointer::decode_referrer(&bytes));
                let name = path.file_name().and_then(names::digest_of_name);
                let subject = folder.file_name().and_then(names::digest_of_name);
                let is_right = |subject: Digest, name: Digest| self.pointer_is_right(&subject, &name);
                let why = match referrer.filter(|_| subject.zip(name).is_some_and(|(one, other)| is_right(one, other)))
                {
                    Some(referrer) => self.verify_closure(&referrer).err(),
                    None => Some("it does not hold the descriptor of the artifact that its name says".into()),
                };
                problems.extend(why.map(|why| Problem { path, why }));
            }
        }
        Ok(())
    }

    fn verify_records(&self, problems: &mut Vec<Problem>) -> Result<(), StoreError> {
        for path in list(&self.folder("cache"))? {
            let bytes = disk::read_small(&path, pointer::LARGEST_RECORD).ok().flatten();
            let key = path.file_name().and_then(names::digest_of_name);
            let value = key.zip(bytes).and_then(|(key, bytes)| pointer::decode_record(&key, &bytes));
            if value.is_none() {
                problems.push(Problem { path, why: "it is torn, or no record".into() });
            }
        }
        Ok(())
    }
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    Ok(names::names_in(folder)?.into_iter().map(|name| folder.join(name)).collect())
}

pub(crate) fn verify_blob(path: &Path, advance: &dyn Fn(u64)) -> Result<(), String> {
    let digest = path.file_name().and_then(names::digest_of_name).ok_or("its name is no digest")?;
    let file = match disk::open_regular(path) {
        // Somebody set it aside meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(|error| error.to_string())?,
    };
    let size = file.metadata().map_err(|error| error.to_string())?.len();
    let mut content = VerifiedReader::new(file, path.to_owned(), size, digest);
    let mut buffer = vec![0; CHUNK];
    loop {
        match io::Read::read(&mut content, &mut buffer) {
            Ok(0) => return Ok(()),
            Ok(got) => advance(got as u64),
            Err(error) => return Err(error.to_string()),
        }
    }
}
