//! Custom attributes. The API sends them as an object whose keys the workspace chose. This object is decoded into a list without an
//! intermediate JSON value.

use std::fmt;

use compact_str::CompactString;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::lenient::count;
use domain::{AttributeValue, CustomAttribute, Number};

/// The custom attributes of one contact, sorted by name. If a name comes twice, the last value counts. A name whose value is null is left
/// out.
#[derive(Debug, Default)]
pub(crate) struct Attributes(pub Vec<CustomAttribute>);

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
                // The sort is stable, so the last value of a name stays last.
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
                Json { levels: NESTED_MAX }.visit_seq(list).map(as_json)
            }
            fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Attribute, A::Error> {
                Json { levels: NESTED_MAX }.visit_map(object).map(as_json)
            }
        }
        deserializer.deserialize_any(Form)
    }
}

/// Converts a list or an object to JSON text. Lists and objects are rare, and are references to custom objects. A value that is nested too
/// deep is dropped.
fn as_json(value: Option<Value>) -> Attribute {
    if value.is_none() {
        count(|oddities| oddities.nested_too_deep += 1);
    }
    Attribute(value.map(|value| AttributeValue::Json(value.to_string().into())))
}

/// The deepest nesting in an attribute. serde_json refuses a body with more than 127 levels.
const NESTED_MAX: usize = 100;

/// Decodes a value with at most this many levels of lists and objects. `None` when the value has more.
struct Json {
    levels: usize,
}

impl<'de> DeserializeSeed<'de> for Json {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Value>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Json {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_unit<E: Error>(self) -> Result<Option<Value>, E> {
        Ok(Some(Value::Null))
    }
    fn visit_bool<E: Error>(self, flag: bool) -> Result<Option<Value>, E> {
        Ok(Some(flag.into()))
    }
    fn visit_i64<E: Error>(self, number: i64) -> Result<Option<Value>, E> {
        Ok(Some(number.into()))
    }
    fn visit_u64<E: Error>(self, number: u64) -> Result<Option<Value>, E> {
        Ok(Some(number.into()))
    }
    fn visit_f64<E: Error>(self, number: f64) -> Result<Option<Value>, E> {
        Ok(Some(number.into()))
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Option<Value>, E> {
        Ok(Some(text.into()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Option<Value>, A::Error> {
        let Some(levels) = self.levels.checked_sub(1) else {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(None);
        };
        let mut values = Some(Vec::new());
        while let Some(value) = list.next_element_seed(Json { levels })? {
            values = values.zip(value).map(|(mut values, value)| {
                values.push(value);
                values
            });
        }
        Ok(values.map(Value::Array))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Option<Value>, A::Error> {
        let Some(levels) = self.levels.checked_sub(1) else {
            while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(None);
        };
        let mut values = Some(Map::new());
        while let Some(Name(name)) = object.next_key()? {
            let value = object.next_value_seed(Json { levels })?;
            values = values.zip(value).map(|(mut values, value)| {
                values.insert(name.into(), value);
                values
            });
        }
        Ok(values.map(Value::Object))
    }
}
