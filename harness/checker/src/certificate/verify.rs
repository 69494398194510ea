//! Verifying a certificate against the history that it is about.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::check::dispatch::{Subject, Visitor, dispatch};
use crate::check::{CheckError, read_all};
use crate::history::{Operations, Recording, operations, read_bytes};
use crate::model::Model;

use super::core::Verifying;
use super::place::Places;
use super::refusal::Refusal;
use super::validator::{Order, validate};
use super::{Certificate, Claim, CoreRefusal, FORMAT, PartitionOrder, Place, VERSION, digest};

/// What a certificate was found to prove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Proven {
    /// The history is linearizable.
    Linearizable {
        /// Partitions that were put in order.
        partitions: usize,
        /// Answers that the orders explain.
        explained: usize,
    },
    /// The history is not linearizable.
    Violation {
        /// The partition.
        key: Option<String>,
        /// How many operations contradict one another.
        operations: usize,
    },
}

/// Why a certificate proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The certificate is none, or none that can be read.
    #[error("this is no certificate: {0}")]
    Malformed(#[source] serde_json::Error),
    /// It is JSON, but says that it is something else.
    #[error(
        "this is no certificate of this version: it says `{format}` {version}, not `{FORMAT}` {VERSION}"
    )]
    Version {
        /// What it says that it is.
        format: String,
        /// In which version.
        version: u64,
    },
    /// The history cannot be read, or not by the certificate's model.
    #[error(transparent)]
    History(#[from] CheckError),
    /// It proves nothing about this history.
    #[error(transparent)]
    NotProven(#[from] NotProven),
}

/// Why a certificate proves nothing about a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(untagged)]
pub enum NotProven {
    /// It is about another file.
    #[error("the certificate is about another file: its SHA-256 is {expected}, this one's {found}")]
    OtherFile {
        /// The digest in the certificate.
        expected: String,
        /// The digest of the file.
        found: String,
    },
    /// It names an operation where there is none.
    #[error("the certificate names an operation of {0}, but nobody invokes one there")]
    NoOperation(Place),
    /// The order proves nothing.
    #[error(transparent)]
    Order(#[from] Refusal),
    /// The core proves nothing.
    #[error(transparent)]
    Core(#[from] CoreRefusal),
    /// There is nothing that could be proven.
    #[error("no operation in the history was answered, so whatever the system did would pass")]
    NothingAnswered,
}

/// Verifies that a certificate proves what it claims about this content of a file; the limit is for
/// the search of a core.
pub fn verify(
    certificate: &str,
    name: &str,
    content: &[u8],
    time_limit: Duration,
) -> Result<Proven, VerifyError> {
    let certificate = parse(certificate)?;
    let found = digest(content);
    let expected = &certificate.history.sha256;
    if *expected != found {
        return Err(NotProven::OtherFile { expected: expected.clone(), found }.into());
    }
    let recording =
        read_bytes(name, content, Some(certificate.history.format)).map_err(CheckError::from)?;
    let operations = operations(&recording).map_err(CheckError::from)?;
    let options = certificate.options();
    let case = Case { recording: &recording, operations: &operations };
    match &certificate.claim {
        Claim::Linearizable { partitions } => {
            let orders = Orders { case: &case, partitions };
            dispatch(certificate.model, &options, orders)?
        }
        Claim::Violation { core, .. } => {
            let (recording, operations) = (&recording, &operations);
            let verifying = Verifying { recording, operations, core, time_limit };
            dispatch(certificate.model, &options, verifying)?
        }
    }
}

/// Reads a certificate; one of another version is said to be that, whatever is in it.
fn parse(text: &str) -> Result<Certificate, VerifyError> {
    let value: Value = serde_json::from_str(text).map_err(VerifyError::Malformed)?;
    if let (Some(Value::String(format)), Some(version)) =
        (value.get("format"), value.get("version").and_then(Value::as_u64))
        && (format != FORMAT || version != u64::from(VERSION))
    {
        return Err(VerifyError::Version { format: format.clone(), version });
    }
    serde_json::from_value(value).map_err(VerifyError::Malformed)
}

/// What the proof is about.
struct Case<'a> {
    recording: &'a Recording,
    operations: &'a Operations,
}

/// The orders of all partitions, to be validated.
struct Orders<'a> {
    case: &'a Case<'a>,
    partitions: &'a [PartitionOrder],
}

impl Visitor for Orders<'_> {
    type Output = Result<Proven, VerifyError>;

    fn visit<M: Model>(self, subject: &Subject<'_, M>) -> Self::Output {
        let Case { recording, operations } = self.case;
        read_all(recording, operations, subject).map_err(CheckError::from)?;
        let places = Places::of(recording);
        let invocations = places.invocations(operations);
        let find = |named: &[Place]| -> Result<Vec<usize>, NotProven> {
            let find = |place| {
                let found: Option<&usize> = invocations.get(place);
                found.copied().ok_or(NotProven::NoOperation(*place))
            };
            named.iter().map(find).collect()
        };
        let order = |partition: &'_ PartitionOrder| {
            let PartitionOrder { order, no_effect, .. } = partition;
            Ok((find(order)?, find(no_effect)?))
        };
        let found: Vec<(Vec<usize>, Vec<usize>)> =
            self.partitions.iter().map(order).collect::<Result<_, NotProven>>()?;
        let orders = self.partitions.iter().zip(found);
        let orders: Vec<Order<'_>> = orders
            .map(|(partition, (order, no_effect))| Order {
                key: partition.key.as_deref(),
                order,
                no_effect,
            })
            .collect();
        let explained = validate(subject, &operations.list, &orders).map_err(|refusal| {
            let place = |index: usize| places.of_operation(&operations.list[index]);
            NotProven::from(refusal.at(place))
        })?;
        // A recording that is whole by its form and holds no operation is linearizable as it is.
        if explained == 0 && !(operations.list.is_empty() && recording.is_closed) {
            return Err(NotProven::NothingAnswered.into());
        }
        Ok(Proven::Linearizable { partitions: orders.len(), explained })
    }
}
