//! The page of a run is whole, says the verdict, and shows a violation's witness and nothing else.

use std::fs;
use std::sync::Arc;

use checker::explain::explain;

use crate::cluster::Leadership;
use crate::facts::Facts;
use crate::judgement::{Reign, judge};
use crate::plan::{Plan, WorkloadPlan};
use crate::system::NodeId;
use crate::workload::{self, Workload};

use super::*;

const HISTORY: &str = r#"{"index":0,"time":1000000,"process":0,"type":"invoke","f":"write","key":"k1","value":1}
{"index":1,"time":2000000,"process":0,"type":"ok","f":"write","key":"k1","value":1}
{"index":2,"time":3000000,"process":"nemesis","type":"info","f":"kill","value":{"edge":"begin","fault":"kill one","nodes":["n1</script>"],"leader":"n1","result":"installed","took_ns":1000}}
{"index":3,"time":4000000,"process":1,"type":"invoke","f":"read","key":"k1","value":null}
{"index":4,"time":9000000,"process":1,"type":"ok","f":"read","key":"k1","value":READ}
{"index":5,"time":9500000,"process":2,"type":"invoke","f":"write","key":"k2","value":7}
{"index":6,"time":9900000,"process":2,"type":"ok","f":"write","key":"k2","value":7}
"#;

fn page_of(read: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let history = folder.path().join("history.jsonl");
    fs::write(&history, HISTORY.replace("READ", read)).unwrap();
    let plan = WorkloadPlan { name: "register".into(), ..WorkloadPlan::default() };
    let workload: Arc<dyn Workload> = workload::by_name(&plan).unwrap().into();
    let plan = Plan { workload: plan, schedule: Some(vec![]), ..Plan::default() };
    let mut facts = Facts { is_whole: true, events: Some(7), ..Facts::default() };
    let leader = Some(Leadership { term: 3, node: NodeId::new(1) });
    facts.observed.reigns = vec![Reign { at: Duration::from_millis(1), leader }];
    let evidence = Evidence { plan, workload, facts };
    let (judgement, searched) = judge(&evidence, history, Options::default());
    let searched = searched.unwrap();
    let explanation = explain(&searched.recording, &Options::default(), &searched.report).ok();
    run_page("<run>", &judgement, &evidence, Some(&searched), explanation.as_ref()).unwrap()
}

/// Returns the data of a script of this id.
fn data(page: &str, id: &str) -> Option<serde_json::Value> {
    let mark = format!("id=\"{id}\">");
    let from = page.find(&mark)? + mark.len();
    let until = from + page[from..].find("</script>")?;
    Some(serde_json::from_str(&page[from..until]).expect("it is JSON"))
}

#[test]
fn nothing_is_fetched_and_nothing_breaks_out() {
    let page = page_of("7");
    assert!(!page.contains("<run>") && !page.contains("n1</script>"));
    for outside in ["src=", "@import", "url(", "href="] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn the_charts_have_what_was_seen() {
    let storm = data(&page_of("1"), "storm").unwrap();
    assert_eq!(storm["duration"], 0.0099);
    assert_eq!(storm["reigns"], serde_json::json!([{"at": 0.001, "node": "n1", "term": 3}]));
    let fault = &storm["faults"][0];
    assert_eq!((&fault["family"], &fault["until"]), (&"kill".into(), &serde_json::Value::Null));
    assert_eq!(storm["series"]["max"], serde_json::json!([5.0]));
}

#[test]
fn a_violation_is_told_and_its_witness_shown() {
    let page = page_of("7");
    assert!(page.contains("The system broke its promise: read by process 1"), "{page}");
    let witness = data(&page, "data").unwrap();
    assert_eq!(witness["operations"]["line"], serde_json::json!([1, 4]), "of its key alone");
    let core: Vec<u64> =
        witness["core"].as_array().unwrap().iter().map(|it| it[0].as_u64().unwrap()).collect();
    assert!(core.contains(&1), "{witness}");
}

#[test]
fn what_is_no_violation_has_no_witness() {
    let page = page_of("1");
    // The run did not show that it recovered.
    assert!(page.contains("Nobody can tell"), "{page}");
    assert!(data(&page, "data").is_none());
}

#[test]
fn as_much_is_shown_around_a_core_as_there_is_room() {
    let all: Vec<usize> = (0..100).map(|place| place * 2).collect();
    let around = |core: &[usize], max| around(all.clone(), core.iter().copied(), max);
    assert_eq!(around(&[], 100), all);
    assert_eq!(around(&[], 3), [0, 2, 4]);
    assert_eq!(around(&[100], 5), [96, 98, 100, 102, 104]);
    assert_eq!(around(&[0], 3), [0, 2, 4]);
    assert_eq!(around(&[198, 196], 4), [192, 194, 196, 198]);
    assert_eq!(around(&[10, 150], 4), [10, 12, 14, 150]);
    assert_eq!(around(&[10, 50, 150], 2), [10, 50]);
}
