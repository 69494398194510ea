use std::collections::HashSet;
use std::sync::Mutex;
use std::thread::ThreadId;
use std::time::Duration;

use super::*;

fn check_workers(jobs: Option<usize>, partitions: usize, operations: usize, expected: usize) {
    let jobs = jobs.and_then(NonZeroUsize::new);
    assert_eq!(workers(jobs, partitions, operations), expected, "{jobs:?}, {partitions}");
}

#[test]
fn workers_are_no_more_than_there_is_work_for() {
    check_workers(Some(4), 100, 1_000_000, 4);
    check_workers(Some(4), 3, 1_000_000, 3);
    check_workers(Some(4), 100, 5_000, 2);
    check_workers(Some(4), 100, 10, 1);
    check_workers(Some(1), 0, 0, 1);
}

#[test]
fn what_came_of_partitions_stands_in_their_order() {
    let budget = Budget { deadline: Instant::now() + Duration::from_secs(60), memory: 900 };
    for workers in 1..=4 {
        let threads: Mutex<HashSet<ThreadId>> = Mutex::default();
        let done = side_by_side(50, workers, budget, |index, part| {
            threads.lock().expect("nobody panics").insert(thread::current().id());
            assert!(part.deadline <= budget.deadline, "a share is no more than there is");
            assert_eq!(part.memory, 900 / workers as u64);
            index
        });
        assert_eq!(done, (0..50).collect::<Vec<_>>());
        assert!(threads.into_inner().expect("nobody panics").len() <= workers);
    }
    let none: Vec<usize> = side_by_side(0, 2, budget, |index, _| index);
    assert!(none.is_empty());
}

#[test]
fn the_last_may_take_all_the_time_that_is_left() {
    let budget = Budget { deadline: Instant::now() + Duration::from_secs(60), memory: 1 };
    let shares = side_by_side(3, 1, budget, |_, part| part.deadline);
    assert!(shares[0] + Duration::from_secs(30) < budget.deadline);
    assert_eq!(shares[2], budget.deadline);
}
