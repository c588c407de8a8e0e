//! One reader of ELF files: needed libraries, run paths, machine.
