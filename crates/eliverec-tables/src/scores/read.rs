//! Reads a score file, of `eliverec score` or of any other system.

use std::path::{Path, PathBuf};

use arrow::array::StructArray;
use eliverec_core::Schema;
use eliverec_core::schema::Group;
use eliverec_core::task::{P_WATCH, Task, TaskKind};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};

use super::original::candidate_fields;
use crate::decode::{Place, Problem};
use crate::error::Error;
use crate::read::{check_extent, guarded, located};
use crate::values;

/// The scores of candidates, found by request and channel. Holds 29 bytes per row and 4 per row and task.
#[derive(Debug)]
pub struct ScoreTable {
    path: PathBuf,
    /// Of the channel's fields.
    field: usize,
    requests: Vec<u64>,
    channels: Vec<u64>,
    position: Vec<Option<u16>>,
    p_watch: Vec<f32>,
    /// By task of the schema, where the file has it.
    tasks: Vec<Option<Vec<f32>>>,
    /// The rows, those of one request together.
    order: Vec<u32>,
    used: Vec<bool>,
}

impl ScoreTable {
    /// Reads the file at `path`, whose columns are those of [`crate::scores`]: `request_id`, the first categorical field of the
    /// channels, `p_watch`, and what there is of the tasks. Other columns are ignored.
    ///
    /// # Errors
    /// A file that cannot be read, a missing column, a null, a number that is no probability.
    pub fn read(path: &Path, schema: &Schema) -> Result<Self, Error> {
        let channel = candidate_fields(schema).into_iter().next().ok_or_else(|| {
            let reason = "the schema has no categorical field of a channel, by which its rows could be told apart";
            Error::directory(path, reason)
        })?;
        let file = fs_err::File::open(path)?.into_parts().0;
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = guarded(path, || ArrowReaderMetadata::load(&file, options))?;
        check_extent(path, metadata.metadata(), file.metadata()?.len())?;
        let wanted: Vec<String> = ["request_id", &channel, "position", P_WATCH]
            .into_iter()
            .map(String::from)
            .chain(schema.task.iter().map(Task::score_column))
            .collect();
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
            field: schema
                .fields(Group::Candidate)
                .iter()
                .position(|f| f.name == channel)
                .unwrap_or(0),
            requests: Vec::new(),
            channels: Vec::new(),
            position: Vec::new(),
            p_watch: Vec::new(),
            tasks: schema.task.iter().map(|_| None).collect(),
            order: Vec::new(),
            used: Vec::new(),
        };
        let mut rows = rows;
        while let Some(batch) = guarded(path, || rows.next().transpose())? {
            let first = table.requests.len() as u64;
            table
                .add(schema, &channel, &StructArray::from(batch))
                .map_err(|problem| located(path, first, problem))?;
        }
        let too_many = |_| Error::directory(path, "has more than four billion rows; split it");
        let count = u32::try_from(table.requests.len()).map_err(too_many)?;
        table.order = (0..count).collect();
        table.order.sort_by_key(|row| table.requests[*row as usize]);
        table.used = vec![false; table.requests.len()];
        Ok(table)
    }

    fn add(&mut self, schema: &Schema, channel: &str, rows: &StructArray) -> Result<(), Problem> {
        let top = Place::Top;
        let column = |name: &str| rows.column_by_name(name);
        self.requests.extend(top.read(column("request_id"), "request_id", values::ids)?);
        self.channels.extend(top.read(column(channel), channel, values::ids)?);
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

    /// The row of a candidate, by request and channel. A channel that was shown twice is told apart by its `position` where
    /// both sides know it, else the rows are given out in their order.
    ///
    /// # Errors
    /// There is none.
    pub fn find(
        &mut self,
        request: u64,
        channel: u64,
        position: Option<u16>,
    ) -> Result<usize, Error> {
        let first = self.order.partition_point(|row| self.requests[*row as usize] < request);
        let of_request = self.order[first..].iter().map(|row| *row as usize);
        let of_request = of_request.take_while(|row| self.requests[*row] == request);
        let mut found = of_request.filter(|row| self.channels[*row] == channel && !self.used[*row]);
        let there = |row: &usize| position.is_some() && self.position[*row] == position;
        let row = found.clone().find(there).or_else(|| found.next()).ok_or_else(|| {
            let reason = format!(
                "has no row for channel {channel} of request {request}; score every candidate of the split. \
                 Ids are compared as 64-bit numbers, text by its hash: give them in the type that the feeds have"
            );
            Error::directory(&self.path, reason)
        })?;
        self.used[row] = true;
        Ok(row)
    }

    /// Which of the channel's fields tells candidates apart: the first categorical one.
    pub fn channel_field(&self) -> usize {
        self.field
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

    /// Rows that nobody asked for.
    pub fn unused(&self) -> usize {
        self.used.iter().filter(|used| !**used).count()
    }
}
