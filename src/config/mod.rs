//! Configuration: files → fragments → merged values with their origin → validated settings.

pub mod settings;
