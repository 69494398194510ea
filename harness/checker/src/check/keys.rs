//! Which operation belongs to which partition, for whoever shows a history.

use std::collections::HashMap;

use crate::history::{Operations, Recording};
use crate::model::{Model, ModelName};

use super::dispatch::{Subject, Visitor, dispatch};
use super::{CheckError, Options, read_all};

/// The partitions' keys, and each operation's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionKeys {
    keys: Vec<Option<String>>,
    of_operation: Vec<usize>,
}

impl PartitionKeys {
    /// Reads the key of every operation as the model does.
    pub fn of(
        recording: &Recording,
        operations: &Operations,
        options: &Options,
        model: ModelName,
    ) -> Result<Self, CheckError> {
        dispatch(model, options, Collecting { recording, operations })?
    }

    /// Returns which partition an operation belongs to, as a place in [`Self::names`].
    #[must_use]
    pub fn index(&self, operation: usize) -> usize {
        self.of_operation[operation]
    }

    /// Returns the partitions' keys in the order of first mention; the empty text for none.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.keys.iter().map(|key| key.clone().unwrap_or_default()).collect()
    }
}

struct Collecting<'a> {
    recording: &'a Recording,
    operations: &'a Operations,
}

impl Visitor for Collecting<'_> {
    type Output = Result<PartitionKeys, CheckError>;

    fn visit<M: Model>(self, subject: &Subject<'_, M>) -> Self::Output {
        let mut keys = Vec::new();
        let mut places: HashMap<Option<String>, usize> = HashMap::new();
        let readings = read_all(self.recording, self.operations, subject)?;
        let of_operation = readings.into_iter().map(|reading| {
            let key = reading.key.map(|key| key.to_string());
            *places.entry(key.clone()).or_insert_with(|| {
                keys.push(key);
                keys.len() - 1
            })
        });
        let of_operation = of_operation.collect();
        Ok(PartitionKeys { keys, of_operation })
    }
}
