//! The weakened history: what a core's roles make of the operations of a partition.

use std::collections::{BTreeMap, HashMap};

use crate::check::Cut;
use crate::history::{Moment, Operation};
use crate::model::{End, Model, Reading, Step};

use super::Role;

/// An operation of the partition as it was known at the cut.
#[derive(Clone, Debug)]
pub(crate) struct Member<M: Model> {
    /// Its place among the recording's operations.
    pub(crate) source: usize,
    pub(crate) process: u64,
    pub(crate) op: M::Op,
    pub(crate) seen: Option<M::Ret>,
    pub(crate) invoked: Moment,
    /// When it was answered; none if it may take effect at any later time.
    pub(crate) completed: Option<Moment>,
}

impl<M: Model> Member<M> {
    /// Whether it took effect without a doubt.
    pub(crate) fn is_certain(&self) -> bool {
        self.completed.is_some()
    }

    /// Whether it can be left out whatever the others are.
    fn is_pure(&self) -> bool {
        M::is_pure(&self.op, self.seen.as_ref())
    }
}

/// Returns what of a partition matters at a cut, or at the end: nothing that failed, was invoked
/// later, or could change nothing and was not answered.
pub(crate) fn members<M: Model>(
    list: &[Operation],
    readings: &[Reading<M>],
    key: Option<&str>,
    cut: Option<Cut>,
) -> Vec<Member<M>> {
    let mut members = Vec::new();
    for (source, (operation, reading)) in list.iter().zip(readings).enumerate() {
        let is_invoked = cut.is_none_or(|cut| operation.invoked.instant <= cut.instant);
        if reading.key.as_deref() != key || reading.end == End::Refused || !is_invoked {
            continue;
        }
        let completed =
            operation.completed.filter(|moment| cut.is_none_or(|cut| Cut::from(*moment) <= cut));
        let (seen, completed) = match &reading.end {
            End::Answered(seen) if completed.is_some() => (seen.clone(), completed),
            _ => (None, None),
        };
        if seen.is_none() && M::is_pure(&reading.op, None) {
            continue;
        }
        members.push(Member {
            source,
            process: operation.process,
            op: reading.op.clone(),
            seen,
            invoked: operation.invoked,
            completed,
        });
    }
    members
}

/// How often a piece takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    /// Once.
    Must,
    /// Once or not at all.
    May,
    /// Any number of times.
    Any,
}

/// A part of the weakened history.
#[derive(Clone, Debug)]
pub(crate) struct Piece<M: Model> {
    pub(crate) op: M::Op,
    pub(crate) seen: Option<M::Ret>,
    pub(crate) need: Need,
    /// From when it can take effect.
    pub(crate) from: Moment,
    /// Until when it can; none for ever.
    pub(crate) until: Option<Moment>,
    /// Who did it; a background has no one author.
    pub(crate) process: Option<u64>,
    /// The members that it stands for.
    pub(crate) members: Vec<usize>,
    /// Its role, if the core names it.
    pub(crate) role: Option<Role>,
}

/// A weakened history: it has an order if the history does.
#[derive(Clone, Debug)]
pub(crate) struct Weakened<M: Model> {
    pub(crate) pieces: Vec<Piece<M>>,
}

impl<M: Model> Weakened<M> {
    /// Derives the weakened history from the roles of some members.
    ///
    /// A role that claims more of a member than is known of it must not be given.
    pub(crate) fn of(members: &[Member<M>], roles: &BTreeMap<usize, Role>) -> Self {
        let mut pieces: Vec<Piece<M>> =
            roles.iter().map(|(index, role)| named(&members[*index], *index, *role)).collect();
        // By kind, those that had returned at the cut apart from the others.
        let mut kinds: Vec<(&M::Op, [Vec<usize>; 2])> = Vec::new();
        let mut kind_of: HashMap<&M::Op, usize> = HashMap::new();
        for (index, member) in members.iter().enumerate() {
            if roles.contains_key(&index) || member.is_pure() {
                continue;
            }
            let kind = *kind_of.entry(&member.op).or_insert_with(|| {
                kinds.push((&member.op, Default::default()));
                kinds.len() - 1
            });
            kinds[kind].1[usize::from(member.is_certain())].push(index);
        }
        // What anybody can notice stays, and may notice others.
        let mut noticed_by: Vec<Step<M>> = pieces.iter().map(Piece::step).collect();
        let (mut kept, mut next) = (Vec::new(), 0);
        while let Some(step) = noticed_by.get(next).cloned() {
            next += 1;
            kinds.retain_mut(|(op, sources)| {
                let is_ignored = M::is_ignored_by(op, &step);
                if !is_ignored {
                    kept.push((*op, std::mem::take(sources)));
                    noticed_by.push(Step { op: (*op).clone(), seen: None, is_certain: false });
                }
                is_ignored
            });
        }
        for (op, sources) in kept {
            for sources in sources.into_iter().filter(|sources| !sources.is_empty()) {
                if M::is_idempotent(op) {
                    pieces.push(background(members, sources));
                } else {
                    let optional = |index| Piece { role: None, ..optional(members, index) };
                    pieces.extend(sources.into_iter().map(optional));
                }
            }
        }
        Self { pieces }
    }
}

fn optional<M: Model>(members: &[Member<M>], index: usize) -> Piece<M> {
    named(&members[index], index, Role::Optional)
}

fn named<M: Model>(member: &Member<M>, index: usize, role: Role) -> Piece<M> {
    assert!(
        role == Role::Optional || member.is_certain(),
        "a role claims only what is known of an operation"
    );
    Piece {
        op: member.op.clone(),
        seen: member.seen.clone().filter(|_| role == Role::Answered),
        need: if role == Role::Optional { Need::May } else { Need::Must },
        from: member.invoked,
        until: member.completed,
        process: Some(member.process),
        members: vec![index],
        role: Some(role),
    }
}

/// Those of one kind that had all returned at the cut, or none of them.
fn background<M: Model>(members: &[Member<M>], sources: Vec<usize>) -> Piece<M> {
    let first = &members[sources[0]];
    let of = || sources.iter().map(|index| &members[*index]);
    let from = of().map(|member| member.invoked).min();
    Piece {
        op: first.op.clone(),
        seen: None,
        need: Need::Any,
        from: from.unwrap_or(first.invoked),
        until: of().filter_map(|member| member.completed).max(),
        process: None,
        members: sources,
        role: None,
    }
}

impl<M: Model> Piece<M> {
    /// The piece as other operations may notice what it notices.
    fn step(&self) -> Step<M> {
        Step { op: self.op.clone(), seen: self.seen.clone(), is_certain: self.need == Need::Must }
    }
}
