//! The same ids as integers in one file and text in another never meet: text becomes ids by its hash. The columns that
//! hold ids are told apart by the types that footers give, and files that do not agree are refused by name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arrow::datatypes::{DataType, Schema as ArrowSchema};
use eliverec_core::Schema;
use eliverec_core::schema::{Field, Group, Kind};

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

/// The columns of feeds that hold ids, as messages call them: `user_id`, `candidates.channel_id`.
pub(crate) fn id_columns(schema: &Schema) -> Vec<String> {
    let ids = ["request_id", "user_id"].map(String::from);
    let of_group = |group: Group| {
        let fields = schema.fields(group).iter().filter(|field| holds_ids(field));
        fields.map(move |field| format!("{}.{}", group.column(), field.name))
    };
    ids.into_iter().chain(Group::ALL.into_iter().flat_map(of_group)).collect()
}

/// How a file writes the ids of some columns.
pub(crate) fn of_file(columns: &[String], file: &ArrowSchema) -> Vec<Option<IdType>> {
    let of_column = |name: &String| {
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
    columns: Vec<String>,
    first: Vec<Option<(IdType, PathBuf)>>,
}

impl IdTypes {
    /// Of no file yet.
    pub(crate) fn new(columns: Vec<String>) -> Self {
        Self { first: vec![None; columns.len()], columns }
    }

    /// The columns.
    pub(crate) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Whether every column is known.
    pub(crate) fn are_known(&self) -> bool {
        self.first.iter().all(Option::is_some)
    }

    /// How each column writes its ids, as far as it is known.
    pub(crate) fn kinds(&self) -> BTreeMap<String, String> {
        let known = self.columns.iter().zip(&self.first).filter_map(|(column, first)| {
            Some((column.clone(), first.as_ref()?.0.name().to_owned()))
        });
        known.collect()
    }

    /// Takes over what was not known before.
    pub(crate) fn learn(&mut self, path: &Path, types: &[Option<IdType>]) {
        for (first, kind) in self.first.iter_mut().zip(types) {
            if let (None, Some(kind)) = (&first, kind) {
                *first = Some((*kind, path.into()));
            }
        }
    }

    /// Refuses a file that writes a column in another way than an earlier one.
    ///
    /// # Errors
    /// [`Error::Column`] names the column and both files.
    pub(crate) fn check(&self, path: &Path, types: &[Option<IdType>]) -> Result<(), Error> {
        for ((column, first), here) in self.columns.iter().zip(&self.first).zip(types) {
            if let (Some((there, file)), Some(here)) = (first, here)
                && there != here
            {
                let (here, there) = (here.name(), there.name());
                let reason = format!(
                    "its ids are {here} here and {there} in {}, where the same id would never be met; write the column \
                     alike in both",
                    file.display()
                );
                return Err(Error::Column { path: path.into(), field: column.clone(), reason });
            }
        }
        Ok(())
    }
}
