//! The base layer: .debs of the store, unpacked in memory, with what their scripts would have done.
use std::io::Write;

use corten_diagnostic::{Failure, Report};
use corten_layer::write::Written;
use corten_plan::{Debs, Installed};

use crate::make::Capabilities;

/// Runs the base's Python to compile its standard library.
#[derive(Default)]
pub struct Bytecode<'a>(std::marker::PhantomData<&'a ()>);

/// Writes the layer.
pub fn write<W: Write>(_debs: &Debs, _capabilities: &Capabilities<'_>, _sink: W) -> Result<(W, Written, Vec<Installed>), Report> {
    Err(Failure::bug("bases are not built yet").into())
}
