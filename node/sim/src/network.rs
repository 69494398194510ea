//! The links between nodes: what becomes of a message on its way.

use std::collections::BTreeSet;
use std::time::Duration;

use raft::{Message, NodeId};

use crate::plan::Weather;
use crate::random::{Random, Seed};
use crate::time::Time;
use crate::topology::Link;

/// How many messages a link that holds back keeps: what a few seconds bring. More are lost.
const HELD_MAX: usize = 2000;
/// The longest time after which an echo comes: past several reigns.
const ECHO_MAX: Duration = Duration::from_secs(10);
/// The longest time that a message takes. It holds up those behind it, so without a bound one slow message
/// of a bad hour would cut the link for minutes after.
const DELAY_MAX: Duration = Duration::from_millis(1500);
/// How many powers of two a delay of the tail is longer, at the most.
const TAIL_MAX: u32 = 6;

/// All links between nodes.
#[derive(Debug)]
pub(crate) struct Network {
    weather: Weather,
    /// What bad weather adds.
    worse: u64,
    slowness: u32,
    nodes: usize,
    links: Vec<Way>,
}

/// One directed link.
#[derive(Debug)]
struct Way {
    random: Random,
    /// How many partitions cut it now, and how many hold back what it carries.
    cut: u32,
    held: u32,
    slowness: u32,
    waiting: Vec<Message>,
    /// When the last message that was not out of order arrives.
    last: Time,
}

/// When a message arrives: never, once, or twice.
pub(crate) type Arrivals = [Option<Time>; 2];

impl Network {
    pub(crate) fn new(nodes: u64, weather: Weather, seed: Seed) -> Self {
        let links = (0..nodes * nodes).map(|number| Way {
            random: seed.nth(number).stream(),
            cut: 0,
            held: 0,
            slowness: 1,
            waiting: vec![],
            last: Time(0),
        });
        let (nodes, links) = (nodes as usize, links.collect());
        Self { weather, worse: 0, slowness: 1, nodes, links }
    }

    /// Sends a message; says when it arrives. One that is held back arrives later.
    pub(crate) fn send(&mut self, link: Link, message: &Message, now: Time) -> Arrivals {
        let place = self.place(link);
        let Self { weather, worse, slowness, .. } = self;
        let way = &mut self.links[place];
        if way.cut > 0 {
            return [None; 2];
        }
        if way.held > 0 {
            if way.waiting.len() < HELD_MAX {
                way.waiting.push(message.clone());
            }
            return [None; 2];
        }
        let chances = way.random.next();
        // Four independent draws of sixteen bits, each good for thousandths.
        let chance = |number: u32| (((chances >> (16 * number)) & 0xffff) * 1000) >> 16;
        if chance(0) < weather.loss + *worse {
            return [None; 2];
        }
        let slowness = *slowness * way.slowness;
        let mut arrives = now + way.delay(weather, slowness);
        if chance(1) >= weather.disorder + *worse {
            arrives = arrives.max(way.last);
            way.last = arrives;
        }
        let again = if chance(2) < weather.doubling + *worse {
            Some(now + way.delay(weather, slowness))
        } else if chance(3) < weather.echo {
            Some(now + way.random.duration(Duration::ZERO, ECHO_MAX))
        } else {
            None
        };
        [Some(arrives), again]
    }

    /// Cuts links, or holds back what they carry. Each partition must be mended by itself.
    pub(crate) fn cut(&mut self, links: &[Link], is_held: bool) {
        for &link in links {
            let place = self.place(link);
            let way = &mut self.links[place];
            *if is_held { &mut way.held } else { &mut way.cut } += 1;
        }
    }

    /// Mends links; returns what was held back and may go now.
    pub(crate) fn mend(&mut self, links: &[Link], is_held: bool) -> Vec<(Link, Message)> {
        let mut released = vec![];
        for &link in links {
            let place = self.place(link);
            let way = &mut self.links[place];
            *if is_held { &mut way.held } else { &mut way.cut } -= 1;
            if way.held == 0 {
                released.extend(way.waiting.drain(..).map(|message| (link, message)));
            }
        }
        released
    }

    /// Makes all links worse, or as they were.
    pub(crate) fn set_weather(&mut self, worse: u64, slowness: u32) {
        (self.worse, self.slowness) = (worse, slowness);
    }

    /// Makes the links of some nodes slower, or as fast as they were.
    pub(crate) fn set_slowness(&mut self, nodes: &[NodeId], slowness: u32) {
        let nodes: BTreeSet<u64> = nodes.iter().map(|id| id.0).collect();
        for (place, way) in self.links.iter_mut().enumerate() {
            let (from, to) = (place / self.nodes + 1, place % self.nodes + 1);
            if nodes.contains(&(from as u64)) || nodes.contains(&(to as u64)) {
                way.slowness = slowness;
            }
        }
    }

    /// From now on links only take their time, and none too much.
    pub(crate) fn calm(&mut self, most: Duration) {
        let (delay, jitter) = (self.weather.delay.min(most), self.weather.jitter.min(most));
        self.weather =
            Weather { delay, jitter, tail: 0, loss: 0, doubling: 0, disorder: 0, echo: 0 };
        self.set_weather(0, 1);
        self.links.iter_mut().for_each(|way| way.slowness = 1);
    }

    fn place(&self, (from, to): Link) -> usize {
        (from.0 as usize - 1) * self.nodes + to.0 as usize - 1
    }
}

impl Way {
    fn delay(&mut self, weather: &Weather, slowness: u32) -> Duration {
        let drawn = weather.delay + self.random.duration(Duration::ZERO, weather.jitter);
        let is_late = weather.tail > 0 && self.random.permille(weather.tail);
        let power =
            if is_late { 1 + self.random.next().leading_zeros().min(TAIL_MAX - 1) } else { 0 };
        (drawn * slowness * 2_u32.pow(power)).min(DELAY_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use raft::{Term, TimeoutNow};

    const LINK: Link = (NodeId(1), NodeId(2));

    fn network(loss: u64, doubling: u64, disorder: u64) -> Network {
        let (delay, jitter) = (Duration::from_millis(1), Duration::from_millis(5));
        let weather = Weather { delay, jitter, tail: 100, loss, doubling, disorder, echo: 0 };
        Network::new(3, weather, Seed(1))
    }

    fn message(term: u64) -> Message {
        Message::TimeoutNow(TimeoutNow { term: Term(term) })
    }

    fn send(network: &mut Network, count: u64) -> Vec<Arrivals> {
        (0..count).map(|now| network.send(LINK, &message(now), Time(now * 1000))).collect()
    }

    #[test]
    fn links_keep_order_unless_they_are_told_not_to() {
        let first = |arrivals: Vec<Arrivals>| arrivals.into_iter().filter_map(|it| it[0]);
        assert!(first(send(&mut network(0, 0, 0), 500)).is_sorted());
        assert!(!first(send(&mut network(0, 0, 300), 500)).is_sorted());
    }

    #[test]
    fn messages_are_lost_and_doubled_as_often_as_asked() {
        let arrivals = send(&mut network(200, 300, 0), 10_000);
        let lost = arrivals.iter().filter(|it| it[0].is_none()).count();
        let doubled = arrivals.iter().filter(|it| it[1].is_some()).count();
        assert!((1800..2200).contains(&lost), "{lost}");
        assert!((2100..2700).contains(&doubled), "{doubled}");
    }

    #[test]
    fn overlapping_partitions_are_mended_one_by_one() {
        let mut network = network(0, 0, 0);
        network.cut(&[LINK], false);
        network.cut(&[LINK], false);
        network.mend(&[LINK], false);
        assert_eq!(send(&mut network, 1), [[None; 2]]);
        network.mend(&[LINK], false);
        assert!(send(&mut network, 1)[0][0].is_some());
        assert!(network.send((NodeId(2), NodeId(1)), &message(0), Time(0))[0].is_some());
    }

    #[test]
    fn what_is_held_back_arrives_when_the_link_is_mended() {
        let mut network = network(0, 0, 0);
        network.cut(&[LINK], true);
        send(&mut network, 3);
        let released = network.mend(&[LINK], true);
        assert_eq!(released, [0, 1, 2].map(|term| (LINK, message(term))));
    }
}
