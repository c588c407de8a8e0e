//! What Corten says: findings about a project or image, errors, and events while it works. Nothing here prints.
//!
//! Every error of the workspace implements [`Diagnose`], which decides where the error is born whose fault it is; the
//! exit status follows from that alone. [`Failure`] is the ready-made implementor for errors that nobody tells apart.

mod event;
mod failure;
mod finding;
mod span;

pub use event::{Event, Events, Nobody, TaskId, Unit};
pub use failure::{Diagnose, Failure, Fault, Report};
pub use finding::{Edit, Finding, Fix, Place, RuleId, Severity};
pub use span::Span;
