//! The remarks of the nemesis, read back from a history: which fault was in force when.

use std::collections::BTreeMap;

use checker::history::{Event, Process, Recording, Value};
use serde::Serialize;

use crate::fault::Family;
use crate::nemesis::Counts;

/// A fault as a history tells it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inflicted {
    /// Its family's name: the `f` of the remarks.
    pub family: String,
    /// What was done, in words, such as `kill leader`.
    pub fault: String,
    /// Whom it was about. If it was skipped, these were down until then for what did not come about.
    pub nodes: Vec<String>,
    /// The links that it hurt, from whom to whom; none if that does not tell what it hurt.
    pub cut: Option<Vec<(String, String)>>,
    /// What came of it.
    pub result: Inflicting,
    /// Whether it turned out when it ended that nobody had felt it: it was in force, and shows nothing.
    pub is_in_vain: bool,
    /// Whether it hit the node that was known to lead, and was felt.
    pub is_leader_hit: bool,
    /// When it began to be brought, in nanoseconds of the history: from here on it may have been felt.
    pub from: u64,
    /// When it ended; none if the history ends before that, or nothing was to be undone.
    pub until: Option<u64>,
    /// Whether it hinders nobody from then on, for certain: it was undone, or what it did is done.
    pub is_over: bool,
}

/// Who was in the cluster, by an edge of a fault that changes that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Electorate {
    /// When the change may have begun, in nanoseconds of the history.
    pub since: u64,
    /// From when on these were in.
    pub at: u64,
    /// Who was in for certain.
    pub members: Vec<String>,
    /// Who may have been in.
    pub doubtful: Vec<String>,
}

/// What came of an attempt to bring a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Inflicting {
    /// It was in force.
    Installed,
    /// Nothing came of it.
    Skipped,
    /// Nobody knows whether it took effect.
    Indeterminate,
}

/// Reads the faults of a recording, in the order of their beginnings.
#[must_use]
pub fn inflicted(recording: &Recording) -> Vec<Inflicted> {
    let mut faults: Vec<Inflicted> = Vec::new();
    // Which faults have not ended yet, by what both of their remarks say.
    let mut open: Vec<usize> = Vec::new();
    let remarks = recording.events.iter().map(|recorded| &recorded.event);
    for event in remarks.filter(|event| event.process == Process::NEMESIS) {
        let (Some(time), Some(edge)) = (event.time, text(&event.value, "edge")) else { continue };
        match edge {
            "begin" => {
                let fault = begin(event, time);
                if fault.result != Inflicting::Skipped {
                    open.push(faults.len());
                }
                faults.push(fault);
            }
            "end" => {
                let (fault, nodes) = (text(&event.value, "fault"), names(&event.value, "nodes"));
                let place = open.iter().position(|&index| {
                    let begun = &faults[index];
                    *begun.family == *event.f
                        && Some(&*begun.fault) == fault
                        && begun.nodes == nodes
                });
                if let Some(place) = place {
                    let ended = &mut faults[open.remove(place)];
                    ended.until = Some(time);
                    let result = text(&event.value, "result");
                    ended.is_over = matches!(result, Some("undone" | "stays"));
                    ended.is_in_vain = event.value.get("in_vain").is_some();
                    ended.is_leader_hit &= !ended.is_in_vain;
                }
            }
            _ => {}
        }
    }
    faults
}

fn begin(event: &Event, time: u64) -> Inflicted {
    let value = &event.value;
    let nodes = names(value, "nodes");
    let result = match value.get("result") {
        Some(result) if result.as_str() == Some("installed") => Inflicting::Installed,
        Some(result) if result.get("skipped").is_some() => Inflicting::Skipped,
        _ => Inflicting::Indeterminate,
    };
    let leader = text(value, "leader");
    // What was done for it is undone when it is known that it does not come about.
    let is_taken_back = result == Inflicting::Skipped && !nodes.is_empty();
    Inflicted {
        family: event.f.to_string(),
        fault: text(value, "fault").unwrap_or(&event.f).to_owned(),
        is_leader_hit: result == Inflicting::Installed
            && leader.is_some_and(|leader| nodes.iter().any(|node| node == leader)),
        is_in_vain: false,
        nodes,
        cut: links(value),
        result,
        from: since(event, time),
        until: is_taken_back.then_some(time),
        is_over: is_taken_back,
    }
}

/// Returns when what an edge tells of had begun.
fn since(event: &Event, time: u64) -> u64 {
    time.saturating_sub(event.value.get("took_ns").and_then(Value::as_u64).unwrap_or(0))
}

/// Reads who was in the cluster from when on, as far as edges tell: nothing of those who began it, and
/// nothing at all in histories that leave it out.
#[must_use]
pub fn electorates(recording: &Recording) -> Vec<Electorate> {
    let remarks = recording.events.iter().map(|recorded| &recorded.event);
    let electorate = |event: &Event| {
        let at = event.time.filter(|_| event.value.get("members").is_some())?;
        Some(Electorate {
            since: since(event, at),
            at,
            members: names(&event.value, "members"),
            doubtful: names(&event.value, "doubtful"),
        })
    };
    remarks.filter(|event| event.process == Process::NEMESIS).filter_map(electorate).collect()
}

/// Reads the links between nodes that a fault cut, or made slow or worse: pairs of nodes. A fault that also
/// keeps clients from nodes says more than that.
fn links(value: &Value) -> Option<Vec<(String, String)>> {
    let list = |field| value.get(field).map_or(Some(&[][..]), Value::as_array);
    let link = |link: &Value| match link.as_array()? {
        [from, to] => Some((from.as_str()?.to_owned(), to.as_str()?.to_owned())),
        _ => None,
    };
    let links: Vec<_> =
        list("cut")?.iter().chain(list("links")?).map(link).collect::<Option<_>>()?;
    (links.is_empty() || list("clients")?.is_empty()).then_some(links)
}

fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field).and_then(Value::as_str)
}

fn names(value: &Value, field: &str) -> Vec<String> {
    let items = value.get(field).and_then(Value::as_array).unwrap_or_default();
    items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Counts results by family, those that were in vain as skipped. A family that this harness does not know is
/// left out.
#[must_use]
pub fn counts(faults: &[Inflicted]) -> BTreeMap<Family, Counts> {
    let mut counts: BTreeMap<Family, Counts> = BTreeMap::new();
    for fault in faults {
        let Ok(family) = fault.family.parse() else { continue };
        let counts = counts.entry(family).or_default();
        *match fault.result {
            Inflicting::Installed if !fault.is_in_vain => &mut counts.installed,
            Inflicting::Installed | Inflicting::Skipped => &mut counts.skipped,
            Inflicting::Indeterminate => &mut counts.indeterminate,
        } += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use checker::history::{Format, read_bytes};

    use super::*;

    const STORM: &str = r#"
{"time":1000,"process":"nemesis","type":"info","f":"kill","value":{"edge":"begin","fault":"kill leader","nodes":["n2"],"leader":"n2","result":"installed","took_ns":100}}
{"time":1500,"process":"nemesis","type":"info","f":"pause","value":{"edge":"begin","fault":"pause one","nodes":["n1"],"leader":"n2","result":"installed","took_ns":0}}
{"time":1600,"process":"nemesis","type":"info","f":"pause","value":{"edge":"begin","fault":"pause one","nodes":["n3"],"leader":null,"result":{"indeterminate":"?"},"took_ns":0}}
{"time":1700,"process":"nemesis","type":"info","f":"pause","value":{"edge":"begin","fault":"pause leader","nodes":[],"leader":null,"result":{"skipped":"nobody leads"},"took_ns":9}}
{"time":2000,"process":"nemesis","type":"info","f":"pause","value":{"edge":"end","fault":"pause one","nodes":["n3"],"result":"undone","took_ns":5}}
{"time":2500,"process":"nemesis","type":"info","f":"kill","value":{"edge":"end","fault":"kill leader","nodes":["n2"],"result":"undone","took_ns":5}}
{"time":2600,"process":"nemesis","type":"info","f":"weather","value":{"edge":"begin","result":"installed"}}
{"time":2700,"process":"nemesis","type":"info","f":"chatter","value":"nothing"}
"#;

    fn storm() -> Vec<Inflicted> {
        inflicted(&read_bytes("storm", STORM.as_bytes(), Some(Format::Jsonl)).unwrap())
    }

    #[test]
    fn both_edges_of_a_fault_find_each_other() {
        let spans: Vec<_> =
            storm().into_iter().map(|it| (it.fault, it.result, it.from, it.until)).collect();
        let expected = [
            ("kill leader", Inflicting::Installed, 900, Some(2500)),
            ("pause one", Inflicting::Installed, 1500, None),
            ("pause one", Inflicting::Indeterminate, 1600, Some(2000)),
            ("pause leader", Inflicting::Skipped, 1691, None),
            ("weather", Inflicting::Installed, 2600, None),
        ];
        let expected =
            expected.map(|(fault, result, from, until)| (fault.to_owned(), result, from, until));
        assert_eq!(spans, expected);
    }

    #[test]
    fn what_is_cut_and_whether_it_is_over_is_told() {
        let text = r#"
{"time":1,"process":"nemesis","type":"info","f":"partition","value":{"edge":"begin","fault":"p","nodes":[],"cut":[["n1","n2"]],"result":"installed"}}
{"time":2,"process":"nemesis","type":"info","f":"partition","value":{"edge":"end","fault":"p","nodes":[],"cut":[["n1","n2"]],"result":{"indeterminate":"?"}}}
{"time":3,"process":"nemesis","type":"info","f":"storm","value":{"edge":"begin","fault":"q","nodes":[],"cut":["n1"],"result":"installed"}}
{"time":4,"process":"nemesis","type":"info","f":"delay","value":{"edge":"begin","fault":"r","nodes":[],"cut":[],"links":[["n1","n2"]],"result":"installed"}}
{"time":5,"process":"nemesis","type":"info","f":"partition","value":{"edge":"begin","fault":"s","nodes":[],"cut":[["n1","n2"]],"clients":[["first","n2"]],"result":"installed"}}
{"time":6,"process":"nemesis","type":"info","f":"refuse","value":{"edge":"begin","fault":"t","nodes":["n1"],"cut":[],"clients":[["first","n1"]],"result":"installed"}}
"#;
        let faults = inflicted(&read_bytes("p", text.as_bytes(), Some(Format::Jsonl)).unwrap());
        assert_eq!(faults[0].cut, Some(vec![("n1".into(), "n2".into())]));
        assert_eq!((faults[0].until, faults[0].is_over), (Some(2), false));
        assert_eq!(faults[1].cut, None);
        assert_eq!(faults[2].cut, faults[0].cut);
        assert_eq!((&faults[3].cut, &faults[4].cut), (&None, &Some(vec![])));
        let over: Vec<bool> = storm().iter().map(|it| it.is_over).collect();
        assert_eq!(over, [true, false, true, false, false]);
    }

    #[test]
    fn who_was_down_for_what_was_skipped_was_so_until_then() {
        let text = r#"
{"time":90,"process":"nemesis","type":"info","f":"membership","value":{"edge":"begin","fault":"shrink by one","nodes":["n1"],"cut":[],"result":{"skipped":"refused"},"took_ns":80}}
{"time":95,"process":"nemesis","type":"info","f":"membership","value":{"edge":"begin","fault":"shrink by one","nodes":[],"cut":[],"result":{"skipped":"refused"},"took_ns":1}}
"#;
        let faults = inflicted(&read_bytes("m", text.as_bytes(), Some(Format::Jsonl)).unwrap());
        let spans: Vec<_> = faults.iter().map(|it| (it.from, it.until, it.is_over)).collect();
        assert_eq!(spans, [(10, Some(90), true), (94, None, false)]);
    }

    #[test]
    fn who_is_in_the_cluster_is_told_by_those_edges_that_say_so() {
        let text = r#"
{"time":10,"process":"nemesis","type":"info","f":"membership","value":{"edge":"begin","fault":"grow","nodes":["n6"],"result":"installed","took_ns":4,"members":["n1","n6"],"doubtful":["n2"]}}
{"time":20,"process":"nemesis","type":"info","f":"kill","value":{"edge":"begin","fault":"kill one","nodes":["n1"],"result":"installed","took_ns":4}}
{"time":30,"process":"nemesis","type":"info","f":"membership","value":{"edge":"end","fault":"grow","nodes":["n6"],"result":"undone","took_ns":5,"members":["n1"]}}
"#;
        let found = electorates(&read_bytes("m", text.as_bytes(), Some(Format::Jsonl)).unwrap());
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let expected = [
            Electorate {
                since: 6,
                at: 10,
                members: owned(&["n1", "n6"]),
                doubtful: owned(&["n2"]),
            },
            Electorate { since: 25, at: 30, members: owned(&["n1"]), doubtful: vec![] },
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_was_in_vain_counts_as_skipped_though_it_was_in_force() {
        let text = r#"
{"time":1,"process":"nemesis","type":"info","f":"power","value":{"edge":"begin","fault":"p","nodes":["n1"],"leader":"n1","result":"installed"}}
{"time":2,"process":"nemesis","type":"info","f":"power","value":{"edge":"end","fault":"p","nodes":["n1"],"in_vain":"everything was synced","result":"undone"}}
{"time":3,"process":"nemesis","type":"info","f":"power","value":{"edge":"begin","fault":"p","nodes":["n1"],"leader":"n1","result":"installed"}}
{"time":4,"process":"nemesis","type":"info","f":"power","value":{"edge":"end","fault":"p","nodes":["n1"],"result":"undone"}}
"#;
        let faults = inflicted(&read_bytes("p", text.as_bytes(), Some(Format::Jsonl)).unwrap());
        let power = Counts { installed: 1, skipped: 1, ..Counts::default() };
        assert_eq!(counts(&faults), [(Family::Power, power)].into());
        assert_eq!(faults.iter().map(|it| it.is_leader_hit).collect::<Vec<_>>(), [false, true]);
        // It hindered the cluster all the same.
        assert_eq!(faults[0].result, Inflicting::Installed);
    }

    #[test]
    fn results_are_counted_by_family() {
        let faults = storm();
        let kill = Counts { installed: 1, ..Counts::default() };
        let pause = Counts { installed: 1, skipped: 1, indeterminate: 1 };
        assert_eq!(counts(&faults), [(Family::Kill, kill), (Family::Pause, pause)].into());
        let hits: Vec<bool> = faults.iter().map(|it| it.is_leader_hit).collect();
        assert_eq!(hits, [true, false, false, false, false]);
    }
}
