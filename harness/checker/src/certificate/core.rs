//! Verifying the core of a violation.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::check::dispatch::{Subject, Visitor};
use crate::check::{CheckError, Cut, TIME_LIMIT_MAX, read_all};
use crate::history::{Operations, Recording};
use crate::model::Model;
use crate::refutation::{Exhausted, Limit, Member, Role, Weakened, exhaust, members};

use super::place::Places;
use super::{Core, NotProven, Place, Proven, VerifyError};

/// Configurations beyond which a core is not small.
const CONFIGURATIONS_MAX: usize = 20_000_000;

/// Why a core proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum CoreRefusal {
    /// It is said to end where no operation does.
    #[error("the core is said to end at {at}, but no operation is completed there")]
    NoCompletion {
        /// The end of the core.
        at: Place,
    },
    /// It names an operation that has no part in it.
    #[error(
        "the operation of {at} has no part in the core: it failed, says nothing, is invoked after the core's end, or belongs to another partition"
    )]
    NoPart {
        /// The operation.
        at: Place,
    },
    /// It names an operation twice.
    #[error("the operation of {at} is named twice")]
    Twice {
        /// The operation.
        at: Place,
    },
    /// It claims that an operation took effect that may not have.
    #[error("the core relies on the operation of {at}, whose outcome is not known at its end")]
    Overstated {
        /// The operation.
        at: Place,
    },
    /// What it names can be put in order.
    #[error("what the core says of the history can be put in order, so it contradicts nothing")]
    HasOrder,
    /// It was not searched through within the limit.
    #[error("the core was not searched through within the limit; raise --time-limit")]
    GaveUp,
}

/// A core to be verified.
pub(super) struct Verifying<'a> {
    pub(super) recording: &'a Recording,
    pub(super) operations: &'a Operations,
    pub(super) core: &'a Core,
    pub(super) time_limit: Duration,
}

impl Visitor for Verifying<'_> {
    type Output = Result<Proven, VerifyError>;

    fn visit<M: Model>(self, subject: &Subject<'_, M>) -> Self::Output {
        let Self { recording, operations, core, time_limit } = self;
        let deadline = Instant::now() + time_limit.min(TIME_LIMIT_MAX);
        let readings = read_all(recording, operations, subject).map_err(CheckError::from)?;
        let places = Places::of(recording);
        let cut = core.cut.map(|at| self.find_cut(&places, at)).transpose()?;
        let members = members(&operations.list, &readings, core.key.as_deref(), cut);
        let roles = self.find_roles(&places, &members)?;
        let weakened = Weakened::of(&members, &roles);
        let limit = Limit { deadline, configurations: CONFIGURATIONS_MAX };
        match exhaust(&(subject.initial)(core.key.as_deref()), &weakened.pieces, limit) {
            Exhausted::NoOrder => {
                Ok(Proven::Violation { key: core.key.clone(), operations: roles.len() })
            }
            Exhausted::Order => Err(NotProven::from(CoreRefusal::HasOrder).into()),
            Exhausted::GaveUp => Err(NotProven::from(CoreRefusal::GaveUp).into()),
        }
    }
}

impl Verifying<'_> {
    fn find_cut(&self, places: &Places, at: Place) -> Result<Cut, NotProven> {
        let completions = self.operations.list.iter().filter_map(|operation| operation.completed);
        let found = completions.into_iter().find(|moment| places.of_event(moment.event) == at);
        Ok(found.map(Cut::from).ok_or(CoreRefusal::NoCompletion { at })?)
    }

    /// Finds the members that the core names, and refuses roles that they cannot have.
    fn find_roles<M: Model>(
        &self,
        places: &Places,
        members: &[Member<M>],
    ) -> Result<BTreeMap<usize, Role>, NotProven> {
        let invocations = places.invocations(self.operations);
        let mut roles = BTreeMap::new();
        for named in &self.core.operations {
            let at = named.at;
            let source = *invocations.get(&at).ok_or(NotProven::NoOperation(at))?;
            let found = members.binary_search_by_key(&source, |member| member.source);
            let index = found.map_err(|_| CoreRefusal::NoPart { at })?;
            if named.role != Role::Optional && !members[index].is_certain() {
                return Err(CoreRefusal::Overstated { at }.into());
            }
            if roles.insert(index, named.role).is_some() {
                return Err(CoreRefusal::Twice { at }.into());
            }
        }
        Ok(roles)
    }
}
