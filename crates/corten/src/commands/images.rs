//! `corten images`.

use corten_diagnostic::Report;
use corten_flow::{World, look};
use serde::Serialize;

use super::result;
use crate::args::Format;
use crate::render::text::{safe, size, table};

#[derive(Serialize)]
struct Shape {
    reference: String,
    digest: String,
    /// As `linux/amd64`.
    platforms: Vec<String>,
    /// Bytes of all layers, each once; none where they are not all there.
    size: Option<u64>,
}

/// Lists the names of the store.
pub fn run(format: Format, world: &World<'_>) -> Result<u8, Report> {
    let mut images = Vec::new();
    for (reference, digest) in world.store.images()? {
        let (platforms, size) = look::summary(&digest, world)?;
        images.push(Shape { reference: reference.to_string(), digest: digest.to_string(), platforms, size });
    }
    result(format, &images, || {
        let head = ["REFERENCE", "DIGEST", "SIZE", "PLATFORMS"].map(str::to_owned).to_vec();
        let row = |image: &Shape| {
            let bytes = image.size.map_or("-".to_owned(), size);
            vec![image.reference.clone(), image.digest.clone(), bytes, safe(&image.platforms.join(", "))]
        };
        table(&std::iter::once(head).chain(images.iter().map(row)).collect::<Vec<_>>(), &[2])
    })?;
    Ok(0)
}
