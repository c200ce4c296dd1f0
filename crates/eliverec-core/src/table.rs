//! What an embedding table is asked to be: what a model declares, what the store keeps.
//!
//! Every vocabulary of a schema is a table. A model may have more of its own, keyed by the same ids.

/// Which ids of a batch name the rows of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Those of a vocabulary, by its place in the schema.
    Vocabulary(usize),
    /// The users' own, whether or not the schema lists them as a field.
    User,
}

/// What a row starts from; always a function of the seed, the table's name and the id alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum RowLaw {
    /// As the store's options say for the schema's vocabularies: normal, mean 0.
    #[default]
    Store,
    /// Zero.
    Zero,
    /// Normal, mean 0: a length and a standard deviation for each part of the row, which together are as long as the row.
    Normal(Vec<(usize, f32)>),
}

/// One table.
#[derive(Clone, Debug, PartialEq)]
pub struct TableSpec {
    /// Unique name; part of the key of every initial value.
    pub name: String,
    /// Numbers per row.
    pub width: usize,
    /// Occurrences in training after which an id gets a row of its own; until then it shares the rare-id row.
    /// 0 and 1 both give every id a row at once.
    pub min_count: u32,
    /// Whose rows they are.
    pub key: Key,
    /// What they start from.
    pub law: RowLaw,
}

impl TableSpec {
    /// The table of the schema's vocabulary number `place`.
    pub fn of_vocabulary(place: usize, name: &str, width: usize, min_count: u32) -> Self {
        let (key, law) = (Key::Vocabulary(place), RowLaw::Store);
        Self { name: name.into(), width, min_count, key, law }
    }
}
