//! Reads a score file, of `eliverec score` or of any other system.

use std::collections::HashSet;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};

use arrow::array::{Array, StructArray};
use eliverec_core::feed::Column;
use eliverec_core::regular;
use eliverec_core::schema::Group;
use eliverec_core::seed::numbered;
use eliverec_core::task::{P_WATCH, Task, TaskKind};
use eliverec_core::{Feed, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};

use super::original::candidate_fields;
use crate::arrow_schema::{STANDS_TWICE, stands_twice};
use crate::decode::{Place, Problem};
use crate::error::Error;
use crate::hidden_times;
use crate::parquet_file::{check_extent, guarded, located};
use crate::values;

/// The scores of candidates, found by request and ids. Holds 29 bytes per row and 4 per row and task.
#[derive(Debug)]
pub struct ScoreTable {
    path: PathBuf,
    /// The categorical fields of the channels that the file has, by name and place among the channel's fields.
    fields: Vec<(String, usize)>,
    requests: Vec<u64>,
    /// Of all ids of the candidate together.
    keys: Vec<u64>,
    position: Vec<Option<u16>>,
    p_watch: Vec<f32>,
    /// By task of the schema, where the file has it.
    tasks: Vec<Option<Vec<f32>>>,
    /// The rows by request and key.
    order: Vec<u32>,
    used: Vec<bool>,
    by_order: usize,
}

impl ScoreTable {
    /// Reads the file at `path`, whose columns are those of [`crate::scores`]: `request_id`, at least one of the categorical
    /// fields of the channels, `p_watch`, and what there is of the tasks. Other columns are ignored.
    ///
    /// # Errors
    /// A file that cannot be read, a missing column, a null, a number that is no probability.
    pub fn read(path: &Path, schema: &Schema) -> Result<Self, Error> {
        let file = match regular::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::IsADirectory => {
                return Err(Error::directory(path, regular::A_FOLDER));
            }
            Err(e) if e.kind() == ErrorKind::NotSeekable => {
                return Err(Error::directory(path, regular::NO_FILE));
            }
            Err(e) if e.kind() == ErrorKind::NotFound => {
                let reason = "no such file; `eliverec score --out FILE` writes one";
                return Err(Error::directory(path, reason));
            }
            Err(e) => return Err(e.into()),
        };
        refuse_text(path, &file)?;
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = guarded(path, || ArrowReaderMetadata::load(&file, options))?;
        check_extent(path, metadata.metadata(), file.metadata()?.len())?;
        let has = |name: &str| metadata.schema().field_with_name(name).is_ok();
        let ids = candidate_fields(schema);
        let of_channel = schema.fields(Group::Candidate).iter().enumerate();
        let fields: Vec<(String, usize)> = of_channel
            .filter(|(_, field)| ids.contains(&field.name) && has(&field.name))
            .map(|(place, field)| (field.name.clone(), place))
            .collect();
        if fields.is_empty() {
            let reason = format!(
                "has none of the columns {}, which tell the candidates of a request apart; write at least the first, with ids as the feeds have them",
                ids.join(", ")
            );
            return Err(Error::directory(path, reason));
        }
        let wanted: Vec<String> = ["request_id", "position", P_WATCH]
            .into_iter()
            .map(String::from)
            .chain(fields.iter().map(|(name, _)| name.clone()))
            .chain(schema.task.iter().map(Task::score_column))
            .collect();
        let names: Vec<(&str, Vec<&str>)> =
            wanted.iter().map(|name| (name.as_str(), vec![])).collect();
        if let Some(field) = stands_twice(metadata.schema(), &names) {
            return Err(Error::Column { path: path.into(), field, reason: STANDS_TWICE.into() });
        }
        let added = guarded(path, || hidden_times::added_schema(metadata.metadata()))?;
        hidden_times::refuse(path, metadata.schema(), added.as_ref(), &names, |_, _| false)?;
        let leaves = metadata.parquet_schema().columns().iter().enumerate();
        let leaves = leaves.filter(|(_, leaf)| wanted.contains(&leaf.path().parts()[0]));
        let projection = ProjectionMask::leaves(metadata.parquet_schema(), leaves.map(|(i, _)| i));
        let rows = guarded(path, || {
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata)
                .with_projection(projection)
                .build()
        })?;
        let mut table = Self {
            path: path.into(),
            fields,
            requests: Vec::new(),
            keys: Vec::new(),
            position: Vec::new(),
            p_watch: Vec::new(),
            tasks: schema.task.iter().map(|_| None).collect(),
            order: Vec::new(),
            used: Vec::new(),
            by_order: 0,
        };
        let mut rows = rows;
        while let Some(batch) = guarded(path, || rows.next().transpose())? {
            let first = table.requests.len() as u64;
            table
                .add(schema, &StructArray::from(batch))
                .map_err(|problem| located(path, first, problem))?;
        }
        let too_many = |_| Error::directory(path, "has more than four billion rows; split it");
        let count = u32::try_from(table.requests.len()).map_err(too_many)?;
        let mut order: Vec<u32> = (0..count).collect();
        order.sort_by_key(|row| table.place(*row));
        table.order = order;
        table.used = vec![false; table.requests.len()];
        Ok(table)
    }

    /// What the rows are sorted by.
    fn place(&self, row: u32) -> (u64, u64) {
        (self.requests[row as usize], self.keys[row as usize])
    }

    fn add(&mut self, schema: &Schema, rows: &StructArray) -> Result<(), Problem> {
        let top = Place::Top;
        let column = |name: &str| rows.column_by_name(name);
        self.requests.extend(top.read(column("request_id"), "request_id", values::ids)?);
        let mut keys = vec![0; rows.len()];
        for (name, _) in &self.fields {
            let ids = top.read(column(name), name, values::ids)?;
            keys.iter_mut().zip(ids).for_each(|(key, id)| *key = numbered(*key, id));
        }
        self.keys.extend(keys);
        match column("position") {
            Some(array) => {
                self.position.extend(top.read(Some(array), "position", values::positions)?);
            }
            None => self.position.resize(self.requests.len(), None),
        }
        let p_watch = top.read(column(P_WATCH), P_WATCH, values::known_numbers)?;
        if let Some(row) = p_watch.iter().position(|p| !(0.0..=1.0).contains(p)) {
            let reason = format!("{} is no probability; write numbers from 0 to 1", p_watch[row]);
            return Err(Problem::Value { row, field: P_WATCH.into(), reason });
        }
        self.p_watch.extend(p_watch);
        for (task, known) in schema.task.iter().zip(&mut self.tasks) {
            let name = task.score_column();
            if let Some(array) = column(&name) {
                let numbers = top.read(Some(array), &name, values::known_numbers)?;
                let (fits, what): (fn(&f32) -> bool, _) = match task.kind {
                    TaskKind::Binary => {
                        (|x| (0.0..=1.0).contains(x), "probability; write numbers from 0 to 1")
                    }
                    TaskKind::Duration => {
                        (|x| x.is_finite() && *x >= 0.0, "duration; write seconds from 0")
                    }
                };
                if let Some(row) = numbers.iter().position(|x| !fits(x)) {
                    let reason = format!("{} is no {what}", numbers[row]);
                    return Err(Problem::Value { row, field: name, reason });
                }
                known.get_or_insert_default().extend(numbers);
            }
        }
        Ok(())
    }

    /// The rows of candidate `i` of a request, given out or not.
    fn rows_of(&self, feed: &Feed, i: usize) -> impl Iterator<Item = usize> + Clone + '_ {
        let mut key = 0;
        for (_, place) in &self.fields {
            if let Column::Ids(ids) = &feed.candidates.channel[*place] {
                key = numbered(key, ids[i]);
            }
        }
        let wanted = (feed.request_id, key);
        let first = self.order.partition_point(|row| self.place(*row) < wanted);
        let found = self.order[first..].iter().take_while(move |row| self.place(**row) == wanted);
        found.map(|row| *row as usize)
    }

    /// The row of candidate `i` of a request, by all ids that the file has. One that was shown twice is told apart by its
    /// `position` where both sides know it, else the rows are given out in their order, which [`Self::by_order`] counts.
    ///
    /// # Errors
    /// There is none.
    pub fn find(&mut self, feed: &Feed, i: usize) -> Result<usize, Error> {
        let position = feed.candidates.position[i];
        let free = self.rows_of(feed, i).filter(|row| !self.used[*row]);
        let there = |row: &usize| position.is_some() && self.position[*row] == position;
        let known = free.clone().any(|row| there(&row));
        let mut meant = free.filter(|row| !known || there(row));
        let row = meant.next().ok_or_else(|| self.missing(feed, i))?;
        let by_order = meant.any(|other| !self.says_the_same(row, other));
        drop(meant);
        self.by_order += usize::from(by_order);
        self.used[row] = true;
        Ok(row)
    }

    fn says_the_same(&self, a: usize, b: usize) -> bool {
        let mut numbers = self.tasks.iter().flatten().chain([&self.p_watch]);
        numbers.all(|numbers| numbers[a].to_bits() == numbers[b].to_bits())
    }

    fn missing(&self, feed: &Feed, i: usize) -> Error {
        let ids = self.fields.iter().map(|(name, place)| match &feed.candidates.channel[*place] {
            Column::Ids(ids) => format!("{name} {}", ids[i]),
            Column::Numbers(_) | Column::Lists { .. } => name.clone(),
        });
        let ids = ids.collect::<Vec<_>>().join(", ");
        let found = self.used.iter().filter(|used| **used).count();
        let reason = format!(
            "has no row for candidate {i} ({ids}) of request {}, after {found} that were found; score every candidate of this \
             split, with ids of the type that the feeds have (text is shown by its hash)",
            feed.request_id
        );
        Error::directory(&self.path, reason)
    }

    /// Refuses rows that say something of a candidate which another row has spoken of; asked when all were looked up.
    ///
    /// # Errors
    /// Names the first.
    pub fn refuse_doubles(&self) -> Result<(), Error> {
        let doubled = self.order.windows(2).find(|pair| {
            let [first, second] = [pair[0], pair[1]];
            self.place(first) == self.place(second)
                && self.used[first as usize] != self.used[second as usize]
        });
        let Some(pair) = doubled else { return Ok(()) };
        let reason = format!(
            "rows {} and {} are of one candidate of request {}; write one",
            pair[0], pair[1], self.requests[pair[0] as usize]
        );
        Err(Error::directory(&self.path, reason))
    }

    /// The probability of a watch in a row.
    pub fn p_watch(&self, row: usize) -> f32 {
        self.p_watch[row]
    }

    /// What a task's column says in a row; `None` for a task that the file does not have.
    pub fn task(&self, task: usize, row: usize) -> Option<f32> {
        self.tasks[task].as_ref().map(|numbers| numbers[row])
    }

    /// Whether the file has the task.
    pub fn has_task(&self, task: usize) -> bool {
        self.tasks[task].is_some()
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Rows that nothing but their order in the file told from others of the same request and ids, with other scores.
    pub fn by_order(&self) -> usize {
        self.by_order
    }

    /// Rows that nobody asked for: of requests of which no row was asked for, and of candidates that a request does not have.
    pub fn unused(&self) -> [usize; 2] {
        let rows = || self.requests.iter().zip(&self.used);
        let asked: HashSet<u64> = rows().filter(|(_, used)| **used).map(|(id, _)| *id).collect();
        let unused = || rows().filter(|(_, used)| !**used);
        let of_asked = unused().filter(|(id, _)| asked.contains(id)).count();
        [unused().count() - of_asked, of_asked]
    }
}

/// Refuses a file that does not begin as Parquet files do: scores of other systems are often a table of text.
fn refuse_text(path: &Path, mut file: &File) -> Result<(), Error> {
    let mut first = Vec::new();
    file.take(4).read_to_end(&mut first)?;
    file.rewind()?;
    // The last letter says whether it is encrypted.
    if first.is_empty() || first.starts_with(b"PAR") {
        return Ok(());
    }
    let reason = "is no Parquet file but perhaps one of text; write the scores as Parquet, with the columns that docs/feeds.md \
                  lists";
    Err(Error::directory(path, reason))
}
