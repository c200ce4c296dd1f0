//! The same ids as integers in one place and text in another never meet: text becomes ids by its hash. The columns that
//! hold ids are told apart by the types that footers give, and those that do not agree, be it one column in two files or two
//! columns of one vocabulary, are refused by name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arrow::datatypes::{DataType, Schema as ArrowSchema};
use eliverec_core::Schema;
use eliverec_core::dimensions::{TABLE_GROUPS, id_column};
use eliverec_core::schema::{Field, Group, Kind};
use eliverec_core::{IdKind, IdKinds};

use crate::arrow_schema::struct_fields;
use crate::error::Error;

/// How a column writes ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdType {
    Integers,
    Text,
}

impl IdType {
    /// Of a column, or the lists in one; `None` for a type that tells nothing or is refused elsewhere.
    pub(crate) fn of(kind: &DataType) -> Option<Self> {
        match kind {
            DataType::Utf8 => Some(Self::Text),
            DataType::List(element) => Self::of(element.data_type()),
            kind if kind.is_integer() => Some(Self::Integers),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Integers => "integers",
            Self::Text => "text",
        }
    }
}

/// Whether a field's column holds ids.
pub(crate) const fn holds_ids(field: &Field) -> bool {
    matches!(field.kind, Kind::Categorical { .. } | Kind::Multi { .. })
}

/// A column that holds ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdColumn {
    /// As messages call it, and as its file does: `user_id`, or `candidates.channel_id` for a field of structs.
    pub name: String,
    /// The table that it is a column of; `None` for one of feeds or events.
    pub table: Option<Group>,
    /// The vocabulary whose ids it holds, which other columns may hold too; `None` for ids of its own.
    vocabulary: Option<String>,
}

impl IdColumn {
    /// A column of feeds or events whose ids are those of no vocabulary.
    pub(crate) fn own(name: &str) -> Self {
        Self { name: name.into(), table: None, vocabulary: None }
    }

    /// The column of a field.
    pub(crate) fn of_field(name: String, table: Option<Group>, field: &Field) -> Self {
        Self { name, table, vocabulary: field.kind.vocabulary().map(str::to_owned) }
    }

    /// The column `user_id`, `product_id` or `channel_id` of events, or of the table of these ids.
    pub(crate) fn of_id(schema: &Schema, group: Group, table: Option<Group>) -> Self {
        let name = id_column(group);
        let field =
            schema.fields(group).iter().find(|field| field.name == name && holds_ids(field));
        match field {
            Some(field) => Self::of_field(name, table, field),
            None => Self { name, table, vocabulary: None },
        }
    }

    /// Whether the ids of both are one thing, and so must be written alike.
    fn meets(&self, other: &Self) -> bool {
        match (&self.vocabulary, &other.vocabulary) {
            (None, None) => self.name == other.name,
            (here, there) => here == there,
        }
    }
}

/// The columns of feeds that hold ids, the id of the request first.
pub(crate) fn id_columns(schema: &Schema) -> Vec<IdColumn> {
    let ids = ["request_id", "user_id"].map(IdColumn::own);
    let of_group = |group: Group| {
        let fields = schema.fields(group).iter().filter(|field| holds_ids(field));
        fields.map(move |field| {
            IdColumn::of_field(format!("{}.{}", group.column(), field.name), None, field)
        })
    };
    ids.into_iter().chain(Group::ALL.into_iter().flat_map(of_group)).collect()
}

/// How a file of feeds or events, or the file of a table, writes ids: of the columns that are another's nothing.
pub(crate) fn of_file(
    columns: &[IdColumn],
    table: Option<Group>,
    file: &ArrowSchema,
) -> Vec<Option<IdType>> {
    let of_column = |IdColumn { name, table: of, .. }: &IdColumn| {
        if *of != table {
            return None;
        }
        if let Ok(column) = file.field_with_name(name) {
            return IdType::of(column.data_type());
        }
        let (column, field) = name.split_once('.')?;
        let structs = struct_fields(file.field_with_name(column).ok()?.data_type())?;
        IdType::of(structs.find(field)?.1.data_type())
    };
    columns.iter().map(of_column).collect()
}

/// How the files so far write each column, and the first that does.
#[derive(Clone, Debug)]
pub(crate) struct IdTypes {
    columns: Vec<IdColumn>,
    first: Vec<Option<(IdType, PathBuf)>>,
}

impl IdTypes {
    /// Of no file yet.
    pub(crate) fn new(columns: Vec<IdColumn>) -> Self {
        Self { first: vec![None; columns.len()], columns }
    }

    /// The columns.
    pub(crate) fn columns(&self) -> &[IdColumn] {
        &self.columns
    }

    /// Whether every column of feeds or events is known.
    pub(crate) fn are_known(&self) -> bool {
        let mut columns = self.columns.iter().zip(&self.first);
        columns.all(|(column, first)| column.table.is_some() || first.is_some())
    }

    /// How each column writes its ids, as far as it is known.
    pub(crate) fn kinds(&self) -> BTreeMap<String, String> {
        let known = self.columns.iter().zip(&self.first).filter_map(|(column, first)| {
            Some((column.name.clone(), first.as_ref()?.0.name().to_owned()))
        });
        known.collect()
    }

    /// The same of users, products, channels and of each vocabulary.
    pub(crate) fn id_kinds(&self) -> IdKinds {
        let entities = TABLE_GROUPS.map(id_column);
        let mut kinds = IdKinds::default();
        for (column, first) in self.columns.iter().zip(&self.first) {
            let Some((id_type, _)) = first else { continue };
            let kind = match id_type {
                IdType::Integers => IdKind::Integer,
                IdType::Text => IdKind::Text,
            };
            if entities.contains(&column.name) {
                kinds.columns.insert(column.name.clone(), kind);
            }
            if let Some(vocabulary) = &column.vocabulary {
                kinds.vocabularies.insert(vocabulary.clone(), kind);
            }
        }
        kinds
    }

    /// Takes over what was not known before.
    pub(crate) fn learn(&mut self, path: &Path, types: &[Option<IdType>]) {
        for (first, kind) in self.first.iter_mut().zip(types) {
            if let (None, Some(kind)) = (&first, kind) {
                *first = Some((*kind, path.into()));
            }
        }
    }

    /// Refuses a file that writes a column in another way than an earlier one, or than a column of the same vocabulary there
    /// or here.
    ///
    /// # Errors
    /// [`Error::Column`] names the columns and the files.
    pub(crate) fn check(&self, path: &Path, types: &[Option<IdType>]) -> Result<(), Error> {
        for (i, (column, here)) in self.columns.iter().zip(types).enumerate() {
            let Some(here) = here else { continue };
            // The column itself in an earlier file says most; then those before it in this file.
            let earlier = self.first.iter().enumerate().filter_map(|(j, first)| {
                let (kind, file) = first.as_ref()?;
                Some((j, *kind, file.as_path()))
            });
            let before =
                types[..i].iter().enumerate().filter_map(|(j, kind)| Some((j, (*kind)?, path)));
            let other = earlier
                .chain(before)
                .filter(|(j, kind, _)| kind != here && column.meets(&self.columns[*j]));
            if let Some((j, there, file)) = other.min_by_key(|(j, ..)| *j != i) {
                let (here, there) = (here.name(), there.name());
                let (other, file) = (&self.columns[j], file.display());
                let reason = match &column.vocabulary {
                    Some(vocabulary) if other.name != column.name => format!(
                        "its ids are {here} here and those of column {} {there} in {file}, where the same id of vocabulary \
                         {vocabulary} would never be met; write both columns alike, or give the fields two vocabularies",
                        other.name
                    ),
                    _ => format!(
                        "its ids are {here} here and {there} in {file}, where the same id would never be met; write the \
                         column alike in both"
                    ),
                };
                return Err(Error::Column {
                    path: path.into(),
                    field: column.name.clone(),
                    reason,
                });
            }
        }
        Ok(())
    }
}
