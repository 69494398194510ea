//! Which membership an order asks for.

use std::collections::BTreeSet;

use super::MemberCommand;
use crate::client::Members;

/// Who is to be replaced has no vote to give, nor has the other one it already: somebody mistyped, and
/// the cluster would grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("n{0} has no vote that n{1} could be given; see `member list`, or `member add {1}`")]
pub(super) struct Voteless(u64, u64);

/// Returns who is to be in the cluster once the order is carried out. What is so already stays so. A
/// change that is under way is taken for done: the leader makes no other before it is.
pub(super) fn of(order: &MemberCommand, members: &Members) -> Result<Members, Voteless> {
    let Members { mut voters, outgoing, mut learners } = members.clone();
    if let MemberCommand::Replace { old, new } = order
        && ![&voters, &outgoing].iter().any(|votes| votes.contains(old))
        && !voters.contains(new)
    {
        return Err(Voteless(*old, *new));
    }
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
    Ok(Members { voters, outgoing: BTreeSet::new(), learners })
}

fn put(ids: &mut BTreeSet<u64>, id: u64, is_in: bool) {
    if is_in {
        ids.insert(id);
    } else {
        ids.remove(&id);
    }
}
