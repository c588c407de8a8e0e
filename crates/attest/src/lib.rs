//! Bill of materials and release file.
