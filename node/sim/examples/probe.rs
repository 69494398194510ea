//! probe
fn main() {
    let mut args = std::env::args().skip(1);
    let from: u64 = args.next().and_then(|a| a.parse().ok()).unwrap_or(0);
    let to: u64 = args.next().and_then(|a| a.parse().ok()).unwrap_or(10);
    let told = args.next().is_some_and(|a| a == "told");
    for seed in from..to {
        let plan = sim::Plan::draw(sim::Seed(seed), &sim::Wishes::default());
        let r = sim::run(&plan, sim::RunOptions { is_told: told, ..Default::default() });
        println!("{seed}: {} {:x} {:?} sim {} in {:?} judge {:?}", r.verdict, r.hash, r.counts, r.simulated, r.simulating, r.judging);
        if told { std::fs::write("/tmp/sim-story.txt", r.story).unwrap(); std::fs::write("/tmp/sim-history.jsonl", r.history).unwrap(); print!("{}", plan.describe_schedule()); println!("{plan:#?}"); }
    }
}
