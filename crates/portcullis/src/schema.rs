//! The configuration described from its own structs: as a JSON schema for editors, as a page for the manual.

use std::fmt::Write as _;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use crate::config::Config;

/// The JSON schema of a configuration file, with the default of every key.
///
/// # Panics
/// Never: the default configuration is a tree of plain values.
#[must_use]
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Config>().to_value();
    let defaults = serde_json::to_value(Config::default()).expect("a configuration is plain values");
    add_defaults(&mut schema, &defaults);
    schema
}

/// Puts into each description of a key what it is where nobody sets it.
fn add_defaults(schema: &mut Value, defaults: &Value) {
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    for (key, property) in properties {
        let default = defaults.get(key);
        if is_section(property) {
            add_defaults(property, default.unwrap_or(&Value::Null));
        } else if let (Some(property), Some(default)) = (property.as_object_mut(), default) {
            property.insert("default".into(), default.clone());
        }
    }
}

fn is_section(property: &Value) -> bool {
    property.get("properties").is_some()
}

/// The page of the manual that names every key.
#[must_use]
pub fn reference() -> String {
    let mut page = String::from(
        "# Every key\n\n\
         This page is written by `portcullis config schema --markdown` from the program itself. Every key is there since 0.1.0. A key\n\
         without a default is absent where nobody sets it. Durations are written as Postfix writes them: `30s`, `5m`, `2h`,\n\
         `1d`, `1w`.\n",
    );
    push_section(&schema(), "", &mut page);
    page
}

fn push_section(schema: &Value, path: &str, page: &mut String) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    let title = if path.is_empty() { "At the top".into() } else { format!("`[{path}]`") };
    if properties.values().any(|property| !is_section(property)) {
        let _ = write!(page, "\n## {title}\n\n| key | default | meaning | Postfix |\n|---|---|---|---|\n");
        properties.iter().filter(|(_, property)| !is_section(property)).for_each(|(key, property)| {
            push_key(key, property, path, page);
        });
    }
    for (key, property) in sections(properties) {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        push_section(property, &path, page);
    }
}

fn sections(properties: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    properties.iter().filter(|(_, property)| is_section(property))
}

fn push_key(key: &str, property: &Value, section: &str, page: &mut String) {
    let default = property.get("default").map(|default| format!("`{default}`")).unwrap_or_default();
    let description = property.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " ");
    // The section [postfix] holds Postfix's own names.
    let of_postfix = if section == "postfix" { Some(key) } else { postfix_name(&description) };
    let of_postfix = of_postfix.map(|name| format!("`{name}`")).unwrap_or_default();
    let _ = writeln!(page, "| `{key}` | {} | {} | {of_postfix} |", cell(&default), cell(&description));
}

/// The parameter that a description names as Postfix's: "(Postfix: `name`)".
fn postfix_name(description: &str) -> Option<&str> {
    let (_, after) = description.split_once("Postfix: `")?;
    after.split_once('`').map(|(name, _)| name)
}

/// A text that ends no cell of a table before its end.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_has_every_key() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src/reference.md");
        if std::env::var_os("PORTCULLIS_TEST_WRITE").is_some() {
            std::fs::write(path, reference()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), reference(), "PORTCULLIS_TEST_WRITE=1 writes it");
    }

    #[test]
    fn every_key_has_a_meaning() {
        fn check(schema: &Value, path: &str) {
            for (key, property) in schema["properties"].as_object().into_iter().flatten() {
                assert!(property["description"].as_str().is_some_and(|text| !text.is_empty()), "{path}{key}");
                check(property, &format!("{path}{key}."));
            }
        }
        check(&schema(), "");
        assert_eq!(schema()["properties"]["postfix"]["properties"]["reject_code"]["default"], 554);
        assert_eq!(schema()["properties"]["restrictions"]["additionalProperties"], false);
    }
}
