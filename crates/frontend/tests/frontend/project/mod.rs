//! The project's own wheel against the wheels that the real backends built.

mod folders;
mod made;
mod metadata;
mod real;
