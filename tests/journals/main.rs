//! Journals on real files: what is written, cut, bent, filled up and killed is read back sound, or
//! told.

mod bent;
mod find;
mod folder;
mod full;
mod golden;
mod killed;
mod reference;
mod shipped;
