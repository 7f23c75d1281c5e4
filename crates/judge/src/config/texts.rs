//! A list as administrators write it: an array of strings, or one string as it stands in main.cf.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use toml::Spanned;

/// The strings of a list, each of one or more words.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Texts(pub(super) Vec<Spanned<String>>);

impl Texts {
    /// All in one line.
    pub(crate) fn joined(&self) -> String {
        self.iter().map(|text| text.get_ref().as_str()).collect::<Vec<_>>().join(" ")
    }
}

impl Deref for Texts {
    type Target = [Spanned<String>];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl JsonSchema for Texts {
    fn schema_name() -> Cow<'static, str> {
        "Texts".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["array", "string"], "items": { "type": "string" } })
    }
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let whole = Spanned::<Form>::deserialize(deserializer)?;
        let span = whole.span();
        Ok(Self(match whole.into_inner() {
            Form::One(text) if text.trim().is_empty() => Vec::new(),
            Form::One(text) => vec![Spanned::new(span, text)],
            Form::Many(texts) => texts,
        }))
    }
}

enum Form {
    One(String),
    Many(Vec<Spanned<String>>),
}

impl<'de> Deserialize<'de> for Form {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FormVisitor)
    }
}

struct FormVisitor;

impl<'de> Visitor<'de> for FormVisitor {
    type Value = Form;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of strings, or a string")
    }

    fn visit_str<E>(self, text: &str) -> Result<Form, E> {
        Ok(Form::One(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut texts: A) -> Result<Form, A::Error> {
        let mut all = Vec::new();
        while let Some(text) = texts.next_element()? {
            all.push(text);
        }
        Ok(Form::Many(all))
    }
}
