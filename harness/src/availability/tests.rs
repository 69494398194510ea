//! Runs that served and runs that did not. Times are in seconds.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use checker::history::read_bytes;
use serde_json::{Value, json};

use super::*;

#[derive(Default)]
struct Script {
    text: String,
    /// Where clients are; process 0 is the first.
    placements: Vec<Placement>,
}

impl Script {
    fn event(&mut self, at: f64, process: Value, kind: &str, value: &Value) -> &mut Self {
        let time = (at * 1e9) as u64;
        let event =
            json!({"time": time, "process": process, "type": kind, "f": "x", "value": value});
        self.text += &format!("{event}\n");
        self
    }

    /// Somebody asks, and is answered a tenth of a second later in this way.
    fn ask(&mut self, at: f64, kind: &str) -> &mut Self {
        self.event(at, json!(0), "invoke", &Value::Null);
        self.event(at + 0.1, json!(0), kind, &Value::Null)
    }

    fn begin(&mut self, at: f64, nodes: &[&str], result: Value) -> &mut Self {
        let value = json!({"edge": "begin", "fault": "kill", "nodes": nodes, "cut": [],
            "result": result, "took_ns": SECOND / 2});
        self.event(at, json!("nemesis"), "info", &value)
    }

    fn end(&mut self, at: f64, nodes: &[&str], result: Value) -> &mut Self {
        let value = json!({"edge": "end", "fault": "kill", "nodes": nodes, "cut": [],
            "result": result, "took_ns": SECOND / 2});
        self.event(at, json!("nemesis"), "info", &value)
    }

    /// From here on these are the members, and for that the nodes were hurt no longer than an instant.
    fn change(&mut self, at: f64, nodes: &[&str], members: &[&str], doubtful: &[&str]) {
        for edge in ["begin", "end"] {
            let value = json!({"edge": edge, "fault": "replace", "nodes": nodes, "cut": [],
                "result": if edge == "begin" { "installed" } else { "stays" }, "took_ns": 0,
                "members": members, "doubtful": doubtful});
            self.event(at, json!("nemesis"), "info", &value);
        }
    }

    /// Somebody asks in vain once a second.
    fn ask_in_vain(&mut self, seconds: std::ops::Range<u32>) -> &mut Self {
        for second in seconds {
            self.ask(f64::from(second), "fail");
        }
        self
    }

    fn audit(&self) -> Audit {
        let recording = read_bytes("script", self.text.as_bytes(), None).unwrap();
        let placements = &self.placements;
        let deadline = Duration::from_secs(5);
        check(&recording, Terms { nodes: 3, deadline, concurrency: 2, placements })
    }
}

const MOST: [&str; 2] = ["n1", "n2"];

fn installed() -> Value {
    json!("installed")
}

fn undone() -> Value {
    json!("undone")
}

#[track_caller]
fn check_late(audit: &Audit) {
    let Finding::Violation { breach } = &audit.finding else { panic!("{audit:?}") };
    assert_eq!(breach.rule, "served");
    assert!(!breach.lines.is_empty());
}

#[test]
fn a_calm_run_that_answers_passes_with_its_figures() {
    let mut script = Script::default();
    for second in 0..10 {
        script.ask(f64::from(second), "ok");
    }
    let audit = script.audit();
    assert_eq!(audit.finding, Finding::Pass);
    let measure = |name: &str| audit.measures[name].as_f64().unwrap();
    assert!((measure("ok_per_second_connected") - 10.0 / 9.1).abs() < 0.01, "{audit:?}");
    assert!((measure("longest_without_answer_ns") - 0.1e9).abs() < 2.0, "{audit:?}");
    let course = audit.measures["course"].as_array().unwrap();
    assert_eq!(course.len(), 10);
    assert_eq!((&course[3]["ok"], &course[3]["connected"]), (&json!(1), &json!(1.0)));
}

#[test]
fn silence_is_late_only_if_somebody_asks() {
    let mut script = Script::default();
    script.ask(0.0, "ok").ask(20.0, "ok");
    assert_eq!(script.audit().finding, Finding::Pass);
    let mut script = Script::default();
    script.ask(0.0, "ok");
    for second in 1..8 {
        script.ask(f64::from(second), if second % 2 == 0 { "fail" } else { "info" });
    }
    check_late(&script.audit());
    // An answer that comes at last does not mend it.
    script.ask(8.0, "ok");
    check_late(&script.audit());
}

#[test]
fn silence_without_a_majority_is_no_breach() {
    let mut script = Script::default();
    script.ask(0.0, "ok").begin(2.0, &MOST, installed());
    for second in 2..12 {
        script.ask(f64::from(second), "fail");
    }
    // Who asked before the end of the fault shows nothing of what came after.
    script.event(12.9, json!(1), "invoke", &Value::Null).end(13.0, &MOST, undone());
    script.event(13.1, json!(1), "ok", &Value::Null).ask(13.5, "fail").ask(14.0, "ok");
    let audit = script.audit();
    assert_eq!(audit.finding, Finding::Pass, "{audit:?}");
    // From 1.5, when the fault was begun, until 13.
    let connected = audit.measures["connected_ns"].as_u64().unwrap();
    assert!(connected.abs_diff(2_600_000_000) < 10, "{audit:?}");
    let recovery = audit.measures["recoveries"][0]["recovered_after_ns"].as_u64().unwrap();
    assert!(recovery.abs_diff(1_100_000_000) < 10, "{audit:?}");
    let course = audit.measures["course"].as_array().unwrap();
    assert_eq!((&course[1]["connected"], &course[2]["connected"]), (&json!(0.5), &json!(0.0)));
}

#[test]
fn a_minority_that_is_away_excuses_nothing() {
    let mut script = Script::default();
    script.ask(0.0, "ok").begin(2.0, &["n1"], installed());
    for second in 2..12 {
        script.ask(f64::from(second), "fail");
    }
    check_late(&script.audit());
}

#[test]
fn a_fault_that_was_skipped_excuses_nothing_and_one_in_doubt_does() {
    for (result, is_late) in
        [(json!({"skipped": "no leader"}), true), (json!({"indeterminate": "who knows"}), false)]
    {
        let mut script = Script::default();
        script.ask(0.0, "ok").begin(1.0, &MOST, result);
        for second in 2..12 {
            script.ask(f64::from(second), "fail");
        }
        let is_violation = matches!(script.audit().finding, Finding::Violation { .. });
        assert_eq!(is_violation, is_late);
    }
}

#[test]
fn a_fault_whose_undoing_is_in_doubt_hinders_for_good() {
    let mut script = Script::default();
    script.ask(0.0, "ok").begin(1.0, &MOST, installed());
    script.end(2.0, &MOST, json!({"indeterminate": "who knows"}));
    for second in 3..12 {
        script.ask(f64::from(second), "fail");
    }
    assert_eq!(script.audit().finding, Finding::Pass);
}

#[test]
fn the_first_of_two_of_a_kind_to_end_leaves_the_other() {
    let mut script = Script::default();
    script.ask(0.0, "ok").begin(1.0, &MOST, installed()).begin(1.5, &MOST, installed());
    script.end(2.0, &MOST, undone());
    for second in 3..12 {
        script.ask(f64::from(second), "fail");
    }
    assert_eq!(script.audit().finding, Finding::Pass);
    script.end(13.0, &MOST, undone());
    for second in 13..20 {
        script.ask(f64::from(second) + 0.2, "fail");
    }
    check_late(&script.audit());
}

#[test]
fn nobody_who_asks_and_no_majority_leave_it_open() {
    assert!(matches!(Script::default().audit().finding, Finding::Unknown { .. }));
    let mut script = Script::default();
    script.begin(0.5, &MOST, installed()).ask(1.0, "fail").ask(2.0, "fail");
    assert!(matches!(script.audit().finding, Finding::Unknown { .. }));
}

#[test]
fn an_act_that_stays_hinders_nobody_once_it_is_done() {
    let mut script = Script::default();
    script.ask(0.0, "ok");
    for (at, nodes) in [(1.0, ["n1", "n2"]), (2.0, ["n2", "n3"])] {
        script.begin(at, &nodes, installed()).end(at, &nodes, json!("stays"));
    }
    check_late(&script.ask_in_vain(3..12).audit());
}

#[test]
fn silence_in_which_nobody_asks_is_not_added_to_that_in_which_somebody_did() {
    // The last operations of a storm end in doubt, and those that read everything back come much later.
    let mut script = Script::default();
    script.ask(0.0, "ok").ask(1.0, "info").ask(9.0, "ok");
    let audit = script.audit();
    assert_eq!(audit.finding, Finding::Pass, "{audit:?}");
    let longest = audit.measures["longest_without_answer_ns"].as_u64().unwrap();
    assert!(longest.abs_diff(SECOND / 10) < 10, "{audit:?}");
    let mut script = Script::default();
    script.ask(0.0, "ok").ask(3.0, "info").ask(6.0, "info").ask(9.0, "info");
    assert_eq!(script.audit().finding, Finding::Pass);
    // Who waits all the time asks all the time, also when a fault ends the time that counts.
    let mut script = Script::default();
    script.event(0.0, json!(1), "invoke", &Value::Null).event(9.0, json!(1), "info", &Value::Null);
    check_late(&script.audit());
    let mut script = Script::default();
    script.event(0.0, json!(1), "invoke", &Value::Null).begin(8.0, &MOST, installed());
    script.event(9.0, json!(1), "info", &Value::Null);
    check_late(&script.audit());
}

#[test]
fn who_stays_with_a_node_that_is_cut_off_is_owed_nothing() {
    let to_n1 = vec![Placement::Pinned(NodeId::new(1)), Placement::LeaderFollowing];
    for (placements, is_late) in [(to_n1.clone(), false), (to_n1[1..].to_vec(), true)] {
        let mut script = Script { placements, ..Script::default() };
        script.ask(0.0, "ok").begin(2.0, &["n1"], installed());
        let audit = script.ask_in_vain(2..12).audit();
        assert_eq!(matches!(audit.finding, Finding::Violation { .. }), is_late, "{audit:?}");
    }
    // Once its node is back, it is.
    let mut script = Script { placements: to_n1, ..Script::default() };
    script.begin(0.5, &["n1"], installed()).end(1.0, &["n1"], undone());
    check_late(&script.ask_in_vain(2..12).audit());
}

#[test]
fn a_majority_is_one_of_those_who_are_members() {
    // Of the members n2, n3 and n4, two are dead; that n1 is well helps nobody.
    let mut script = Script::default();
    script.ask(0.0, "ok").change(0.5, &["n1", "n4"], &["n2", "n3", "n4"], &[]);
    script.begin(2.0, &["n3", "n4"], installed());
    assert_eq!(script.ask_in_vain(3..12).audit().finding, Finding::Pass);
    // Of those, who died was none.
    let mut script = Script::default();
    script.ask(0.0, "ok").change(0.5, &["n1", "n4"], &["n2", "n3", "n4"], &[]);
    script.begin(2.0, &["n1", "n2"], installed());
    check_late(&script.ask_in_vain(3..12).audit());
    // Whether n4 votes, nobody knows: two of four would be too few.
    let mut script = Script::default();
    script.ask(0.0, "ok").change(0.5, &["n4"], &["n1", "n2", "n3"], &["n4"]);
    script.begin(2.0, &["n3"], installed());
    assert_eq!(script.ask_in_vain(3..12).audit().finding, Finding::Pass);
}
