//! The orders in which configurations linearized their entries: chains that share their beginnings.

/// A link of a chain of linearized entries.
#[derive(Clone, Copy, Debug)]
struct Link {
    before: LinkId,
    entry: u32,
}

/// A link's number.
pub(super) type LinkId = u32;

/// The end of every chain.
pub(super) const NO_LINK: LinkId = u32::MAX;

/// All chains. A link comes after the one that it follows.
#[derive(Debug, Default)]
pub(super) struct Chains {
    links: Vec<Link>,
    /// How many links were left when they were last swept.
    kept: usize,
}

/// Links below this number are not worth a sweep.
const SWEEP_MIN: usize = 1 << 16;

impl Chains {
    /// Adds an entry to a chain.
    pub(super) fn link(&mut self, before: LinkId, entry: u32) -> LinkId {
        self.links.push(Link { before, entry });
        LinkId::try_from(self.links.len() - 1)
            .expect("the memory limit is reached before four billion links")
    }

    /// The last entries of a chain, the latest last.
    pub(super) fn last(&self, mut link: LinkId, count: usize) -> Vec<usize> {
        let mut order = Vec::new();
        while link != NO_LINK && order.len() < count {
            let Link { before, entry } = self.links[link as usize];
            order.push(entry as usize);
            link = before;
        }
        order.reverse();
        order
    }

    /// Whether so many links were added since the last sweep that another one pays.
    pub(super) fn is_sweep_due(&self) -> bool {
        self.links.len() >= SWEEP_MIN.max(2 * self.kept)
    }

    /// Forgets all links but those of the chains that end with these, which get their new numbers.
    pub(super) fn sweep<'a>(&mut self, ends: impl Iterator<Item = &'a mut LinkId>) {
        let mut ends: Vec<&mut LinkId> = ends.filter(|end| **end != NO_LINK).collect();
        let mut is_kept = vec![false; self.links.len()];
        for end in &ends {
            let mut link = **end;
            while link != NO_LINK && !std::mem::replace(&mut is_kept[link as usize], true) {
                link = self.links[link as usize].before;
            }
        }
        let mut renamed = vec![NO_LINK; self.links.len()];
        let mut count = 0;
        for index in 0..self.links.len() {
            if is_kept[index] {
                let Link { before, entry } = self.links[index];
                let before = if before == NO_LINK { NO_LINK } else { renamed[before as usize] };
                self.links[count as usize] = Link { before, entry };
                renamed[index] = count;
                count += 1;
            }
        }
        self.links.truncate(count as usize);
        self.kept = self.links.len();
        for end in &mut ends {
            **end = renamed[**end as usize];
        }
    }

    /// About how many bytes all of this takes.
    pub(super) fn bytes(&self) -> u64 {
        (self.links.capacity() * size_of::<Link>()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_swept_keeps_the_chains_that_are_left() {
        let mut chains = Chains::default();
        let chain = |chains: &mut Chains, from, entries: &[u32]| {
            entries.iter().fold(from, |link, entry| chains.link(link, *entry))
        };
        let root = chain(&mut chains, NO_LINK, &[1, 2]);
        let forgotten = chain(&mut chains, root, &[3, 4, 5]);
        let mut left = [
            chain(&mut chains, root, &[6]),
            chain(&mut chains, forgotten - 2, &[7]),
            NO_LINK,
            root,
        ];
        let entries = [&[1, 2, 6][..], &[1, 2, 3, 7], &[], &[1, 2]];
        for again in 0..2 {
            for (link, entries) in left.iter().zip(entries) {
                assert_eq!(chains.last(*link, usize::MAX), entries, "sweep {again}");
            }
            chains.sweep(left.iter_mut());
        }
        assert_eq!(chains.links.len(), 5);
        assert_eq!(chains.last(left[1], 2), [3, 7]);
    }
}
