//! Texts that people write, to values: settings, locks, ignore files, entry points.
