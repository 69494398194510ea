//! What two engines that race make of each other's answers.

use std::time::{Duration, Instant};

use super::*;
use crate::search::Stop;

fn searched(found: Found) -> Searched {
    Searched { found, configurations: 3, place: Place::Here }
}

fn stopped(completions: usize) -> Searched {
    searched(Found::Stopped { why: Stop::Memory, entry: 0, completions })
}

#[test]
fn an_answer_outweighs_none_and_the_furthest_says_how_far_they_came() {
    let is_order = |searched: &Searched| matches!(searched.found, Found::Order(_));
    let order = || searched(Found::Order(Vec::new()));
    for best in [better(order(), stopped(9)), better(stopped(9), order())] {
        assert!(is_order(&best) && best.configurations == 6, "{best:?}");
    }
    for (mine, other) in [(2, 7), (7, 2)] {
        let best = better(stopped(mine), stopped(other));
        assert!(matches!(best.found, Found::Stopped { completions: 7, .. }), "{best:?}");
        assert_eq!(best.configurations, 6);
    }
}

#[test]
fn who_gives_up_leaves_its_memory_to_the_other_and_who_answers_ends_the_race() {
    let deadline = Instant::now() + Duration::from_secs(600);
    let budget = Budget { deadline, memory: 100 };
    let race = Race::default();
    let (mine, other) = (Watch::in_race(budget, &race, 0), Watch::in_race(budget, &race, 1));
    assert_eq!(mine.look(60), None);
    // Together too much: whoever takes more has to stop.
    assert_eq!((other.look(50), other.look(70)), (None, Some(Stop::Memory)));
    leave(&race, 1, &stopped(0));
    assert_eq!(mine.look(90), None, "there is nobody else any more");
    leave(&race, 1, &searched(Found::Order(Vec::new())));
    assert_eq!(mine.look(1), Some(Stop::Time), "nobody hears an answer that comes later");
}
