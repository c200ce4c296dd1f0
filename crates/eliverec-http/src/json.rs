//! What callers send as JSON, and what is wrong with it in words for people: serde's name types of this program.

use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::problem::{Code, Problem};

/// Reads one object and nothing after it.
///
/// # Errors
/// [`Code::Malformed`] for what is no JSON, [`Code::Invalid`] for what is none of these objects.
pub(crate) fn object<T: DeserializeOwned>(text: &[u8]) -> Result<T, Problem> {
    // An array would be taken for the fields in their order.
    if first(text) != Some(b'{') {
        serde_json::from_slice::<IgnoredAny>(text).map_err(|error| malformed(&error))?;
        let detail = "is no JSON object; send the fields by name, in { }";
        return Err(Problem::new(Code::Invalid, detail));
    }
    // Where an error stands is found only when there is one: following the path takes longer than reading.
    if let Ok(value) = serde_json::from_slice(text) {
        return Ok(value);
    }
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        match error.classify() {
            Category::Data => invalid(path, &error.to_string()),
            _ => malformed(&error),
        }
    })?;
    deserializer.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

/// The elements of an array and nothing after it, each as it stands there.
///
/// # Errors
/// [`Code::Malformed`].
pub(crate) fn array(text: &[u8]) -> Result<Vec<Box<RawValue>>, Problem> {
    serde_json::from_slice(text).map_err(|error| malformed(&error))
}

/// The first byte that is no white space.
pub(crate) fn first(text: &[u8]) -> Option<u8> {
    text.iter().copied().find(|byte| !byte.is_ascii_whitespace())
}

fn malformed(error: &serde_json::Error) -> Problem {
    Problem::new(Code::Malformed, format!("the body is no JSON: {error}"))
}

/// The longest that is shown of what was given.
const SHOWN: usize = 120;

/// What serde calls a type, and what it is called here.
const TYPES: [(&str, &str); 9] = [
    ("u16", "an integer from 0 to 65535"),
    ("u64", "an integer from 0 on"),
    ("usize", "an integer from 0 on"),
    ("i64", "an integer of 64 bits"),
    ("f64", "a number"),
    ("a boolean", "true or false"),
    ("a string", "text"),
    ("a sequence", "an array"),
    ("option", "a value"),
];

/// What serde says of the value at `path`, `.` for the whole, with the name of the field and in words.
fn invalid(path: String, said: &str) -> Problem {
    let said = said.rsplit_once(" at line ").map_or(said, |(said, _)| said);
    let quoted = |start: &str| said.strip_prefix(start)?.split('`').next();
    let within = |name: &str| match path.as_str() {
        "." => name.to_owned(),
        path if path == name || path.ends_with(&format!(".{name}")) => path.to_owned(),
        path => format!("{path}.{name}"),
    };
    if let Some(name) = quoted("missing field `") {
        return Problem::invalid(within(name), "is missing");
    }
    if let Some(name) = quoted("duplicate field `") {
        return Problem::invalid(within(name), "is given twice; give it once");
    }
    if let Some(name) = quoted("unknown field `") {
        let known = said.split_once(", expected ").map_or("no fields", |(_, known)| known);
        let known = known.trim_start_matches("one of ").replace('`', "");
        return Problem::invalid(within(name), format!("is no field of this call; it has {known}"));
    }
    if let Some(name) = quoted("unknown variant `") {
        let known = said.split_once(", expected ").map_or("", |(_, known)| known);
        let known = known.trim_start_matches("one of ").replace('`', "");
        return Problem::invalid(path, format!("is {name:?}; write {known}"));
    }
    let wrong =
        said.strip_prefix("invalid type: ").or_else(|| said.strip_prefix("invalid value: "));
    let detail = match wrong.and_then(|wrong| wrong.rsplit_once(", expected ")) {
        None => said.to_owned(),
        Some((given, expected)) => {
            let expected =
                TYPES.iter().find(|(serde, _)| *serde == expected).map_or(expected, |of| of.1);
            let given = match given {
                "map" => "an object",
                "sequence" => "an array",
                other => other,
            };
            let end = given.char_indices().nth(SHOWN).map_or(given.len(), |(end, _)| end);
            let more = if end < given.len() { "..." } else { "" };
            format!("is {}{more}; write {expected}", given[..end].replace('`', ""))
        }
    };
    match path.as_str() {
        "." => Problem::new(Code::Invalid, detail),
        _ => Problem::invalid(path, detail),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::wire::{Id, Values};

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only what is refused is looked at")]
    struct Call {
        user_id: Id,
        #[serde(default)]
        context: Values,
        #[serde(default)]
        k: usize,
        #[serde(default)]
        position: Option<u16>,
        #[serde(default)]
        tasks: bool,
        #[serde(default)]
        channels: Vec<Id>,
    }

    fn refused(text: &str) -> Problem {
        object::<Call>(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn fields_are_given_by_name_and_once() {
        for text in ["[5, {}]", "5", "null", "\"x\"", "[]", " [{\"user_id\": 5}]"] {
            let problem = refused(text);
            assert_eq!(problem.code, Code::Invalid, "{text}");
            assert!(problem.detail.contains("no JSON object"), "{text}: {problem:?}");
        }
        for text in ["", "  ", "[5", "{", "nul", "{\"user_id\": 1} 2", "{\"user_id\": }"] {
            assert_eq!(refused(text).code, Code::Malformed, "{text}");
        }
        for (text, field) in [
            (r#"{"user_id": 1, "user_id": 2}"#, "user_id"),
            (r#"{"user_id": 1, "context": {"hour": 1, "hour": 1}}"#, "context.hour"),
        ] {
            let problem = refused(text);
            assert_eq!(problem.field.as_deref(), Some(field), "{problem:?}");
            assert_eq!(problem.detail, "is given twice; give it once");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_names_of_the_program() {
        for (text, field, detail) in [
            ("{}", "user_id", "is missing"),
            (
                r#"{"user_id": 1, "K": 5}"#,
                "K",
                "is no field of this call; it has user_id, context, k, position, tasks, channels",
            ),
            (r#"{"user_id": 1, "k": -1}"#, "k", "is integer -1; write an integer from 0 on"),
            (
                r#"{"user_id": 1, "k": 0.5}"#,
                "k",
                "is floating point 0.5; write an integer from 0 on",
            ),
            (
                r#"{"user_id": 1, "position": 65536}"#,
                "position",
                "is integer 65536; write an integer from 0 to 65535",
            ),
            (
                r#"{"user_id": 1, "tasks": "yes"}"#,
                "tasks",
                "is string \"yes\"; write true or false",
            ),
            (r#"{"user_id": 1, "channels": {}}"#, "channels", "is an object; write an array"),
            (
                r#"{"user_id": 1, "channels": [1, null]}"#,
                "channels[1]",
                "is null; write an id: an integer of 64 bits, or text",
            ),
            (
                r#"{"user_id": 18446744073709551616}"#,
                "user_id",
                "is floating point 1.8446744073709552e+19; write an id: an integer of 64 bits, or text",
            ),
            (r#"{"user_id": ""}"#, "user_id", "an id of no characters"),
            (
                r#"{"user_id": 1, "context": []}"#,
                "context",
                "is an array; write a JSON object of fields",
            ),
        ] {
            let problem = refused(text);
            assert_eq!(
                (problem.field.as_deref(), problem.detail.as_str()),
                (Some(field), detail),
                "{text}"
            );
            assert_eq!(problem.code, Code::Invalid);
        }
        let long = refused(&format!(r#"{{"user_id": 1, "k": "{}"}}"#, "ä".repeat(1000)));
        assert!(long.detail.len() < 400, "{}", long.detail);
    }
}
