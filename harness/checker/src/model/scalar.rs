//! The values that registers and keys hold.

use std::fmt;

use crate::history::{Text, Value};

/// A value that can be compared exactly: there are no floats among them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Scalar {
    /// No value.
    Nil,
    /// True or false.
    Bool(bool),
    /// An integer from −2⁶³ to 2⁶³ − 1.
    Int(i64),
    /// A greater one, up to 2⁶⁴ − 1.
    Large(u64),
    /// A string, shared with the recording.
    Text(Text),
}

// Every operation holds some of them, twice.
const _: () = assert!(size_of::<Scalar>() == 16);

impl Scalar {
    /// Reads a value; floats, arrays and objects are none.
    pub(crate) fn read(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Null => Self::Nil,
            Value::Bool(bool) => Self::Bool(*bool),
            // What JSON writes as -0 is read as a float, but is the integer 0.
            Value::Number(number) if number.as_f64() == Some(0.0) => Self::Int(0),
            Value::Number(number) => match number.as_i64() {
                Some(int) => Self::Int(int),
                None => Self::Large(number.as_u64()?),
            },
            Value::String(text) => Self::Text(text.clone()),
            Value::Array(_) | Value::Object(_) => return None,
        })
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => out.write_str("nil"),
            Self::Bool(bool) => write!(out, "{bool}"),
            Self::Int(int) => write!(out, "{int}"),
            Self::Large(int) => write!(out, "{int}"),
            Self::Text(text) => write!(out, "{text:?}"),
        }
    }
}
