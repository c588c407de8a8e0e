//! Does the CUDA of an image fit a driver and a GPU?
//!
//! Three questions that are often taken for one:
//!
//! | question | decided by | answer when it does not fit |
//! |---|---|---|
//! | does the CUDA runtime start on the driver? | major version of CUDA → oldest driver; or cuda-compat in the image | `CUDA driver version is insufficient for CUDA runtime version` |
//! | is there code for the GPU? | architectures in the libraries: machine code of the same major version, or PTX and a driver that compiles it | `no kernel image is available for execution on the device` |
//! | does the driver know the GPU? | first and last driver branch of its architecture | the driver does not load |
//!
//! The toolkit's own driver is *not* the minimum: any CUDA 12 runs on R525 (minor-version compatibility), but for PTX and a few
//! features. What is known stands in data.toml and wheels.toml, each row with its source.

mod alternatives;
mod architectures;
mod contents;
mod data;
mod drivers;
mod errors;
mod fit;
mod gpu;
mod require;
mod version;

pub use contents::{
    Code, Compat, Contents, Copies, Package, Runtime, is_of_nvidia, minimum_driver, of_packages, toolkit_driver,
};
pub use errors::{Meaning, explain, meanings};
pub use fit::{Answer, Fit, Reason, Target, fit};
pub use gpu::{Gpu, GpuClass, UnknownGpu, dotted, gpu};
pub use require::{Host, requirement};
pub use version::{CudaVersion, DriverVersion, NoVersion};

#[cfg(test)]
mod tests;
