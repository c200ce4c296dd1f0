//! The rows of all tables, shared out by their ids: each rank keeps those of its own shards, gets those of a batch that it computes
//! with, and gives their gradients back to who keeps them.
//!
//! Every rank reads the whole batch, so everyone knows which rows everyone else needs and keeps: no id is sent in an update. Rows
//! travel table by table, in the order of the batch's distinct ids.

use std::collections::BTreeMap;
use std::ops::Range;

use eliverec_core::TableSpec;
use eliverec_core::unique::UniqueIds;
use eliverec_run::Config;
use eliverec_store::{Gathered, Store};

use super::Shards;
use super::cut::CutBatch;
use super::spaces::{Space, Spaces, had, key, place_of};
use super::traffic::Sent;
use super::tree::{nodes, sum};
use crate::error::Error;
use crate::ranks::bytes;

/// The stores of this rank's shards, and how to reach the others'.
#[derive(Debug)]
pub struct RowShards {
    pub(super) shards: Shards,
    /// By own shard.
    pub(super) stores: Vec<Store>,
    pub(super) tables: Vec<TableSpec>,
}

/// The rows of a batch.
#[derive(Debug)]
pub struct GatheredRows {
    /// Of each of this rank's parts of the batch, by table, row-major `[distinct ids of the part, width]`.
    pub parts: Vec<Vec<Vec<f32>>>,
    /// By own shard.
    stores: Vec<Gathered>,
    /// Which rows this rank needs and keeps; of a batch in one piece it needs no telling.
    spaces: Option<Spaces>,
}

/// Sums of gradients over some shards, in a space.
struct RowSums {
    /// By key and row, whether a shard had it.
    had: Vec<Vec<bool>>,
    /// By table.
    blocks: Vec<Vec<f32>>,
}

impl RowShards {
    /// Empty tables.
    ///
    /// # Errors
    /// Options or vocabularies that cannot work.
    pub fn new(config: &Config, tables: Vec<TableSpec>, shards: Shards) -> Result<Self, Error> {
        let options = config.store.of_shard(shards.count());
        let stores = shards.own().map(|_| Store::new(config.seed, tables.clone(), options.clone()));
        Ok(Self { stores: stores.collect::<Result<_, _>>()?, shards, tables })
    }

    /// Who has which.
    pub fn shards(&self) -> &Shards {
        &self.shards
    }

    /// The stores of this rank's shards.
    pub fn stores(&self) -> impl Iterator<Item = (usize, &Store)> {
        self.shards.own().zip(&self.stores)
    }

    /// Puts other rows into every store of this rank; `load` gets the number of the shard.
    ///
    /// # Errors
    /// Those of `load`.
    pub(crate) fn replace(
        &mut self,
        load: impl Fn(usize) -> Result<Store, Error>,
    ) -> Result<(), Error> {
        self.stores = self.shards.own().map(load).collect::<Result<_, _>>()?;
        Ok(())
    }

    /// The rows of this rank's parts of a batch; see [`Store::gather_for_training`].
    pub(crate) fn gather_for_training(&mut self, batch: &CutBatch<'_>, step: u64) -> GatheredRows {
        let unique = &batch.whole.unique;
        if self.shards.is_one() {
            let mut gathered = self.stores[0].gather_for_training(unique, step);
            let parts = vec![std::mem::take(&mut gathered.rows)];
            return GatheredRows { parts, stores: vec![gathered], spaces: None };
        }
        let spaces = Spaces::of(batch, &self.shards);
        let stores: Vec<Gathered> = self
            .shards
            .own()
            .zip(&mut self.stores)
            .map(|(shard, store)| store.gather_for_training(&spaces.kept_by(shard, unique), step))
            .collect();

        // What this rank keeps of the batch, each row where its id stands.
        let mut kept = self.blocks(&spaces.kept);
        for (shard, gathered) in self.shards.own().zip(&stores) {
            for (t, table) in self.tables.iter().enumerate() {
                let rows = spaces.rows_of(shard, key(table, unique));
                for (row, values) in rows.zip(gathered.rows[t].chunks(table.width)) {
                    kept[t][row * table.width..][..table.width].copy_from_slice(values);
                }
            }
        }
        let parts = self.shards.by_rank().iter().map(|shards| {
            let needed = had(batch, shards);
            self.send(&kept, &spaces.kept, unique, |key, place| needed[key][place])
        });
        let received = self.shards.exchange(parts.collect(), Sent::Rows);
        let mut block = self.blocks(&spaces.needed);
        for (shards, bytes) in self.shards.by_rank().iter().zip(&received) {
            let from = |key: usize, place: usize| spaces.is_kept(key, place, shards);
            self.receive(&mut block, &spaces.needed, unique, bytes, from);
        }
        let parts = batch.parts.iter().map(|part| self.select(&block, &spaces, batch, part.shard));
        GatheredRows { parts: parts.collect(), stores, spaces: Some(spaces) }
    }

    /// The gradients of the rows that this rank keeps, by own shard and table, from those of its parts of the batch, by part and
    /// table: sums over all shards.
    pub(crate) fn to_keepers(
        &self,
        batch: &CutBatch<'_>,
        gathered: &GatheredRows,
        gradients: Vec<Vec<f32>>,
    ) -> Vec<Vec<f32>> {
        let Some(spaces) = &gathered.spaces else { return gradients };
        let (count, unique) = (self.shards.count(), &batch.whole.unique);
        let own = |shard: usize| {
            let part = batch.parts.iter().position(|part| part.shard == shard);
            let tables = self.tables.len();
            part.map(|part| &gradients[part * tables..(part + 1) * tables])
        };
        let mut leaf = |node: &Range<usize>| {
            (node.len() == 1).then(|| self.leaf(batch, spaces, node, own(node.start)))
        };
        let add = |left: RowSums, right: RowSums| self.add(unique, left, &right);
        let sums: Vec<RowSums> = nodes(&self.shards.own(), count)
            .iter()
            .map(|node| sum(node, &mut leaf, &add))
            .collect();

        let parts = self.shards.by_rank().iter().map(|shards| {
            let of_node = |sums: &RowSums| {
                self.send(&sums.blocks, &spaces.needed, unique, |key, place| {
                    let row = spaces.needed.index[key][place] as usize;
                    sums.had[key][row] && spaces.is_kept(key, place, shards)
                })
            };
            bytes::joined(&sums.iter().map(of_node).collect::<Vec<_>>())
        });
        let received = self.shards.exchange(parts.collect(), Sent::Rows);
        let mut given = BTreeMap::new();
        for (shards, lists) in self.shards.by_rank().iter().zip(&received) {
            for (node, bytes) in nodes(shards, count).into_iter().zip(bytes::apart(lists)) {
                let (mut blocks, had) = (self.blocks(&spaces.kept), had(batch, &node));
                let from = |key: usize, place: usize| had[key][place];
                self.receive(&mut blocks, &spaces.kept, unique, &bytes, from);
                let had = spaces.kept.of_rows(&had).collect();
                given.insert((node.start, node.end), RowSums { had, blocks });
            }
        }
        let mut take = |node: &Range<usize>| given.remove(&(node.start, node.end));
        let total = sum(&(0..count), &mut take, &add);

        let of_shard = |shard| {
            let total = &total;
            self.tables.iter().zip(&total.blocks).map(move |(table, block)| {
                let rows = spaces.rows_of(shard, key(table, unique));
                rows.flat_map(|row| block[row * table.width..][..table.width].to_vec()).collect()
            })
        };
        self.shards.own().flat_map(of_shard).collect()
    }

    /// Updates the rows that `gathered` has with gradients by own shard and table.
    ///
    /// # Errors
    /// Gradients that a store refuses; see [`Store::scatter`].
    pub(crate) fn scatter(
        &mut self,
        gathered: &GatheredRows,
        gradients: &[Vec<f32>],
        step: u64,
    ) -> Result<(), Error> {
        if self.shards.is_one() {
            return Ok(self.stores[0].scatter(&gathered.stores[0], gradients, step)?);
        }
        let by_shard = || gathered.stores.iter().zip(gradients.chunks(self.tables.len()));
        for (store, (gathered, gradients)) in self.stores.iter().zip(by_shard()) {
            store.check_gradients(gathered, gradients)?;
        }
        let own = self.stores.iter().zip(by_shard()).map(|(store, (gathered, gradients))| {
            let sums = store.rare_sums(gathered, gradients);
            bytes::joined(&sums.iter().map(|sum| bytes::of(sum)).collect::<Vec<_>>())
        });
        let own: Vec<Vec<u8>> = own.collect();
        let mut rare = vec![Vec::new(); self.tables.len()];
        for shard in self.shards.gather(&own) {
            for (sum, more) in rare.iter_mut().zip(bytes::apart(&shard)) {
                let more: Vec<f32> = bytes::numbers(&more);
                if sum.is_empty() {
                    *sum = more;
                } else {
                    sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
                }
            }
        }
        for (store, (gathered, gradients)) in
            self.stores.iter_mut().zip(gathered.stores.iter().zip(gradients.chunks(rare.len())))
        {
            store.scatter_with(gathered, gradients, &rare, step);
        }
        Ok(())
    }

    /// Rows that this rank keeps, by own shard.
    pub(crate) fn rows(&self) -> impl Iterator<Item = usize> {
        self.stores.iter().map(Store::rows)
    }

    /// Bytes of memory that they take.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.stores.iter().map(Store::memory_bytes).sum()
    }

    /// Zeros for every row of a space, by table.
    fn blocks(&self, space: &Space) -> Vec<Vec<f32>> {
        // Users, the last key, are those of a table that is keyed so.
        let users = space.places.len() - 1;
        let rows = |table: &TableSpec| space.places[place_of(table.key, users)].len();
        self.tables.iter().map(|table| vec![0.0; rows(table) * table.width]).collect()
    }

    /// The rows of a space that are `wanted`, given key and place.
    fn send(
        &self,
        blocks: &[Vec<f32>],
        space: &Space,
        unique: &UniqueIds,
        wanted: impl Fn(usize, usize) -> bool,
    ) -> Vec<u8> {
        let mut sent = Vec::new();
        for (table, block) in self.tables.iter().zip(blocks) {
            let key = key(table, unique);
            for (place, row) in space.places[key].iter().zip(block.chunks(table.width)) {
                if wanted(key, *place as usize) {
                    bytes::extend(&mut sent, row);
                }
            }
        }
        sent
    }

    /// Puts what [`RowShards::send`] sent where it belongs.
    fn receive(
        &self,
        blocks: &mut [Vec<f32>],
        space: &Space,
        unique: &UniqueIds,
        sent: &[u8],
        wanted: impl Fn(usize, usize) -> bool,
    ) {
        let numbers: Vec<f32> = bytes::numbers(sent);
        let mut rest = numbers.as_slice();
        for (table, block) in self.tables.iter().zip(blocks) {
            let key = key(table, unique);
            for (place, row) in space.places[key].iter().zip(block.chunks_mut(table.width)) {
                if wanted(key, *place as usize) {
                    let (values, after) = rest.split_at(table.width);
                    row.copy_from_slice(values);
                    rest = after;
                }
            }
        }
    }

    /// The rows of one part, by table.
    fn select(
        &self,
        block: &[Vec<f32>],
        spaces: &Spaces,
        batch: &CutBatch<'_>,
        shard: usize,
    ) -> Vec<Vec<f32>> {
        let select = |(table, block): (&TableSpec, &Vec<f32>)| {
            let (width, key) = (table.width, key(table, &batch.whole.unique));
            let index = &spaces.needed.index[key];
            let places = batch.distinct[shard][key].iter();
            let rows =
                places.map(|place| &block[index[*place as usize] as usize * width..][..width]);
            rows.flatten().copied().collect()
        };
        self.tables.iter().zip(block).map(select).collect()
    }

    /// The gradients of one part among the rows that this rank needs; nothing for a shard without feeds.
    fn leaf(
        &self,
        batch: &CutBatch<'_>,
        spaces: &Spaces,
        shard: &Range<usize>,
        gradients: Option<&[Vec<f32>]>,
    ) -> RowSums {
        let (needed, unique) = (&spaces.needed, &batch.whole.unique);
        let had = needed.of_rows(&had(batch, shard)).collect();
        let mut blocks = self.blocks(needed);
        for ((table, block), gradient) in
            self.tables.iter().zip(&mut blocks).zip(gradients.into_iter().flatten())
        {
            let (width, key) = (table.width, key(table, unique));
            let places = batch.distinct[shard.start][key].iter();
            for (place, from) in places.zip(gradient.chunks(width)) {
                let row = needed.index[key][*place as usize] as usize;
                let to = &mut block[row * width..][..width];
                // Added to zero, as everything later is, so that a -0 is the 0 that it becomes on the way to another rank.
                to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
            }
        }
        RowSums { had, blocks }
    }

    /// Adds rows that a shard of the right had.
    fn add(&self, unique: &UniqueIds, mut left: RowSums, right: &RowSums) -> RowSums {
        for ((table, to), from) in self.tables.iter().zip(&mut left.blocks).zip(&right.blocks) {
            let rows = to.chunks_mut(table.width).zip(from.chunks(table.width));
            for ((to, from), had) in rows.zip(&right.had[key(table, unique)]) {
                if *had {
                    to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
                }
            }
        }
        for (left, right) in left.had.iter_mut().flatten().zip(right.had.iter().flatten()) {
            *left |= *right;
        }
        left
    }
}
