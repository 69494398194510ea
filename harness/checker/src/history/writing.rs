//! Writing histories, in every format that is read.
//!
//! What is written is read back as the same events. EDN and the log write texts as strings, never as
//! keywords, and functions as keywords where they can be.

use std::fmt::{self, Write as _};
use std::io::{self, Write};

use super::edn::is_symbolic;
use super::{Event, EventType, Format, Process, Recording, Value, write_event};

/// Writes the events of a recording.
///
/// EDN comes as one map a line; in brackets if the recording says of itself that it is whole, as no
/// other format can.
pub fn write(out: &mut impl Write, recording: &Recording, format: Format) -> io::Result<()> {
    let events = recording.events.iter().map(|recorded| &recorded.event);
    let mut line = String::new();
    match format {
        Format::Jsonl => {
            for event in events {
                write_event(out, event)?;
            }
        }
        Format::Edn => {
            let (mut before, after) = if recording.is_closed { ("[", "]\n") } else { ("", "") };
            for event in events {
                line.clear();
                describe_edn(&mut line, event).expect("a string takes all that is written");
                writeln!(out, "{before}{line}")?;
                before = if recording.is_closed { " " } else { "" };
            }
            if recording.is_closed && before == "[" {
                out.write_all(b"[")?;
            }
            out.write_all(after.as_bytes())?;
        }
        Format::JepsenLog => {
            for event in events {
                line.clear();
                describe_line(&mut line, event).expect("a string takes all that is written");
                writeln!(out, "{line}")?;
            }
        }
    }
    out.flush()
}

/// Writes an event as a map of EDN.
fn describe_edn(out: &mut String, event: &Event) -> fmt::Result {
    out.push('{');
    if let Some(index) = event.index {
        write!(out, ":index {index}, ")?;
    }
    if let Some(time) = event.time {
        write!(out, ":time {time}, ")?;
    }
    write!(out, ":process {}, :type {}, :f ", process(event), keyword(event.event_type))?;
    describe_f(out, &event.f);
    if let Some(key) = &event.key {
        out.push_str(", :key ");
        describe_text(out, key);
    }
    out.push_str(", :value ");
    describe_value(out, &event.value)?;
    if let Some(position) = event.position {
        write!(out, ", :position {position}")?;
    }
    if let Some(error) = &event.error {
        out.push_str(", :error ");
        describe_text(out, error);
    }
    out.push('}');
    Ok(())
}

/// Writes an event as a line of Jepsen's log, with what that lacks as named fields behind it.
fn describe_line(out: &mut String, event: &Event) -> fmt::Result {
    write!(out, "{}\t{}\t", process(event), keyword(event.event_type))?;
    describe_f(out, &event.f);
    out.push('\t');
    describe_value(out, &event.value)?;
    if let Some(key) = &event.key {
        out.push_str("\t:key ");
        describe_text(out, key);
    }
    let numbers = [(":index", event.index), (":time", event.time), (":position", event.position)];
    for (name, number) in numbers.into_iter().filter_map(|(name, number)| Some((name, number?))) {
        write!(out, "\t{name} {number}")?;
    }
    if let Some(error) = &event.error {
        out.push_str("\t:error ");
        describe_text(out, error);
    }
    Ok(())
}

fn process(event: &Event) -> impl fmt::Display {
    match event.process {
        Process::Client(number) => number.to_string(),
        Process::Nemesis(_) => ":nemesis".to_owned(),
    }
}

fn keyword(event_type: EventType) -> &'static str {
    match event_type {
        EventType::Invoke => ":invoke",
        EventType::Ok => ":ok",
        EventType::Fail => ":fail",
        EventType::Info => ":info",
    }
}

/// Writes a function: as a keyword, unless that would be read as another.
fn describe_f(out: &mut String, f: &str) {
    if !f.is_empty()
        && !f.starts_with(':')
        && f.chars().all(|char| is_symbolic(char) && char.is_ascii_graphic())
    {
        out.push(':');
        out.push_str(f);
    } else {
        describe_text(out, f);
    }
}

fn describe_value(out: &mut String, value: &Value) -> fmt::Result {
    match value {
        Value::Null => out.push_str("nil"),
        Value::Bool(bool) => write!(out, "{bool}")?,
        Value::Number(number) => write!(out, "{number}")?,
        Value::String(text) => describe_text(out, text),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { " " } else { "" });
                describe_value(out, item)?;
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push('{');
            for (index, (name, value)) in fields.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                describe_text(out, name);
                out.push(' ');
                describe_value(out, value)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

/// Writes a text as a string of EDN that stands on one line, without tabs.
fn describe_text(out: &mut String, text: &str) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            control if control.is_control() => {
                out.push_str(&format!("\\u{:04x}", u32::from(control)));
            }
            char => out.push(char),
        }
    }
    out.push('"');
}
