//! Writing down the order that an engine found, with a fate for every operation.

use std::collections::HashMap;

use crate::check::dispatch::{Subject, Visitor, dispatch};
use crate::check::{Options, PartitionReport, Report};
use crate::history::{Operation, Operations, Recording, operations};
use crate::model::{End, Model};

use super::place::Places;
use super::{Claim, PartitionOrder};

/// Why a verdict has no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCertificate {
    /// Where the search ended early there is nothing to prove.
    #[error("the verdict is unknown, so there is nothing to certify")]
    Unknown,
    /// A violation is proven by its core.
    #[error("the violation has no core small enough to be searched exhaustively")]
    NoCore,
    /// The engine said that there is an order, but not which.
    #[error("the engine gave no order of the operations; take another with --engine")]
    NoOrder,
}

/// Returns the orders that a report claims to exist, in the form that can be checked.
pub(super) fn claim(
    recording: &Recording,
    options: &Options,
    report: &Report,
) -> Result<Claim, NoCertificate> {
    let operations = operations(recording).expect("the judging has paired the events before");
    let writing = Writing { operations: &operations, places: Places::of(recording), report };
    let partitions =
        dispatch(report.model, options, writing).map_err(|_| NoCertificate::Unknown)??;
    Ok(Claim::Linearizable { partitions })
}

/// Writes the orders of all partitions.
struct Writing<'a> {
    operations: &'a Operations,
    places: Places,
    report: &'a Report,
}

impl Visitor for Writing<'_> {
    type Output = Result<Vec<PartitionOrder>, NoCertificate>;

    fn visit<M: Model>(self, subject: &Subject<'_, M>) -> Self::Output {
        let list = &self.operations.list;
        let mut by_key = HashMap::<Option<String>, Members>::new();
        for (index, operation) in list.iter().enumerate() {
            let reading = (subject.read)(&operation.as_ref())
                .expect("the judging has read every operation before");
            let members = by_key.entry(reading.key.map(Into::into)).or_default();
            match reading.end {
                End::Answered(_) => members.answered.push(index),
                End::Open => members.open.push(index),
                End::Refused => {}
            }
        }
        let partitions = self.report.partitions.iter();
        partitions.map(|partition| self.write(partition, by_key.remove(&partition.key))).collect()
    }
}

/// The operations of a partition that the certificate must speak of.
#[derive(Default)]
struct Members {
    answered: Vec<usize>,
    open: Vec<usize>,
}

impl Writing<'_> {
    fn write(
        &self,
        partition: &PartitionReport,
        members: Option<Members>,
    ) -> Result<PartitionOrder, NoCertificate> {
        let list = &self.operations.list;
        let Members { mut answered, mut open } = members.unwrap_or_default();
        let found = partition.linearization.clone().ok_or(NoCertificate::NoOrder)?;
        let mut is_placed = vec![false; list.len()];
        found.iter().for_each(|index| is_placed[*index] = true);
        answered.retain(|index| !is_placed[*index]);
        open.retain(|index| !is_placed[*index]);
        let place = |index: usize| self.places.of_operation(&list[index]);
        Ok(PartitionOrder {
            key: partition.key.clone(),
            order: insert(list, found, answered).into_iter().map(place).collect(),
            no_effect: open.into_iter().map(place).collect(),
        })
    }
}

/// Puts operations that are legal anywhere, which the engines leave out, to where time allows it:
/// just before the first operation that each precedes. Whatever precedes it also precedes that
/// one, and so stands before.
fn insert(list: &[Operation], order: Vec<usize>, free: Vec<usize>) -> Vec<usize> {
    if free.is_empty() {
        return order;
    }
    // By calls, the first place in the order among those called then or later.
    let mut calls: Vec<(u64, usize)> =
        order.iter().enumerate().map(|(at, index)| (list[*index].invoked.instant, at)).collect();
    calls.sort_unstable();
    let mut first = order.len();
    for (_, at) in calls.iter_mut().rev() {
        first = first.min(*at);
        *at = first;
    }
    // By process, the places of what it did, in the order in which it did it.
    let mut done = HashMap::<u64, Vec<(usize, usize)>>::new();
    for (at, index) in order.iter().enumerate() {
        done.entry(list[*index].process).or_default().push((list[*index].invoked.event, at));
    }
    let mut inserted = HashMap::<usize, Vec<usize>>::new();
    for index in free {
        let Operation { completed, process, .. } = &list[index];
        let completed = completed.expect("what was answered was completed");
        let after = calls.partition_point(|(call, _)| *call <= completed.instant);
        let by_time = calls.get(after).map_or(order.len(), |(_, at)| *at);
        let followers = done.get(process).into_iter().flatten();
        let by_process =
            followers.filter(|(event, _)| *event > completed.event).map(|(_, at)| *at).min();
        let at = by_process.map_or(by_time, |at| at.min(by_time));
        inserted.entry(at).or_default().push(index);
    }
    let mut whole = Vec::with_capacity(order.len());
    for at in 0..=order.len() {
        if let Some(mut here) = inserted.remove(&at) {
            here.sort_by_key(|index| (list[*index].invoked.instant, list[*index].invoked.event));
            whole.append(&mut here);
        }
        whole.extend(order.get(at));
    }
    whole
}
