//! What a schema must keep, checked once when it is read.

use std::collections::BTreeSet;

use crate::error::Error;
use crate::schema::{Field, Group, Kind, RESERVED, Schema};
use crate::task::{SCORE_COLUMNS, Task};

impl Schema {
    /// Checks that names are unique and given, vocabularies exist, boundaries ascend, and that both entities have fields.
    ///
    /// # Errors
    /// [`Error::SchemaField`] names the group and field.
    pub fn check(&self) -> Result<(), Error> {
        let wrong =
            |field: String, reason: &str| Err(Error::SchemaField { field, reason: reason.into() });
        let mut names = BTreeSet::new();
        for vocabulary in &self.vocabulary {
            let place = format!("vocabulary {:?}", vocabulary.name);
            if vocabulary.name.is_empty() || !names.insert(&vocabulary.name) {
                return wrong(place, "needs a name of its own");
            }
            if vocabulary.width == Some(0) {
                return wrong(place, "width must be positive");
            }
        }
        if self.channel.is_empty() {
            return wrong("channel".into(), "declare at least one field, such as channel_id");
        }
        for group in Group::ALL.into_iter().filter(|g| *g != Group::Candidate) {
            let mut names = BTreeSet::new();
            for field in self.fields(group) {
                let place = format!("{}.{}", group.name(), field.name);
                if field.name.is_empty() || !names.insert(&field.name) {
                    return wrong(place, "needs a name of its own within its group");
                }
                if RESERVED.contains(&field.name.as_str()) {
                    return wrong(place, "this name is taken by a column that every feed has");
                }
                self.check_kind(group, field).or_else(|reason| wrong(place, &reason))?;
            }
        }
        let mut names = BTreeSet::new();
        let shared = [Group::Channel, Group::Target, Group::Dynamic];
        for field in shared.into_iter().flat_map(|group| self.fields(group)) {
            if !names.insert(&field.name) {
                return wrong(field.name.clone(), "stands in two of channel, target and dynamic");
            }
        }
        let candidate = [Group::Channel, Group::Target, Group::Dynamic];
        let shown = candidate.into_iter().flat_map(|group| self.fields(group));
        let taken: Vec<&str> = RESERVED.into_iter().chain(shown.map(|f| f.name.as_str())).collect();
        let ids: Vec<&str> = self
            .fields(Group::Channel)
            .iter()
            .filter(|field| matches!(field.kind, Kind::Categorical { .. }))
            .map(|field| field.name.as_str())
            .collect();
        if let Some(name) = ids.iter().find(|name| SCORE_COLUMNS.contains(name)) {
            return wrong(
                format!("channel.{name}"),
                "this name is taken by a column that all scores have",
            );
        }
        Task::check_all(&self.task, &taken, &ids)?;
        for of in &self.matches {
            let place = format!("match.{}", of.name);
            if of.name.is_empty() || !names.insert(&of.name) {
                return wrong(place, "needs a name that no other field of a candidate has");
            }
            if let Err(reason) = of.resolve(self) {
                return wrong(place, &reason);
            }
        }
        for (entity, event) in
            [(Group::Product, Group::ProductEvent), (Group::Channel, Group::ChannelEvent)]
        {
            if let Some(field) = self
                .fields(event)
                .iter()
                .find(|f| self.fields(entity).iter().any(|e| e.name == f.name))
            {
                let place = format!("{}.{}", event.name(), field.name);
                return wrong(place, "the entity has a field of this name already");
            }
        }
        Ok(())
    }

    fn check_kind(&self, group: Group, field: &Field) -> Result<(), String> {
        let vocabulary = self.vocabulary_of(field);
        if let (Some(name), None) = (field.kind.vocabulary(), vocabulary) {
            return Err(format!(
                "vocabulary {name:?} is not declared; add a [[vocabulary]] of that name"
            ));
        }
        if matches!(group, Group::ProductEvent | Group::ChannelEvent) {
            let fits = vocabulary.is_some_and(|v| self.vocabulary[v].width.is_none());
            if !fits {
                return Err("is added to the entity's vector: it needs a vocabulary without a width of its own".into());
            }
        }
        if let Kind::Bucket { boundaries, .. } = &field.kind {
            let ascends = boundaries.windows(2).all(|pair| pair[0] < pair[1]);
            if boundaries.is_empty() || !ascends || boundaries.iter().any(|b| !b.is_finite()) {
                return Err("boundaries must be finite and ascend".into());
            }
        }
        Ok(())
    }
}
