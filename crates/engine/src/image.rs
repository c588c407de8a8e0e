//! Config and manifest from layers.

use corten_diagnostic::{Failure, Report};
use corten_oci::{Descriptor, History, Image, ImageConfig, Layer, Manifest, MediaType, RootFs};
use corten_plan::ImageSpec;
use corten_store::Batch;

/// Writes both documents into the batch.
pub fn assemble(spec: &ImageSpec, layers: Vec<Layer>, batch: &Batch<'_>) -> Result<Image, Report> {
    let config = config(spec, &layers);
    let config_blob = put(&config, MediaType::CONFIG, batch)?;
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MediaType::MANIFEST.into()),
        artifact_type: None,
        config: config_blob.clone(),
        layers: layers.iter().map(|layer| layer.blob.clone()).collect(),
        subject: None,
        annotations: Default::default(),
    };
    let manifest = put(&manifest, MediaType::MANIFEST, batch)?;
    Ok(Image { manifest, config_blob, config, layers })
}

fn config(spec: &ImageSpec, layers: &[Layer]) -> ImageConfig {
    let history = |layer: &Layer| History {
        created: spec.created.clone(),
        created_by: Some(layer.created_by.clone()),
        comment: Some("corten".into()),
        ..History::default()
    };
    // Those of the base have their own.
    let given = spec.history.iter().filter(|history| !history.empty_layer).count();
    ImageConfig {
        created: spec.created.clone(),
        author: None,
        architecture: spec.architecture.go_name().into(),
        os: "linux".into(),
        variant: None,
        config: spec.config.clone(),
        rootfs: RootFs { kind: "layers".into(), diff_ids: layers.iter().map(|layer| layer.diff_id).collect() },
        history: spec.history.iter().cloned().chain(layers.iter().skip(given).map(history)).collect(),
    }
}

fn put<T: serde::Serialize>(document: &T, media_type: &str, batch: &Batch<'_>) -> Result<Descriptor, Report> {
    let bytes = serde_json::to_vec(document).map_err(|error| Failure::bug(format!("writing {media_type}: {error}")))?;
    batch.put(&bytes)?;
    Ok(Descriptor::of(media_type, &bytes))
}
