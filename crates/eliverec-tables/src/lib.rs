//! Feeds in Parquet files: one row is one request, with its histories and candidates as lists of structs.
//!
//! A feed directory holds `schema.toml` and one folder of Parquet files per [`Split`]. [`FeedWriter`] makes such a
//! directory whole or not at all; [`FeedDirectory`] reads it as a stream: in file order, or shuffled with a seed, as
//! feeds or as [`Batches`] of whole feeds; [`RecordBatches`] hands its rows to other programs, [`FeedTable`] takes theirs. Event logs, from which feeds are made, have a module of their own:
//! [`events`].
//!
//! # Memory
//! Reading holds, whatever the size of the set: per open reader the footer of one file, all of a file of up to a megabyte (of small files that are read as one, 16 MB) or one
//! page of each column of a larger one, and
//! the feeds decoded from [`read::DECODED_FEEDS`] rows; in a shuffle, twice [`Shuffle::buffer_feeds`] feeds more, and
//! while feeds are spread for one ([`spread`]) as much and a footer per pile; in [`Batches`], one batch. Besides these only the names and row counts of the files and their row groups are held.
//! Writing holds one row group and one footer per split: [`write::ROW_GROUP_FEEDS`] feeds or
//! [`write::ROW_GROUP_VALUES`] events, candidates and ids of lists. `tests/memory.rs` measures it.

mod arrow_schema;
pub mod batches;
pub mod check;
mod contents;
mod decode;
pub mod directory;
mod encode;
pub mod error;
pub mod events;
pub mod feed_file;
pub mod feed_table;
mod file_columns;
mod files_read;
mod footer;
mod hidden_times;
mod id_types;
pub mod import;
pub mod layout;
mod listing;
mod parquet_file;
mod partial;
mod plain;
pub mod read;
pub mod record_batches;
mod row_reader;
mod row_source;
pub mod scores;
pub mod shuffle;
pub mod spread;
pub mod statistics;
mod table_rows;
mod values;
pub mod write;
mod written_ids;
mod zstd_pages;

pub use batches::Batches;
pub use directory::{FeedDirectory, Listing};
pub use error::Error;
pub use feed_file::{EncodedFeeds, FeedEncoder, FeedFileWriter};
pub use feed_table::FeedTable;
pub use files_read::FeedFileRead;
pub use layout::Split;
pub use read::FeedReader;
pub use record_batches::RecordBatches;
pub use shuffle::Shuffle;
pub use statistics::{Statistics, statistics};
pub use write::FeedWriter;
pub use written_ids::{WrittenId, WrittenIds};
