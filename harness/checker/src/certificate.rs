//! Certificates: proofs of verdicts that another program can check.
//!
//! A certificate names operations by the lines of their invocations and says nothing else about
//! them: whoever verifies it reads the history itself. It is tied to that file by its SHA-256, and
//! it names the model and how the history was read, on which the verdict depends.
//!
//! - **Linearizable**: for every partition an order of operations. It must hold every operation
//!   that was answered, and of those of unknown outcome the ones that took effect; `no_effect`
//!   lists the others, so that each has a fate. To check it is to walk through it three times: is
//!   each there once, is none after one that was invoked only after it had returned, and does the
//!   model give every answer that was seen (`validator`, which shares no code with the engines)?
//! - **Violation**: a core, which is operations of one partition with their roles at a cut. What the
//!   roles make of the history is derived from the history itself, and searched through to its end:
//!   the module `refutation` says why the history has no order if that has none.

mod core;
mod order;
mod place;
mod refusal;
mod validator;
mod verify;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use self::core::CoreRefusal;
pub use order::NoCertificate;
pub use place::Place;
pub(crate) use place::Places;
pub use refusal::Refusal;
pub use verify::{NotProven, Proven, VerifyError, verify};

use crate::check::dispatch::initial_value;
use crate::check::{FailedCas, NilRead, Options, Report};
use crate::explain::Explanation;
use crate::history::{Format, Recording, Value};
use crate::model::ModelName;
use crate::refutation::Role;
use crate::verdict::Verdict;

/// The name by which a certificate says what it is.
pub const FORMAT: &str = "stormproof-certificate";

/// The version of the format: one that does not know it refuses the certificate.
pub const VERSION: u32 = 1;

/// The proof of a verdict on one history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// Always [`FORMAT`].
    pub format: String,
    /// The version of the format.
    pub version: u32,
    /// The file that was judged.
    pub history: HistoryFile,
    /// The model that it was judged by.
    pub model: ModelName,
    /// The value before the first operation.
    pub initial: Value,
    /// What a nil read saw.
    pub nil_read: NilRead,
    /// What a failed compare-and-set says.
    pub failed_cas: FailedCas,
    /// The verdict and its proof.
    #[serde(flatten)]
    pub claim: Claim,
}

/// The file that a certificate is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryFile {
    /// The SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// The format in which it is to be read.
    pub format: Format,
}

/// What a certificate proves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Claim {
    /// These orders explain every answer.
    Linearizable {
        /// One for each partition, in any order.
        partitions: Vec<PartitionOrder>,
    },
    /// This core of the history has no order, so the history has none.
    Violation {
        /// The core.
        core: Core,
        /// What contradicts what, for a human: no part of the proof.
        sentence: String,
    },
}

/// An order of the operations of one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionOrder {
    /// The key; none if the history was judged whole.
    pub key: Option<String>,
    /// The invocations of what took effect, in the order in which it did.
    pub order: Vec<Place>,
    /// The invocations of what took no effect though it might have.
    pub no_effect: Vec<Place>,
}

/// Operations of one partition that have no order, whatever the others did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Core {
    /// The key; none if the history was judged whole.
    pub key: Option<String>,
    /// The completion up to which the history is looked at; none for all of it.
    pub cut: Option<Place>,
    /// The operations that matter by themselves.
    pub operations: Vec<CoreOperation>,
}

/// An operation of a core.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoreOperation {
    /// The place of its invocation.
    pub at: Place,
    /// What of it matters.
    pub role: Role,
}

/// Returns the SHA-256 of a file's bytes in hexadecimal, as `sha256sum` prints it.
#[must_use]
pub fn digest(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes down the proof of a report's verdict; `content` is the file that was judged. The proof of
/// a violation is the core of its explanation.
pub fn certify(
    recording: &Recording,
    content: &[u8],
    options: &Options,
    report: &Report,
    explanation: Option<&Explanation>,
) -> Result<Certificate, NoCertificate> {
    let options = Options { model: Some(report.model), ..options.clone() };
    Ok(Certificate {
        format: FORMAT.to_owned(),
        version: VERSION,
        history: HistoryFile { sha256: digest(content), format: recording.format },
        model: report.model,
        initial: initial_value(report.model, &options),
        nil_read: options.nil_read,
        failed_cas: options.failed_cas,
        claim: match (&report.verdict, explanation) {
            (Verdict::Linearizable, _) => order::claim(recording, &options, report)?,
            (Verdict::Violation { .. }, Some(explanation)) => core_of(explanation),
            (Verdict::Violation { .. }, None) => return Err(NoCertificate::NoCore),
            (Verdict::Unknown { .. }, _) => return Err(NoCertificate::Unknown),
        },
    })
}

fn core_of(explanation: &Explanation) -> Claim {
    let operations = explanation.operations.iter();
    let operations = operations.map(|named| CoreOperation { at: named.at, role: named.role });
    let Explanation { key, cut, sentence, .. } = explanation;
    let core = Core { key: key.clone(), cut: *cut, operations: operations.collect() };
    Claim::Violation { core, sentence: sentence.clone() }
}

impl Certificate {
    /// Renders the certificate as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a certificate holds nothing that JSON cannot")
    }

    /// The options under which the verdict was given.
    fn options(&self) -> Options {
        Options {
            model: Some(self.model),
            initial: Some(self.initial.clone()),
            nil_read: self.nil_read,
            failed_cas: self.failed_cas,
            ..Options::default()
        }
    }
}
