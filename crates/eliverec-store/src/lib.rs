//! The sparse parameter store: 64-bit ids to embedding rows that train lazily, are admitted, age and are evicted.
//!
//! Embeddings live outside the autodiff graph. A step makes the ids of its batch unique, [`Store::gather_for_training`]
//! copies their rows into one leaf block per vocabulary, and [`Store::scatter`] brings the gradient of the blocks back.
//! The cost of both is that of the batch, whatever the table holds. No tensors and no engine here.
//!
//! A run's numbers depend on the seed and on the batches alone: a row starts from (seed, vocabulary, id), sums run in
//! the order of ids, and threads only ever own disjoint rows. So the saved files of equal states are equal bytes.
//!
//! - [`config`]: what can be chosen, and the memory that follows from it.
//! - [`store`]: the interface, over all vocabularies.
//! - `table`, `row`, `index`: one vocabulary in memory.
//! - `gather`, `scatter`, `evict`: the parts of a step.
//! - [`shard`]: rows shared out over several stores.
//! - `layout`, `codec`, `file`: the file format, its bytes, save and load.
//! - [`mapped`]: a saved store, read-only, straight from the page cache; [`mapped_file`]: a file so.
//! - [`compact`]: rows for reading alone, in float32, float16 or int8.

mod codec;
pub mod compact;
pub mod config;
pub mod error;
mod evict;
mod file;
mod gather;
mod index;
mod layout;
pub mod mapped;
pub mod mapped_file;
mod row;
mod scatter;
pub mod shard;
pub mod store;
mod table;
#[cfg(test)]
mod tests;

pub use compact::{CompactRows, Precision};
pub use config::StoreConfig;
pub use error::Error;
pub use gather::Gathered;
pub use mapped::MappedStore;
pub use mapped_file::MappedFile;
pub use shard::shard_of;
pub use store::{RowReader, Store};
