//! The corpus: every recorded history is judged as `histories/verdicts.tsv` says, through the
//! command that users have.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// A row of the table.
struct Row {
    file: String,
    format: String,
    model: String,
    initial: String,
    nil_read: String,
    failed_cas: String,
    is_linearizable: bool,
}

impl Row {
    fn parse(line: &str) -> Self {
        let fields: Vec<&str> = line.split('\t').collect();
        let [file, format, model, initial, nil_read, failed_cas, linearizable, _origin] =
            fields[..]
        else {
            panic!("a row has eight fields: {line}");
        };
        let text = str::to_owned;
        Self {
            file: text(file),
            format: text(format),
            model: text(model),
            initial: text(initial),
            nil_read: text(nil_read),
            failed_cas: text(failed_cas),
            is_linearizable: linearizable == "true",
        }
    }

    /// The flags that the columns call for: one set, or two where both readings must agree.
    fn flags(&self) -> Vec<Vec<String>> {
        let readings: &[&str] = match self.failed_cas.as_str() {
            "either" => &["dropped", "observed"],
            "-" => &["dropped"],
            one => &[one],
        };
        let with = |failed_cas: &str| {
            let mut flags =
                vec!["--format", &self.format, "--model", &self.model, "--initial", &self.initial];
            if self.nil_read != "-" {
                flags.extend(["--nil-read", &self.nil_read]);
            }
            flags.extend(["--failed-cas", failed_cas]);
            flags.into_iter().map(str::to_owned).collect()
        };
        readings.iter().map(|reading| with(reading)).collect()
    }
}

fn histories() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/histories"))
}

fn rows() -> Vec<Row> {
    let table = fs::read_to_string(histories().join("verdicts.tsv")).expect("the table is there");
    table.lines().skip(1).filter(|line| !line.is_empty()).map(Row::parse).collect()
}

fn stormproof_check(flags: &[String], files: &[String]) -> (Option<i32>, Vec<Value>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stormproof"));
    command.current_dir(histories()).arg("check").arg("--json").args(flags).args(files);
    let output = command.output().expect("the binary starts");
    let stdout = String::from_utf8(output.stdout).expect("reports are UTF-8");
    let reports: Vec<Value> =
        stdout.lines().map(|line| serde_json::from_str(line).expect("a report is JSON")).collect();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(reports.len(), files.len(), "{command:?} says of every file what it is:\n{stderr}");
    (output.status.code(), reports)
}

#[test]
fn every_history_is_judged_as_the_table_says() {
    let mut groups: BTreeMap<(Vec<String>, bool), Vec<String>> = BTreeMap::new();
    for row in rows() {
        for flags in row.flags() {
            groups.entry((flags, row.is_linearizable)).or_default().push(row.file.clone());
        }
    }
    assert!(groups.len() >= 10, "the table was read: {}", groups.len());
    for ((flags, is_linearizable), files) in groups {
        let (verdict, code) = if is_linearizable { ("linearizable", 0) } else { ("violation", 1) };
        let (status, reports) = stormproof_check(&flags, &files);
        for (file, report) in files.iter().zip(&reports) {
            let repeat = format!("stormproof check {} histories/{file}", flags.join(" "));
            assert_eq!(report["verdict"], verdict, "{repeat}");
            if !is_linearizable {
                assert_eq!(report["witness"]["shortest"], true, "{repeat}");
            }
        }
        assert_eq!(status, Some(code), "{flags:?}");
    }
}

#[test]
fn formats_are_told_from_the_content() {
    let expected = rows().into_iter().map(|row| (row.file, row.format));
    let (files, formats): (Vec<String>, Vec<String>) = expected.unzip();
    let (_, reports) = stormproof_check(&[], &files);
    for ((file, format), report) in files.iter().zip(formats).zip(reports) {
        assert_eq!(report["format"], format.as_str(), "{file}");
    }
}

#[test]
fn every_history_has_a_row() {
    let mut listed: Vec<String> = rows().into_iter().map(|row| row.file).collect();
    let mut found = Vec::new();
    for folder in fs::read_dir(histories()).expect("the corpus is there").flatten() {
        let folder = folder.path();
        for file in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let file = file.path();
            let name = file
                .strip_prefix(histories())
                .expect("it lies within")
                .to_string_lossy()
                .into_owned();
            found.push(name);
        }
    }
    listed.sort();
    found.sort();
    assert_eq!(listed, found);
}
