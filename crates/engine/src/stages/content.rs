//! The bytes of layers, in whatever form they are there: tar, unpacked tree, compressed blob.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use corten_diagnostic::{Failure, Report};
use corten_layer::gzip;
use corten_layer::tar::TarReader;
use corten_oci::{Blobs, Descriptor, DiffId, LayerPath};
use corten_store::Store;

use super::context::Context;
use super::details::{self, Details};
use super::image_view::ImageView;
use super::view::{Found, Place};
use crate::make::Bring;

/// Layers of a build, and where their bytes are.
pub(super) struct Layers<'a> {
    pub(super) store: &'a Store,
    bring: &'a Bring<'a>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// Blobs of layers that came with images.
    blobs: HashMap<DiffId, Descriptor>,
    details: HashMap<DiffId, Arc<Details>>,
    views: HashMap<Vec<DiffId>, Arc<ImageView>>,
}

/// Where content is read from.
#[derive(Clone)]
pub(super) enum Source {
    /// A file of this machine, beneath a folder.
    Beneath(Arc<Context>, LayerPath),
    /// Bytes of a file that is open.
    At(Arc<File>, u64),
}

enum Form {
    Tar(File),
    Tree(Arc<Context>),
    Blob(Descriptor),
}

impl<'a> Layers<'a> {
    pub(super) fn new(store: &'a Store, bring: &'a Bring<'a>) -> Self {
        Self { store, bring, known: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A layer came with an image.
    pub(super) fn add_blob(&self, layer: DiffId, blob: &Descriptor) {
        self.lock().blobs.insert(layer, blob.clone());
    }

    pub(super) fn blob(&self, layer: &DiffId) -> Option<Descriptor> {
        self.lock().blobs.get(layer).cloned()
    }

    /// A step has just left a layer here.
    pub(super) fn add_details(&self, layer: DiffId, details: Details) {
        self.lock().details.insert(layer, Arc::new(details));
    }

    /// Are the bytes of a layer to be had, here or from where its image is?
    pub(super) fn has(&self, layer: &DiffId) -> Result<bool, Report> {
        if !self.store.has_layer_index(layer) {
            return Ok(false);
        }
        Ok(self.blob(layer).is_some() || self.store.has_layer(layer)?)
    }

    fn form(&self, layer: &DiffId) -> Result<Form, Report> {
        if self.store.size(&layer.0)?.is_some() {
            return Ok(Form::Tar(self.store.file(&layer.0)?));
        }
        if let Some(folder) = self.store.tree_of(layer).as_deref().and_then(<[_]>::first) {
            return Ok(Form::Tree(Arc::new(Context::open(folder, None)?)));
        }
        let packed = || Ok::<_, Report>(self.store.packed(layer)?.into_iter().next());
        match self.blob(layer).map_or_else(packed, |blob| Ok(Some(blob)))? {
            Some(blob) => {
                (self.bring)(std::slice::from_ref(&blob), "copying from an image")?;
                Ok(Form::Blob(blob))
            }
            None => Err(Failure::world(format!("the bytes of layer {} are no longer in the store", layer.0))
                .hint("build again: it is made anew")
                .into()),
        }
    }

    fn tar<'s>(&'s self, blob: &Descriptor) -> Result<Box<dyn Read + 's>, Report> {
        let opened = Blobs::open(self.store, blob).and_then(|bytes| gzip::reader(&blob.media_type, bytes));
        opened.map_err(|error| Failure::world(format!("reading layer {}: {error}", blob.digest)).into())
    }

    /// What lies in merged layers.
    pub(super) fn view(&self, layers: &[DiffId]) -> Result<Arc<ImageView>, Report> {
        if let Some(view) = self.lock().views.get(layers) {
            return Ok(view.clone());
        }
        let view = Arc::new(ImageView::new(layers, self.store)?);
        self.lock().views.insert(layers.to_vec(), view.clone());
        Ok(view)
    }

    /// Times, attributes and digests of a layer's entries.
    pub(super) fn details(&self, layer: &DiffId) -> Result<Arc<Details>, Report> {
        if let Some(details) = self.lock().details.get(layer) {
            return Ok(details.clone());
        }
        let key = details::key(layer);
        let remembered = self.store.record(&key)?.and_then(|bytes| Details::decode(&bytes));
        let found = match remembered {
            Some(found) => found,
            None => {
                let found = self.find_details(layer)?;
                let batch = self.store.batch();
                batch.record(&key, &found.encode())?;
                batch.finish_later()?;
                found
            }
        };
        let found = Arc::new(found);
        self.lock().details.insert(*layer, found.clone());
        Ok(found)
    }

    /// Of a layer whose details are remembered.
    pub(super) fn remembered(&self, layer: &DiffId) -> Option<Details> {
        Details::decode(&self.store.record(&details::key(layer)).ok().flatten()?)
    }

    /// The same, from the layer's bytes.
    pub(super) fn find_details(&self, layer: &DiffId) -> Result<Details, Report> {
        match self.form(layer)? {
            Form::Tar(file) => details::of_tar(file),
            Form::Tree(tree) => details::of_tree(&tree, &self.index(layer)?),
            Form::Blob(blob) => details::of_tar(self.tar(&blob)?),
        }
    }

    fn index(&self, layer: &DiffId) -> Result<corten_oci::LayerIndex, Report> {
        let index = self.store.layer_index(layer)?;
        index.ok_or_else(|| Failure::world(format!("what lies in layer {} is no longer known", layer.0)).into())
    }

    /// Where the content of files is read from: each compressed layer is gone through once for all.
    pub(super) fn sources(&self, wanted: &[&Found], context: Option<&Arc<Context>>) -> Result<Vec<Source>, Report> {
        let mut by_layer: HashMap<DiffId, Vec<u64>> = HashMap::new();
        for found in wanted {
            if let Place::Layer(layer, offset) = found.place {
                by_layer.entry(layer).or_default().push(offset);
            }
        }
        let mut places: HashMap<(DiffId, u64), Source> = HashMap::new();
        for (layer, offsets) in by_layer {
            self.sources_of(&layer, offsets, &mut places)?;
        }
        let source = |found: &&Found| match (&found.place, context) {
            (Place::Layer(layer, offset), _) => places.get(&(*layer, *offset)).cloned(),
            (Place::Context(..), Some(context)) => Some(Source::Beneath(context.clone(), found.path.clone())),
            (Place::Context(..), None) => None,
        };
        let lost = |found: &&Found| Failure::bug(format!("nobody knows where {} is", found.path));
        wanted.iter().map(|found| source(found).ok_or_else(|| lost(found).into())).collect()
    }

    fn sources_of(
        &self,
        layer: &DiffId,
        mut offsets: Vec<u64>,
        places: &mut HashMap<(DiffId, u64), Source>,
    ) -> Result<(), Report> {
        match self.form(layer)? {
            Form::Tar(file) => {
                let file = Arc::new(file);
                places.extend(offsets.into_iter().map(|offset| ((*layer, offset), Source::At(file.clone(), offset))));
            }
            Form::Tree(tree) => {
                offsets.sort_unstable();
                for entry in self.index(layer)?.entries {
                    if offsets.binary_search(&entry.offset).is_ok() {
                        places.insert((*layer, entry.offset), Source::Beneath(tree.clone(), entry.path));
                    }
                }
            }
            Form::Blob(blob) => {
                offsets.sort_unstable();
                let spooled = self.spool(&blob, &offsets)?;
                places.extend(spooled.into_iter().map(|(offset, source)| ((*layer, offset), source)));
            }
        }
        Ok(())
    }

    /// One pass over a compressed layer: the files that are wanted go to a file without a name.
    fn spool(&self, blob: &Descriptor, offsets: &[u64]) -> Result<Vec<(u64, Source)>, Report> {
        let failed = |error: io::Error| Failure::world(format!("reading layer {}: {error}", blob.digest));
        let mut to = self.scratch()?;
        let mut places = Vec::new();
        let mut tar = TarReader::new(io::BufReader::with_capacity(1 << 18, self.tar(blob)?));
        let mut at = 0;
        while let Some(entry) = tar.next_entry()? {
            if offsets.binary_search(&entry.offset).is_ok() {
                places.push((entry.offset, at));
                at += io::copy(&mut tar.content(), &mut to).map_err(failed)?;
            }
        }
        to.flush().map_err(failed)?;
        let to = Arc::new(to);
        Ok(places.into_iter().map(|(offset, at)| (offset, Source::At(to.clone(), at))).collect())
    }

    /// A file without a name, on the store's disk.
    pub(super) fn scratch(&self) -> Result<File, Report> {
        let folder = self.store.scratch_folder()?;
        let path = folder.path().join("spool");
        let file = File::options().read(true).write(true).create_new(true).open(&path);
        Ok(file.map_err(|error| Failure::world(format!("writing {}: {error}", path.display())))?)
    }

    /// A small file of merged layers, for looking something up in it; none where it is not there or no file.
    ///
    /// # Errors
    /// A file above the limit.
    pub(super) fn small(&self, layers: &[DiffId], path: &str, limit: u64) -> Result<Option<Vec<u8>>, Report> {
        let view = self.view(layers)?;
        let Ok(path) = LayerPath::new(path) else { return Ok(None) };
        let Some(found) = view.file(&path) else { return Ok(None) };
        if found.size > limit {
            return Err(Failure::input(format!(
                "/{path} of the image has {} bytes; more than {limit} are not read",
                found.size
            ))
            .into());
        }
        let source = self.sources(&[&found], None)?;
        let mut bytes = Vec::new();
        for source in source {
            source
                .open(found.size)?
                .take(limit)
                .read_to_end(&mut bytes)
                .map_err(|error| Failure::world(format!("reading /{path}: {error}")))?;
        }
        Ok(Some(bytes))
    }
}

impl Source {
    /// Content of so many bytes.
    pub(super) fn open(&self, size: u64) -> Result<Box<dyn Read + Send + '_>, Failure> {
        match self {
            Self::Beneath(folder, path) => Ok(Box::new(folder.file(path)?.0)),
            Self::At(file, offset) => Ok(Box::new(Part { file, at: *offset, left: size })),
        }
    }
}

/// Some bytes of a file that many read.
struct Part<'a> {
    file: &'a File,
    at: u64,
    left: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let got = self.file.read_at(&mut buffer[..want], self.at)?;
        self.at += got as u64;
        self.left -= got as u64;
        Ok(got)
    }
}

/// Puts a stream at its end of a file: where it begins.
pub(super) fn append(file: &mut File, from: &mut dyn Read) -> io::Result<(u64, u64)> {
    let at = file.seek(io::SeekFrom::End(0))?;
    let size = io::copy(from, file)?;
    Ok((at, size))
}
