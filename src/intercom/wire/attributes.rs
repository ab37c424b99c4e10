//! Custom attributes: an object of the workspace's own names, straight into a list, without a tree of values in between.

use std::fmt;

use compact_str::CompactString;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::domain::{AttributeValue, CustomAttribute, Number};

/// By name. Of a name that comes twice, the last value counts; null is no value.
#[derive(Debug, Default)]
pub(in crate::intercom) struct Attributes(pub Vec<CustomAttribute>);

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Attributes, D::Error> {
        struct Form;
        impl<'de> Visitor<'de> for Form {
            type Value = Attributes;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Attributes, A::Error> {
                let mut entries: Vec<(CompactString, Attribute)> = Vec::new();
                while let Some((Name(name), value)) = object.next_entry()? {
                    entries.push((name, value));
                }
                // The sort is stable: the last of a name is the last of its run.
                entries.sort_by(|(one, _), (other, _)| one.cmp(other));
                entries.dedup_by(|later, kept| {
                    let is_same = later.0 == kept.0;
                    if is_same {
                        std::mem::swap(later, kept);
                    }
                    is_same
                });
                let attributes = entries.into_iter().filter_map(|(name, value)| Some(CustomAttribute { name, value: value.0? }));
                Ok(Attributes(attributes.collect()))
            }
        }
        deserializer.deserialize_map(Form)
    }
}

/// A key, which is always a text.
struct Name(CompactString);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
        struct Form;
        impl Visitor<'_> for Form {
            type Value = Name;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_str<E: Error>(self, name: &str) -> Result<Name, E> {
                Ok(Name(name.into()))
            }
        }
        deserializer.deserialize_str(Form)
    }
}

struct Attribute(Option<AttributeValue>);

impl<'de> Deserialize<'de> for Attribute {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Attribute, D::Error> {
        struct Form;
        impl<'de> Visitor<'de> for Form {
            type Value = Attribute;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_unit<E: Error>(self) -> Result<Attribute, E> {
                Ok(Attribute(None))
            }
            fn visit_bool<E: Error>(self, flag: bool) -> Result<Attribute, E> {
                Ok(Attribute(Some(AttributeValue::Bool(flag))))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Attribute, E> {
                Ok(Attribute(Some(AttributeValue::Number(number.into()))))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Attribute, E> {
                Ok(Attribute(Some(AttributeValue::Number(number.into()))))
            }
            fn visit_f64<E: Error>(self, number: f64) -> Result<Attribute, E> {
                Ok(Attribute(Number::from_f64(number).map(AttributeValue::Number)))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Attribute, E> {
                Ok(Attribute(Some(AttributeValue::Text(text.into()))))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Attribute, A::Error> {
                Value::deserialize(SeqAccessDeserializer::new(list)).map(as_json)
            }
            fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Attribute, A::Error> {
                Value::deserialize(MapAccessDeserializer::new(object)).map(as_json)
            }
        }
        deserializer.deserialize_any(Form)
    }
}

/// References to custom objects and the like, which are rare.
fn as_json(value: Value) -> Attribute {
    Attribute(Some(AttributeValue::Json(value.to_string().into())))
}
