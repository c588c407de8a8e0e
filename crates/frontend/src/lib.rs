//! Texts that people write, to values: settings, locks, ignore files, entry points. Nothing here reads a file: whoever
//! calls hands in texts with the names that the user knows them by.

pub mod dockerfile;
pub mod entry;
pub mod ignore;
pub mod python;
pub mod settings;
pub mod yaml;
