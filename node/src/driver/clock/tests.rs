//! What a clock shows that was set wrong, and what becomes of the ticks.

use super::*;

const SECOND: u64 = 1_000_000_000;

fn setting() -> Setting {
    let start = Timestamp(100 * SECOND);
    Setting { since: start, shown: start, rate: 1.0, latest: start }
}

fn seconds(setting: &Setting, machine: u64) -> f64 {
    setting.at(Timestamp(machine * SECOND)).0 as f64 / SECOND as f64
}

fn adjust(setting: &mut Setting, at: u64, adjustment: Adjustment) -> (u64, u64) {
    let Gap { behind, beyond } = setting.adjust(adjustment, Timestamp(at * SECOND));
    (behind.as_secs(), beyond.as_secs())
}

fn jump(seconds: i64) -> Adjustment {
    Adjustment { jump: seconds * 1_000_000_000, ..Adjustment::default() }
}

fn rate(rate: f64) -> Adjustment {
    Adjustment { rate: Some(rate), ..Adjustment::default() }
}

const SETTLED: Adjustment = Adjustment { jump: 0, rate: None, is_settled: true };

#[test]
fn time_passes_and_never_falls() {
    for clock in [Clock::sound(), Clock::adjustable()] {
        let first = clock.now();
        let mut last = first;
        while last == first {
            let next = clock.now();
            assert!(next >= last);
            last = next;
        }
    }
}

#[test]
fn it_jumps_and_drifts_from_where_it_is() {
    let mut clock = setting();
    adjust(&mut clock, 110, jump(5));
    assert_eq!(seconds(&clock, 110), 115.0);
    adjust(&mut clock, 120, rate(2.0));
    assert_eq!(seconds(&clock, 130), 145.0);
    adjust(&mut clock, 130, jump(-40));
    assert_eq!(seconds(&clock, 140), 125.0);
    assert_eq!(clock.ahead(Timestamp(140 * SECOND)), -15 * 1_000_000_000);
    adjust(&mut clock, 140, rate(0.5));
    assert_eq!(seconds(&clock, 150), 130.0);
}

#[test]
fn a_settled_clock_goes_on_from_the_latest_that_it_showed() {
    for (wrong, expected) in [(jump(7), 117.0), (jump(-7), 110.0), (rate(3.0), 130.0)] {
        let mut clock = setting();
        if wrong.rate.is_some() {
            adjust(&mut clock, 100, wrong);
        } else {
            adjust(&mut clock, 110, wrong);
        }
        adjust(&mut clock, 110, SETTLED);
        assert_eq!(seconds(&clock, 110), expected, "{wrong:?}");
        assert_eq!(seconds(&clock, 120), expected + 10.0, "{wrong:?}");
    }
}

#[test]
fn time_stands_still_until_all_is_made_up_for() {
    let mut clock = setting();
    for (at, adjustment, expected) in [
        (110, jump(-60), (60, 0)),
        (120, rate(2.0), (50, 0)),
        (130, jump(-1), (31, 0)),
        (130, jump(20), (11, 0)),
        (130, jump(20), (0, 9)),
        (140, jump(5), (0, 5)),
        (140, jump(-5), (5, 0)),
        (141, SETTLED, (0, 0)),
    ] {
        assert_eq!(adjust(&mut clock, at, adjustment), expected, "{adjustment:?} at {at}");
    }
}

#[test]
fn a_sound_clock_cannot_be_set() {
    let clock = Clock::sound();
    assert_eq!(clock.adjust(jump(5)), None);
    let day = clock.time_of_day();
    assert!(day.duration_since(SystemTime::now()).unwrap_or_default() < Duration::from_secs(1));
    let adjustable = Clock::adjustable();
    adjustable.adjust(jump(3600)).unwrap();
    assert!(adjustable.time_of_day().duration_since(day).unwrap() >= Duration::from_secs(3600));
}

#[test]
fn only_rates_at_which_a_clock_goes_are_possible() {
    for (wanted, is_possible) in [(1.0, true), (0.5, true), (0.0, false), (-1.0, false)] {
        assert_eq!(rate(wanted).is_possible(), is_possible, "{wanted}");
    }
    for wanted in [f64::NAN, f64::INFINITY, 1e9] {
        assert!(!rate(wanted).is_possible());
    }
    assert!(jump(-3600).is_possible());
    for jump in [i64::MIN, i64::MAX] {
        assert!(!Adjustment { jump, ..Adjustment::default() }.is_possible());
    }
}

#[tokio::test]
async fn ticks_go_by_the_clock() {
    let tick = Duration::from_millis(10);
    let mut ticks = Ticks::new(Clock::adjustable(), tick);
    for (wanted, expected) in [(2.0, 5), (0.5, 20), (1.0, 10)] {
        let (reading, owed) = ticks.adjust(rate(wanted)).unwrap();
        assert_eq!((reading.rate, owed), (wanted, 0));
        assert_eq!(ticks.interval.period(), Duration::from_millis(expected), "{wanted}");
    }
}

#[tokio::test]
async fn a_jump_forward_is_ticks_at_once_and_one_back_a_pause() {
    let tick = Duration::from_millis(10);
    let mut ticks = Ticks::new(Clock::adjustable(), tick);
    assert_eq!(ticks.adjust(jump(2)).unwrap().1, 200);
    let long = Adjustment { jump: 1 << 50, ..Adjustment::default() };
    assert_eq!(u128::from(ticks.adjust(long).unwrap().1), TICKS_OWED_MAX);
    // None comes for an hour; what comes when it is settled is the test's end.
    assert_eq!(ticks.adjust(jump(-3600)).unwrap().1, 0);
    for (more, owed) in [(rate(2.0), 0), (jump(-1), 0), (jump(3), 0)] {
        let waiting = tokio::time::timeout(4 * tick, ticks.next());
        assert!(waiting.await.is_err());
        assert_eq!(ticks.adjust(more).unwrap().1, owed);
    }
    assert_eq!(ticks.adjust(SETTLED).unwrap().1, 0);
    ticks.next().await;

    let second = Duration::from_secs(1);
    ticks.adjust(rate(2.0)).unwrap();
    let beat = Beat { first: second / 2 + tick / 2, period: tick / 2 };
    assert_eq!(ticks.clock.beat(tick, second), beat);
}
