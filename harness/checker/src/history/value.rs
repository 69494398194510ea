//! Values as histories hold them: JSON's, made to be kept by the million.
//!
//! A [`Value`] has the shape and the methods of `serde_json::Value` at half its size; what
//! does not fit is shared, so that an operation holds the values of its events without a copy. An
//! object is a sorted list: those of histories have a handful of fields, for which a tree has more
//! room than content.

mod reading;

use std::fmt;
use std::ops::{Deref, Index};

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::Number;
use triomphe::ThinArc;

use super::text::Text;

pub(super) use reading::{TextSeed, ValueSeed};

/// A value of a history.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// Nothing, in EDN `nil`.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// An integer of 64 bits, with or without sign, or a float.
    Number(Number),
    /// A text.
    String(Text),
    /// Values in an order.
    Array(Array),
    /// Values with names.
    Object(Object),
}

// A recording holds one in each of its events, and each of its operations two.
const _: () = assert!(size_of::<Value>() == 16);

impl Value {
    /// Whether it is nothing.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether it is an array.
    #[must_use]
    pub fn is_array(&self) -> bool {
        matches!(self, Self::Array(_))
    }

    /// Whether it is an object.
    #[must_use]
    pub fn is_object(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    /// Returns the text, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the truth value, if it is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(bool) => Some(*bool),
            _ => None,
        }
    }

    /// Returns the number, if it is a whole one from 0 to 2⁶⁴ − 1.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Number(number) => number.as_u64(),
            _ => None,
        }
    }

    /// Returns the number, if it is a whole one from −2⁶³ to 2⁶³ − 1.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Number(number) => number.as_i64(),
            _ => None,
        }
    }

    /// Returns the items, if it is an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// Returns the object, if it is one.
    #[must_use]
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// Returns the value of a field, if it is an object that has it.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&Self> {
        self.as_object()?.get(field)
    }
}

impl Index<&str> for Value {
    type Output = Self;

    /// Returns the value of a field; null if there is none.
    fn index(&self, field: &str) -> &Self {
        self.get(field).unwrap_or(&Self::Null)
    }
}

impl fmt::Display for Value {
    /// Writes it as JSON.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

/// Values in an order.
#[derive(Clone, PartialEq)]
pub struct Array(ThinArc<(), Value>);

impl Deref for Array {
    type Target = [Value];

    fn deref(&self) -> &[Value] {
        &self.0.slice
    }
}

impl From<Vec<Value>> for Array {
    fn from(items: Vec<Value>) -> Self {
        Self(ThinArc::from_header_and_iter((), items.into_iter()))
    }
}

impl<'a> IntoIterator for &'a Array {
    type Item = &'a Value;
    type IntoIter = std::slice::Iter<'a, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Debug for Array {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list().entries(self.iter()).finish()
    }
}

/// Values with names, in the order of the names, each of which there is once.
#[derive(Clone, PartialEq)]
pub struct Object(ThinArc<(), (Text, Value)>);

impl Object {
    /// Makes an object of fields in any order; an error is a name that stands twice.
    pub(super) fn new(mut fields: Vec<(Text, Value)>) -> Result<Self, Text> {
        fields.sort_by(|(a, _), (b, _)| a.cmp(b));
        match fields.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => Err(pair[0].0.clone()),
            None => Ok(Self(ThinArc::from_header_and_iter((), fields.into_iter()))),
        }
    }

    /// Returns the value with a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        let at = self.0.slice.binary_search_by(|(field, _)| field.as_str().cmp(name)).ok()?;
        Some(&self.0.slice[at].1)
    }

    /// Returns how many fields there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.slice.len()
    }

    /// Whether there are no fields.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.slice.is_empty()
    }

    /// Returns names and values, in the order of the names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Text, &Value)> {
        self.0.slice.iter().map(|(name, value)| (name, value))
    }

    /// Returns the names, in their order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &Text> {
        self.iter().map(|(name, _)| name)
    }

    /// Returns the values, in the order of their names.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &Value> {
        self.0.slice.iter().map(|(_, value)| value)
    }
}

impl<'a> IntoIterator for &'a Object {
    type Item = &'a (Text, Value);
    type IntoIter = std::slice::Iter<'a, (Text, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.slice.iter()
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_map().entries(self.iter()).finish()
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(bool) => serializer.serialize_bool(*bool),
            Self::Number(number) => number.serialize(serializer),
            Self::String(text) => text.serialize(serializer),
            Self::Array(items) => {
                let mut sequence = serializer.serialize_seq(Some(items.len()))?;
                items.iter().try_for_each(|item| sequence.serialize_element(item))?;
                sequence.end()
            }
            Self::Object(object) => {
                let mut map = serializer.serialize_map(Some(object.len()))?;
                object.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
                map.end()
            }
        }
    }
}

impl From<&serde_json::Value> for Value {
    fn from(value: &serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(bool) => Self::Bool(*bool),
            serde_json::Value::Number(number) => Self::Number(number.clone()),
            serde_json::Value::String(text) => Self::String(text.as_str().into()),
            serde_json::Value::Array(items) => {
                Self::Array(items.iter().map(Self::from).collect::<Vec<_>>().into())
            }
            serde_json::Value::Object(map) => {
                let fields = map.iter().map(|(name, value)| (name.as_str().into(), value.into()));
                Self::Object(Object::new(fields.collect()).expect("a map has each name once"))
            }
        }
    }
}

impl From<serde_json::Value> for Value {
    fn from(value: serde_json::Value) -> Self {
        Self::from(&value)
    }
}

impl From<&Value> for serde_json::Value {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(bool) => Self::Bool(*bool),
            Value::Number(number) => Self::Number(number.clone()),
            Value::String(text) => Self::String(text.as_str().to_owned()),
            Value::Array(items) => Self::Array(items.iter().map(Self::from).collect()),
            Value::Object(object) => {
                let fields =
                    object.iter().map(|(name, value)| (name.as_str().into(), value.into()));
                Self::Object(fields.collect())
            }
        }
    }
}

impl PartialEq<serde_json::Value> for Value {
    fn eq(&self, other: &serde_json::Value) -> bool {
        match (self, other) {
            (Self::Null, serde_json::Value::Null) => true,
            (Self::Bool(a), serde_json::Value::Bool(b)) => a == b,
            (Self::Number(a), serde_json::Value::Number(b)) => a == b,
            (Self::String(a), serde_json::Value::String(b)) => a.as_str() == b,
            (Self::Array(a), serde_json::Value::Array(b)) => **a == **b,
            (Self::Object(a), serde_json::Value::Object(b)) => {
                a.len() == b.len()
                    && a.iter().all(|(name, a)| b.get(name.as_str()).is_some_and(|b| a == b))
            }
            _ => false,
        }
    }
}

/// Writes a value as `serde_json::json!` does.
#[cfg(test)]
macro_rules! json {
    ($($json:tt)+) => {
        $crate::history::Value::from(serde_json::json!($($json)+))
    };
}

#[cfg(test)]
pub(crate) use json;
