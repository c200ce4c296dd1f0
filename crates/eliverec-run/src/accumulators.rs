//! Where the accumulators of dense parameters begin, if a config does not say it.

use eliverec_models::settings::InputConfig;
use toml::{Table, Value};

/// The widest d whose dense accumulators begin where those of the tables do.
const NARROW: i64 = 32;

/// The model that does not learn from there on at a greater width; others lose by another beginning (docs/results.md, "How the dense
/// layers begin to learn").
const COLLAPSES: &str = "elive";

/// Where its accumulators begin then. The gradient is that of a sum over the batch: from 0.1 on, each of the first updates moves
/// every weight by the whole rate, and the encoder loses its users to that.
const WIDE_ACCUMULATOR: f64 = 10.0;

/// Where accumulators of dense parameters begin is a matter of `model` and of its width, unless `config` says it.
pub(crate) fn begin(config: &mut Table, model: &str) {
    if model != COLLAPSES {
        return;
    }
    let width = config.get("input").and_then(|input| input.get("width"));
    // What is no number is refused where the table is read.
    let width = width.map_or(Some(InputConfig::default().width as i64), Value::as_integer);
    if width.is_none_or(|width| width <= NARROW) {
        return;
    }
    let table = || Value::Table(Table::new());
    let training = config.entry("training").or_insert_with(table);
    let Value::Table(training) = training else { return };
    if let Value::Table(rule) = training.entry("adagrad").or_insert_with(table) {
        rule.entry("initial_accumulator").or_insert(WIDE_ACCUMULATOR.into());
    }
}

#[cfg(test)]
mod tests {
    use crate::Config;

    #[test]
    fn accumulators_of_a_wide_elive_begin_higher_unless_the_file_says_it() {
        let begin = |width: &str, keys: &[&str]| {
            let keys: Vec<String> = keys.iter().map(|key| (*key).into()).collect();
            let text = format!("[model]\nname = \"elive\"\n[input]\n{width}\n");
            let config = Config::parse(&text, "quick.toml", &keys).unwrap();
            assert_eq!(Config::parse(&config.to_toml(), "", &[]).unwrap(), config);
            config.training.adagrad.initial_accumulator
        };
        assert_eq!(begin("", &[]), 10.0, "of the default width");
        assert_eq!((begin("width = 32", &[]), begin("width = 40", &[])), (0.1, 10.0));
        let decays = "training.adagrad.decay_steps=5";
        assert_eq!(begin("width = 128", &[decays]), 10.0);
        assert_eq!(begin("width = 128", &["training.adagrad.initial_accumulator=0.1"]), 0.1);
        assert_eq!(begin("width = 128", &["preset=paper"]), 10.0);
        assert_eq!(begin("width = 128", &["model.name=eta"]), 0.1);
        let text = "[model]\nname = \"elive\"\n[input]\nwidth = \"a\"\n";
        let wrong = Config::parse(text, "quick.toml", &[]).unwrap_err().to_string();
        assert!(wrong.contains("[input]"), "{wrong}");
    }
}
