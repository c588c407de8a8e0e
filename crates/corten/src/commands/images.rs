//! `corten images`.

use corten_diagnostic::Report;
use corten_flow::World;
use serde::Serialize;

use super::result;
use crate::args::Format;
use crate::render::text::table;

#[derive(Serialize)]
struct Shape {
    reference: String,
    digest: String,
}

/// Lists the names of the store.
pub fn run(format: Format, world: &World<'_>) -> Result<u8, Report> {
    let images = world.store.images()?;
    let images: Vec<Shape> = images
        .into_iter()
        .map(|(reference, digest)| Shape { reference: reference.to_string(), digest: digest.to_string() })
        .collect();
    result(format, &images, || {
        let head = vec!["REFERENCE".to_owned(), "DIGEST".to_owned()];
        let rows = images.iter().map(|image| vec![image.reference.clone(), image.digest.clone()]);
        table(&std::iter::once(head).chain(rows).collect::<Vec<_>>(), &[])
    })?;
    Ok(0)
}
