//! From a model's name to its types: whoever works with histories of any model is a [`Visitor`].

use crate::history::{Text, Value};

use crate::history::OperationRef;
use crate::model::append_list::{self, AppendList};
use crate::model::counter::{self, Counter};
use crate::model::fifo_queue::{self, FifoQueue};
use crate::model::kv::{self, Key};
use crate::model::ledger::{self, Book};
use crate::model::lock;
use crate::model::multi_register::{self, Registers};
use crate::model::mutex::{self, Mutex};
use crate::model::priority_queue::{self, PriorityQueue};
use crate::model::register::{self, Keys, Register};
use crate::model::set::{self, Set};
use crate::model::stack::{self, Stack};
use crate::model::{Model, ModelName, Reader, Reading, Scalar, Unreadable};

use super::{CheckError, Options};

/// How one model begins, by partition, and how it reads operations.
pub(crate) struct Subject<'a, M: Model> {
    /// The state with which a partition begins.
    pub(crate) initial: &'a dyn Fn(Option<&str>) -> M,
    /// Reads an operation of a recording.
    pub(crate) read: &'a dyn Fn(&OperationRef<'_>) -> Result<Reading<M>, Unreadable>,
}

/// Something that is done in the same way for every model.
pub(crate) trait Visitor {
    /// What comes of it.
    type Output;

    /// Does it for one model.
    fn visit<M: Model>(self, subject: &Subject<'_, M>) -> Self::Output;
}

/// Brings a visitor to the model of this name.
pub(crate) fn dispatch<V: Visitor>(
    model: ModelName,
    options: &Options,
    visitor: V,
) -> Result<V::Output, CheckError> {
    let reader = Reader { nil_read: options.nil_read, failed_cas: options.failed_cas };
    let initial = initial_value(model, options);
    Ok(match model {
        ModelName::Register | ModelName::CasRegister | ModelName::KvRegister => {
            let keys = if model == ModelName::KvRegister { Keys::Demanded } else { Keys::InEvent };
            let has_cas = model != ModelName::Register;
            let initial = Register(scalar(model, &initial)?);
            visitor.visit(&Subject {
                initial: &|_| initial.clone(),
                read: &|operation| register::read(operation, &reader, keys, has_cas),
            })
        }
        ModelName::MultiRegister => {
            let initial = registers(&initial)?;
            visitor.visit(&Subject {
                initial: &|_| initial.clone(),
                read: &|operation| multi_register::read(operation, &reader),
            })
        }
        ModelName::Kv | ModelName::KvAppend => {
            let initial = match scalar(model, &initial)? {
                initial @ (Scalar::Nil | Scalar::Text(_)) => Key(initial),
                _ => return Err(no_initial(model, &initial, "give a string, or nil for no value")),
            };
            visitor.visit(&Subject {
                initial: &|_| initial.clone(),
                read: &|operation| kv::read(operation, &reader),
            })
        }
        ModelName::Mutex => {
            let initial = match &initial {
                Value::Null | Value::Bool(false) => Mutex { is_held: false },
                Value::Bool(true) => Mutex { is_held: true },
                other => {
                    return Err(no_initial(model, other, "give false for free or true for held"));
                }
            };
            visitor.visit(&Subject { initial: &|_| initial.clone(), read: &mutex::read })
        }
        ModelName::Lock => {
            let remedy = r#"give nil for free, or {"owner": …, "token": …}"#;
            let initial =
                lock::initial(&initial).ok_or_else(|| no_initial(model, &initial, remedy))?;
            visitor.visit(&Subject { initial: &|_| initial.clone(), read: &lock::read })
        }
        ModelName::Set => {
            let initial = collection(model, &initial, |set: &mut Set, element| {
                set.add(element);
            })?;
            visitor.visit(&Subject {
                initial: &|_| initial.clone(),
                read: &|operation| set::read(operation, &reader),
            })
        }
        ModelName::FifoQueue => {
            let initial = collection(model, &initial, FifoQueue::enqueue)?;
            visitor.visit(&Subject {
                initial: &|_| initial.clone(),
                read: &|operation| fifo_queue::read(operation, &reader),
            })
        }
        ModelName::Stack => {
            let initial = collection(model, &initial, Stack::push)?;
            visitor.visit(&Subject {
                initial: &|_| initial.clone(),
                read: &|operation| stack::read(operation, &reader),
            })
        }
        ModelName::PriorityQueue => {
            let initial = collection(model, &initial, |queue: &mut PriorityQueue, element| {
                queue.insert(element, element);
            })?;
            visitor.visit(&Subject {
                initial: &|_| initial.clone(),
                read: &|operation| priority_queue::read(operation, &reader),
            })
        }
        ModelName::Counter => {
            let initial = Counter(match &initial {
                Value::Null => 0,
                value => counter::integer(value)
                    .ok_or_else(|| no_initial(model, value, "give an integer, or nil for 0"))?,
            });
            visitor.visit(&Subject {
                initial: &|_| initial,
                read: &|operation| counter::read(operation, &reader),
            })
        }
        ModelName::AppendList => {
            let initial = collection(model, &initial, AppendList::append)?;
            visitor.visit(&Subject {
                initial: &|_| initial.clone(),
                read: &|operation| append_list::read(operation, &reader),
            })
        }
        ModelName::Ledger if initial != Value::Null => {
            return Err(no_initial(model, &initial, "leave out --initial: a book begins empty"));
        }
        ModelName::Ledger => visitor.visit(&Subject {
            initial: &|key| Book::new(key.unwrap_or_default()),
            read: &ledger::read,
        }),
    })
}

/// The value that the caller gave, or else the one with which the model begins.
pub(crate) fn initial_value(model: ModelName, options: &Options) -> Value {
    match (&options.initial, model) {
        (Some(initial), _) => initial.clone(),
        (None, ModelName::KvAppend) => Value::String(Text::default()),
        (None, _) => Value::Null,
    }
}

fn no_initial(model: ModelName, value: &Value, remedy: &'static str) -> CheckError {
    CheckError::Initial { model, value: value.clone(), remedy }
}

fn scalar(model: ModelName, value: &Value) -> Result<Scalar, CheckError> {
    Scalar::read(value)
        .ok_or_else(|| no_initial(model, value, "give a string, an integer, true, false or nil"))
}

/// One value for all registers, or a map with those that differ from nil.
fn registers(value: &Value) -> Result<Registers, CheckError> {
    let Value::Object(map) = value else {
        return Ok(Registers {
            initial: scalar(ModelName::MultiRegister, value)?,
            values: Default::default(),
        });
    };
    let mut values = std::collections::BTreeMap::new();
    for (key, value) in map {
        let value = scalar(ModelName::MultiRegister, value)?;
        if value != Scalar::Nil {
            values.insert(key.as_str().into(), value);
        }
    }
    Ok(Registers { initial: Scalar::Nil, values })
}

/// A collection that begins with a list of elements.
fn collection<M: Default>(
    model: ModelName,
    initial: &Value,
    add: impl Fn(&mut M, &Scalar),
) -> Result<M, CheckError> {
    let wrong = || no_initial(model, initial, "give a JSON list of plain values, or nil for none");
    let mut collection = M::default();
    match initial {
        Value::Null => {}
        Value::Array(list) => {
            for element in list {
                add(&mut collection, &Scalar::read(element).ok_or_else(wrong)?);
            }
        }
        _ => return Err(wrong()),
    }
    Ok(collection)
}
