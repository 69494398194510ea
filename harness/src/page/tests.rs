//! The page holds what it must and nothing that could break out of it.

use checker::check::{Options, check};
use checker::explain::explain;
use checker::history::read_bytes;

use super::page;

fn page_of(content: &str) -> String {
    let recording = read_bytes("<h>", content.as_bytes(), None).expect("it can be read");
    let options = Options::default();
    let report = check(&recording, &options).expect("it can be judged");
    let explanation = explain(&recording, &options, &report).ok();
    page(&recording, &options, &report, explanation.as_ref()).expect("the page is filled in")
}

const STALE: &str = r#"{"process":0,"type":"invoke","f":"write","value":"</script><b>"}
{"process":0,"type":"ok","f":"write","value":"</script><b>"}
{"process":0,"type":"invoke","f":"write","value":"new"}
{"process":0,"type":"ok","f":"write","value":"new"}
{"process":1,"type":"invoke","f":"read"}
{"process":1,"type":"ok","f":"read","value":"</script><b>"}
"#;

#[test]
fn values_cannot_break_out_of_the_page() {
    let page = page_of(STALE);
    assert!(!page.contains("</script><b>") && !page.contains("<h>"), "{page}");
    assert_eq!(page.matches("</script>").count(), 2, "the page's own");
    for outside in ["http://", "https://", "src=", "@import", "url("] {
        assert!(!page.contains(outside), "nothing is fetched: {outside}");
    }
}

#[test]
fn the_data_is_json_and_names_the_core() {
    let page = page_of(STALE);
    let from = page.find("id=\"data\">").expect("there is data") + "id=\"data\">".len();
    let until = from + page[from..].find("</script>").expect("it ends");
    let data: serde_json::Value = serde_json::from_str(&page[from..until]).expect("it is JSON");
    assert_eq!(
        data["core"],
        serde_json::json!([[1, "happened"], [2, "answered"], [0, "background"]])
    );
    assert_eq!(data["operations"]["line"], serde_json::json!([1, 3, 5]));
    assert_eq!(data["operations"]["until"], serde_json::json!([1, 3, 5]));
}

#[test]
fn a_linearizable_history_shows_its_order() {
    let content = STALE.replacen("\"new\"", "\"</script><b>\"", 2);
    let page = page_of(&content);
    assert!(page.contains("\"place\":[0,1,2]"), "{page}");
}

#[test]
fn what_each_next_operation_would_have_needed_is_shown() {
    let page = page_of(&STALE.replace("</script><b>", "old"));
    let row = "<tr><td>process 1 read -&gt; &quot;old&quot; (lines 5-6)</td><td>&quot;new&quot;</td></tr>";
    assert!(page.contains(row), "{page}");
    let content = STALE.replacen("\"new\"", "\"</script><b>\"", 2);
    assert!(!page_of(&content).contains("would have needed"), "nothing is wrong");
}
