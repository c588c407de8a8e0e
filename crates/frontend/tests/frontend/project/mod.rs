//! The project's own wheel against the wheels that the real backends built.

mod folders;
mod hostile;
mod made;
mod metadata;
mod refusals;
mod versions;
