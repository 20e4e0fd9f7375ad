//! Export, import and clone of configs.
//!
//! An import judges every file before anything is written (`judge`): what is no config is told by name and reason, the rest
//! goes down the write road (`import`). `words` is how v1 and v3 say what became of it.

mod clone;
mod export;
mod import;
mod judge;
mod words;

pub(super) use self::{
    clone::{admin_clone, console_clone, v1_clone},
    export::{v1_export, v3_export},
    import::{admin_import, console_import, v1_import},
};
