//! A thousand seeds pass, kept seeds pass, and a seed is the same run every time.

use std::thread::available_parallelism;

use sim::{Campaign, Plan, RunOptions, Seed, Verdict, Wishes, Workload, run};

/// Seeds that once found something, each with a line on what it was.
///
/// To keep a seed, add a line with its workload. Plans are drawn anew from the seed, so a change of
/// what is drawn makes another run of it: then the seed is worth no more than any other, and a
/// scripted test of the core must remember what was found.
const KEPT: &[(u64, Workload, &str)] = &[
    (
        10_243,
        Workload::Ledger,
        "a follower starved behind a lost full window, and a joint membership with it",
    ),
    (
        12_288,
        Workload::Ledger,
        "a follower starved: what filled its window was lost, then compacted",
    ),
    (16_458, Workload::Register, "the same, under reads and compare-and-sets"),
    (
        2_036_445,
        Workload::Ledger,
        "a write that found no room ended its node after the storm, and nobody started it again",
    ),
    (
        3_375_052,
        Workload::Ledger,
        "a node was being replaced, and another change took it back: it was gone when it was needed",
    ),
    (3_695_512, Workload::Ledger, "the same, and a voter: nobody could lead"),
];

fn campaign(seeds: std::ops::Range<u64>, workload: Workload) {
    let campaign = Campaign {
        seeds,
        jobs: available_parallelism().map_or(1, usize::from),
        time_limit: None,
        wishes: Wishes { workload: Some(workload), ..Wishes::default() },
        options: RunOptions::default(),
    };
    let tally = campaign.run(|_, _| {});
    println!("{workload}: {tally:?}");
    for (seed, why) in &tally.failed {
        println!("stormproof sim --workload {workload} --replay {seed}\n  {why}");
    }
    assert!(tally.failed.is_empty(), "{} seeds failed", tally.failed.len());
    // What nobody can tell is rare, and is no failure; but a checker that never can tell is none.
    assert!(tally.unknown.len() as u64 * 50 <= tally.seeds, "{:?}", tally.unknown);
    // A storm in which nothing happens proves nothing.
    let (counts, seeds) = (tally.counts, tally.seeds);
    assert!(counts.answered > 100 * seeds, "only {} answers", counts.answered);
    assert!(counts.elections > 2 * seeds, "only {} elections", counts.elections);
    assert!(counts.crashes > 2 * seeds, "only {} crashes", counts.crashes);
    assert!(counts.installed > seeds / 10, "only {} installations", counts.installed);
    assert!(counts.changes > seeds / 4, "only {} changes of membership", counts.changes);
}

#[test]
fn a_thousand_seeds_pass() {
    campaign(0..600, Workload::Ledger);
    campaign(600..800, Workload::Register);
    campaign(800..1000, Workload::Kv);
}

#[test]
fn kept_seeds_pass() {
    for &(seed, workload, what) in KEPT {
        let wishes = Wishes { workload: Some(workload), ..Wishes::default() };
        let report = run(&Plan::draw(Seed(seed), &wishes), RunOptions::default());
        assert!(matches!(report.verdict, Verdict::Pass), "{seed} ({what}): {}", report.verdict);
    }
}

/// The same seed gives the same run to the last bit, whether its story is told or not; another one
/// gives another.
#[test]
fn a_seed_is_the_same_run_every_time() {
    let mut hashes = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let plan = Plan::draw(Seed(seed), &Wishes::default());
        let once = run(&plan, RunOptions { is_told: true, ..RunOptions::default() });
        let again = run(&plan, RunOptions { is_told: true, ..RunOptions::default() });
        let silent = run(&plan, RunOptions::default());
        assert_eq!(once.hash, again.hash, "seed {seed}");
        assert_eq!(once.hash, silent.hash, "seed {seed}");
        assert_eq!(once.counts, silent.counts, "seed {seed}");
        assert!(once.story == again.story, "seed {seed} tells two stories");
        assert!(once.history == again.history, "seed {seed} has two histories");
        assert!(hashes.insert(once.hash), "seed {seed} is the run of another seed");
    }
}

/// What a seed's history says is what the checker says of the file.
#[test]
fn a_history_can_be_judged_again_from_its_file() {
    let plan = Plan::draw(Seed(1), &Wishes::default());
    let report = run(&plan, RunOptions { is_told: true, ..RunOptions::default() });
    let recording = checker::history::read_bytes("h", &report.history, None).unwrap();
    let again = checker::check::check(&recording, &checker::check::Options::default()).unwrap();
    assert_eq!(again.verdict, checker::verdict::Verdict::Linearizable);
    assert!(again.counts.ok as u64 >= report.counts.answered);
}

/// An unknown that only says that the processor was busy does not stay.
#[test]
fn what_there_was_no_time_for_is_judged_once_more() {
    let none = std::time::Duration::ZERO;
    let hasty = RunOptions { judging: none, judging_again: none, ..RunOptions::default() };
    let patient = RunOptions { judging: none, ..RunOptions::default() };
    let wishes = Wishes { rate: Some(2000), ..Wishes::default() };
    let mut unknown = 0;
    for seed in 0..5 {
        let plan = Plan::draw(Seed(seed), &wishes);
        unknown += u32::from(matches!(run(&plan, hasty).verdict, Verdict::Unknown(_)));
        let verdict = run(&plan, patient).verdict;
        assert!(matches!(verdict, Verdict::Pass), "seed {seed}: {verdict}");
    }
    assert!(unknown > 0, "no history was too long for no time at all");
}
