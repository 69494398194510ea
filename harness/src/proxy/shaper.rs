//! Which bytes of one direction may be passed on, and when. No sockets: bytes are only counted.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rand::Rng;

use crate::proxy::{Mode, Slowness};

/// A throttled direction passes this much time's bytes at once: little enough to look like a slow
/// line, enough not to wake for every byte.
const THROTTLE_SLICE: Duration = Duration::from_millis(20);

/// What may be done with the bytes in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Release {
    /// So many may be passed on at once.
    Now(usize),
    /// None before this time.
    At(Instant),
    /// None before the mode changes.
    Held,
    /// There are none.
    Empty,
}

/// The bytes that were taken in and not yet passed on.
#[derive(Debug)]
pub(super) struct Shaper {
    /// How many, and not before when, in the order of arrival. Times never decrease.
    chunks: VecDeque<(usize, Instant)>,
    len: usize,
    /// A throttled direction rests until then.
    rest_until: Option<Instant>,
}

impl Shaper {
    pub(super) fn new() -> Self {
        Self { chunks: VecDeque::new(), len: 0, rest_until: None }
    }

    /// Returns how many bytes are in hand.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Takes in bytes that have just arrived.
    pub(super) fn take_in(
        &mut self,
        count: usize,
        now: Instant,
        mode: Mode,
        generator: &mut impl Rng,
    ) {
        let due = match mode {
            Mode::Slow(Slowness { latency, jitter, .. }) => {
                now + latency + jitter.mul_f64(generator.random())
            }
            _ => now,
        };
        // Bytes do not overtake each other, whatever the jitter.
        let due = self.chunks.back().map_or(due, |&(_, last)| due.max(last));
        self.chunks.push_back((count, due));
        self.len += count;
    }

    /// Says what may be passed on.
    pub(super) fn release(&self, now: Instant, mode: Mode) -> Release {
        let Some(&(_, due)) = self.chunks.front() else {
            return Release::Empty;
        };
        match mode {
            Mode::Blackhole | Mode::Refuse | Mode::Reset => Release::Held,
            Mode::Open => Release::Now(self.len),
            Mode::Slow(_) if due > now => Release::At(due),
            Mode::Slow(Slowness { bytes_per_second, .. }) => {
                let ripe = self.chunks.iter().take_while(|(_, due)| *due <= now);
                let ripe = ripe.map(|(count, _)| count).sum();
                match (bytes_per_second, self.rest_until) {
                    (None, _) => Release::Now(ripe),
                    (Some(_), Some(until)) if until > now => Release::At(until),
                    (Some(rate), _) => Release::Now(ripe.min(slice(rate))),
                }
            }
        }
    }

    /// Notes that bytes have been passed on.
    pub(super) fn pass_on(&mut self, mut count: usize, now: Instant, mode: Mode) {
        self.len -= count;
        self.rest_until = match mode {
            Mode::Slow(Slowness { bytes_per_second: Some(rate), .. }) => {
                let rate = rate.max(1) as f64;
                Some(now + Duration::from_secs_f64(count as f64 / rate))
            }
            _ => None,
        };
        while let Some((first, _)) = self.chunks.front_mut() {
            if count < *first {
                *first -= count;
                return;
            }
            count -= *first;
            self.chunks.pop_front();
        }
    }
}

fn slice(bytes_per_second: u64) -> usize {
    let bytes = bytes_per_second as f64 * THROTTLE_SLICE.as_secs_f64();
    (bytes as usize).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    const MS: Duration = Duration::from_millis(1);

    fn slow(latency: Duration, jitter: Duration, bytes_per_second: Option<u64>) -> Mode {
        Mode::Slow(Slowness { latency, jitter, bytes_per_second })
    }

    fn shaper(now: Instant, mode: Mode, counts: &[usize]) -> Shaper {
        let mut shaper = Shaper::new();
        for &count in counts {
            shaper.take_in(count, now, mode, &mut Seed::new(1).generator());
        }
        shaper
    }

    #[test]
    fn an_open_link_passes_everything_at_once() {
        let now = Instant::now();
        let mut shaper = shaper(now, Mode::Open, &[10, 20]);
        assert_eq!(shaper.release(now, Mode::Open), Release::Now(30));
        shaper.pass_on(15, now, Mode::Open);
        assert_eq!(shaper.release(now, Mode::Open), Release::Now(15));
        shaper.pass_on(15, now, Mode::Open);
        assert_eq!(shaper.release(now, Mode::Open), Release::Empty);
    }

    #[test]
    fn a_blackhole_holds_until_the_mode_changes() {
        let now = Instant::now();
        let shaper = shaper(now, Mode::Blackhole, &[7]);
        let later = now + 1_000 * MS;
        for mode in [Mode::Blackhole, Mode::Refuse, Mode::Reset] {
            assert_eq!(shaper.release(later, mode), Release::Held);
        }
        assert_eq!(shaper.release(now, Mode::Open), Release::Now(7));
    }

    #[test]
    fn delayed_bytes_are_due_in_order() {
        let now = Instant::now();
        let mode = slow(50 * MS, Duration::ZERO, None);
        let mut shaper = shaper(now, mode, &[5]);
        shaper.take_in(6, now + 10 * MS, mode, &mut Seed::new(1).generator());
        assert_eq!(shaper.release(now + 49 * MS, mode), Release::At(now + 50 * MS));
        assert_eq!(shaper.release(now + 50 * MS, mode), Release::Now(5));
        assert_eq!(shaper.release(now + 60 * MS, mode), Release::Now(11));
        shaper.pass_on(5, now + 50 * MS, mode);
        assert_eq!(shaper.release(now + 50 * MS, mode), Release::At(now + 60 * MS));
    }

    #[test]
    fn jitter_keeps_its_bounds_and_the_order() {
        let now = Instant::now();
        let mode = slow(10 * MS, 20 * MS, None);
        let mut generator = Seed::new(3).generator();
        let mut shaper = Shaper::new();
        for _ in 0..100 {
            shaper.take_in(1, now, mode, &mut generator);
        }
        assert!(shaper.chunks.iter().is_sorted_by_key(|(_, due)| *due));
        let spread = shaper.chunks.back().unwrap().1 - shaper.chunks.front().unwrap().1;
        assert!(shaper.chunks.front().unwrap().1 >= now + 10 * MS);
        assert!(shaper.chunks.back().unwrap().1 <= now + 30 * MS);
        assert!(spread > MS, "{spread:?}");
    }

    #[test]
    fn a_throttled_link_keeps_its_rate() {
        let start = Instant::now();
        let mode = slow(Duration::ZERO, Duration::ZERO, Some(10_000));
        let mut shaper = shaper(start, mode, &[5_000]);
        let mut now = start;
        loop {
            match shaper.release(now, mode) {
                Release::Now(count) => shaper.pass_on(count, now, mode),
                Release::At(time) => now = time,
                Release::Empty => break,
                Release::Held => panic!("held"),
            }
        }
        let took = now - start;
        assert!(took > 450 * MS && took <= 500 * MS, "{took:?}");
    }

    #[test]
    fn a_link_may_be_late_and_narrow_at_once() {
        let now = Instant::now();
        let mode = slow(50 * MS, Duration::ZERO, Some(1_000));
        let mut shaper = shaper(now, mode, &[100]);
        assert_eq!(shaper.release(now, mode), Release::At(now + 50 * MS));
        let now = now + 50 * MS;
        assert_eq!(shaper.release(now, mode), Release::Now(20));
        shaper.pass_on(20, now, mode);
        assert_eq!(shaper.release(now, mode), Release::At(now + 20 * MS));
    }

    #[test]
    fn the_slowest_throttle_still_moves() {
        let now = Instant::now();
        for bytes_per_second in [0, 1] {
            let mode = slow(Duration::ZERO, Duration::ZERO, Some(bytes_per_second));
            let mut shaper = shaper(now, mode, &[2]);
            assert_eq!(shaper.release(now, mode), Release::Now(1));
            shaper.pass_on(1, now, mode);
            assert_eq!(shaper.release(now, mode), Release::At(now + 1_000 * MS));
        }
    }
}
