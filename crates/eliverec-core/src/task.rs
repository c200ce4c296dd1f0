//! The inter-channel tasks, as a schema declares them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// The main task, as logs call its loss.
const WATCH: &str = "watch";

/// What scores call the probability of a watch.
pub const P_WATCH: &str = "p_watch";

/// Columns that stand beside the tasks' and the channel's categorical fields wherever scores do.
pub(crate) const SCORE_COLUMNS: [&str; 5] =
    ["request_id", "user_id", P_WATCH, "live_intent", "product_intent"];

/// An inter-channel task (Sec. IV-C): what a user does once inside a channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// As configs, logs and reports call it.
    pub name: String,
    /// The candidates' column with its label; the name if omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What its label is.
    pub kind: TaskKind,
    /// Weight of its loss where weights are fixed (`tasks.mode = "vanilla"`), unless the config gives another.
    #[serde(default = "vanilla_weight")]
    pub weight: f32,
}

/// See [`Task::kind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// Seconds, not negative: regression on the standardised log1p.
    Duration,
    /// It happens or it does not: yes or no, 1 or 0.
    Binary,
}

fn vanilla_weight() -> f32 {
    0.3
}

impl Task {
    /// The paper's: the stay, a click on the goods bag, a click on a product, with the weights of its vanilla rows.
    pub fn paper() -> Vec<Self> {
        let task = |name: &str, label: Option<&str>, kind, weight| Self {
            name: name.into(),
            label: label.map(Into::into),
            kind,
            weight,
        };
        vec![
            task("stay", Some("stay_s"), TaskKind::Duration, 0.3),
            task("bag_click", None, TaskKind::Binary, 0.3),
            task("product_click", None, TaskKind::Binary, 0.1),
        ]
    }

    /// Whether these are the paper's.
    pub(crate) fn are_paper(tasks: &Vec<Self>) -> bool {
        *tasks == Self::paper()
    }

    /// Names and labels must be plain and differ, and so must what scores are called; `taken` are columns that no label may be,
    /// `ids` those that stand beside scores.
    pub(crate) fn check_all(tasks: &[Self], taken: &[&str], ids: &[&str]) -> Result<(), Error> {
        let (mut names, mut labels) = (BTreeSet::new(), BTreeSet::new());
        let mut scores: BTreeSet<String> =
            [WATCH].iter().chain(&SCORE_COLUMNS).chain(ids).map(|name| (*name).into()).collect();
        for task in tasks {
            let own = task.score_columns();
            let score_is_free =
                task.name != WATCH && own.into_iter().flatten().all(|name| scores.insert(name));
            let plain = !task.name.is_empty()
                && task.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            let reason = if !plain || !names.insert(&task.name) {
                "needs a name of its own, of letters, digits and _"
            } else if !labels.insert(task.column()) {
                "has the label of another task"
            } else if taken.contains(&task.column()) {
                "its label is a column that says something else already, or a field that would give it away"
            } else if !score_is_free {
                "its scores, p_NAME and p_watch_NAME or NAME_s, would have the name of others; choose another"
            } else if !task.weight.is_finite() || task.weight < 0.0 {
                "its weight must be a number that is not negative"
            } else {
                continue;
            };
            let field = format!("task {:?}", task.name);
            return Err(Error::SchemaField { field, reason: reason.into() });
        }
        Ok(())
    }

    /// What scores call its prediction: `p_NAME`, its probability given a watch, or `NAME_s`, seconds given a watch.
    pub fn score_column(&self) -> String {
        match self.kind {
            TaskKind::Duration => format!("{}_s", self.name),
            TaskKind::Binary => format!("p_{}", self.name),
        }
    }

    /// What scores call the probability of a watch and of what a binary task predicts.
    pub fn joint_column(&self) -> Option<String> {
        (self.kind == TaskKind::Binary).then(|| format!("{P_WATCH}_{}", self.name))
    }

    fn score_columns(&self) -> [Option<String>; 2] {
        [Some(self.score_column()), self.joint_column()]
    }

    /// The candidates' column with its label.
    pub fn column(&self) -> &str {
        self.label.as_deref().unwrap_or(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use crate::Schema;

    #[test]
    fn tasks_are_the_papers_unless_declared() {
        let text = "[[channel]]\nname = \"c\"\nkind = \"dense\"\n";
        let schema = Schema::parse(text).unwrap();
        let columns: Vec<&str> = schema.task.iter().map(super::Task::column).collect();
        assert_eq!(columns, ["stay_s", "bag_click", "product_click"]);
        assert!(!schema.to_toml().contains("task"));
        let own = format!("{text}[[task]]\nname = \"long_view\"\nkind = \"binary\"\n");
        let own = Schema::parse(&own).unwrap();
        assert_eq!(own.task[0].column(), "long_view");
        assert_eq!(Schema::parse(&own.to_toml()).unwrap(), own);
        assert!(schema.differences(&own).iter().any(|d| d.contains("long_view")));
        let none = Schema::parse(&format!("task = []\n{text}")).unwrap();
        assert!(none.task.is_empty());
        assert_eq!(Schema::parse(&none.to_toml()).unwrap(), none);
    }

    #[test]
    fn what_is_wrong_with_a_task_is_named() {
        let message = |tasks: &str| {
            let text = format!("[[channel]]\nname = \"c\"\nkind = \"dense\"\n{tasks}");
            Schema::parse(&text).unwrap_err().to_string()
        };
        let task = |name: &str, label: &str| {
            format!("[[task]]\nname = \"{name}\"\nlabel = \"{label}\"\nkind = \"binary\"\n")
        };
        assert!(message(&task("a b", "x")).contains("letters"));
        assert!(message(&(task("a", "x") + &task("a", "y"))).contains("a name of its own"));
        assert!(message(&(task("a", "x") + &task("b", "x"))).contains("label of another task"));
        assert!(message(&task("a", "c")).contains("give it away"));
        assert!(message(&task("a", "watched")).contains("something else"));
        assert!(message(&task("watch", "x")).contains("name of others"));
        let both = task("a", "x") + &task("watch_a", "y");
        assert!(message(&both).contains("task \"watch_a\""), "p_watch_a is the joint score of a");
        // Ids stand beside the scores under the names of their fields.
        let id = |name: &str| {
            let vocabulary = "[[vocabulary]]\nname = \"v\"\n";
            let field = format!("name = \"{name}\"\nkind = \"categorical\"\nvocabulary = \"v\"\n");
            format!("{vocabulary}[[channel]]\n{field}")
        };
        assert!(message(&id("user_id")).contains("channel.user_id: this name is taken"));
        assert!(message(&(id("p_a") + &task("a", "x"))).contains("name of others"));
    }
}
