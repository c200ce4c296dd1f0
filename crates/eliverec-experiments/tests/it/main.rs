//! Who is in which bucket: uniform, independent between layers, and the same in every language that the documentation shows.

mod languages;
mod uniform;
