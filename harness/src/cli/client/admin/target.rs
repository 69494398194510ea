//! Which membership an order asks for.

use std::collections::BTreeSet;

use super::MemberCommand;
use crate::client::Members;

/// Returns who is to be in the cluster once the order is carried out. What is so already stays so. A
/// change that is under way is taken for done: the leader makes no other before it is.
pub(super) fn of(order: &MemberCommand, members: &Members) -> Members {
    let Members { mut voters, mut learners, .. } = members.clone();
    let mut place = |ids: &[u64], votes: bool, learns: bool| {
        for &id in ids {
            put(&mut voters, id, votes);
            put(&mut learners, id, learns);
        }
    };
    match order {
        MemberCommand::Add { ids } => place(ids, true, false),
        MemberCommand::Remove { ids } => place(ids, false, false),
        MemberCommand::Learner { ids } => place(ids, false, true),
        MemberCommand::Replace { old, new } => {
            place(&[*old], false, false);
            place(&[*new], true, false);
        }
        MemberCommand::List | MemberCommand::Transfer { .. } => {}
    }
    Members { voters, outgoing: BTreeSet::new(), learners }
}

fn put(ids: &mut BTreeSet<u64>, id: u64, is_in: bool) {
    if is_in {
        ids.insert(id);
    } else {
        ids.remove(&id);
    }
}
