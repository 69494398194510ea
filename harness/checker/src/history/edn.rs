//! EDN, as Jepsen and Knossos write it: events are maps, in vectors or lists or one after the
//! other at the top.
//!
//! Values become JSON: keywords and symbols their names, nil null, lists, vectors and sets
//! arrays. A tag that is a class, such as `#jepsen.history.Op`, says how Clojure holds the form and is
//! dropped; any other, such as `#inst`, is part of the value, which becomes `{"#inst": …}`.

use serde_json::{Map, Number, Value};

use super::fields::{column_of, event_from};
use super::text::Texts;
use super::{ReadError, Recorded, Recording, Warning};

/// How deep forms may nest: far deeper than histories do, far shallower than the stack.
const DEPTH_MAX: usize = 128;

/// What is wrong with a form, and where.
#[derive(Debug)]
pub(super) struct FormError {
    /// Bytes from the start of the text.
    pub(super) offset: usize,
    pub(super) problem: String,
    /// Whether the text ended within a form.
    is_cut: bool,
}

/// Parses a text that holds one form; an empty one is nil.
pub(super) fn parse_value(text: &str) -> Result<Value, FormError> {
    let mut reader = Reader { text, at: 0 };
    reader.skip_space(0)?;
    if reader.peek().is_none() {
        return Ok(Value::Null);
    }
    let value = reader.form(0)?;
    reader.skip_space(0)?;
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(reader.wrong("there is more than one value")),
    }
}

pub(super) fn read_into(recording: &mut Recording, content: &[u8]) -> Result<(), ReadError> {
    let (text, invalid) = match str::from_utf8(content) {
        Ok(text) => (text, None),
        Err(error) => {
            let (valid, _) = content.split_at(error.valid_up_to());
            // A character that the end of the file cuts in two is a cut; any other is an error.
            (
                str::from_utf8(valid).unwrap_or_default(),
                error.error_len().map(|_| error.valid_up_to()),
            )
        }
    };
    let mut lines = Lines { text, at: 0, line: 1, start: 0 };
    let mut reader = Reader { text, at: 0 };
    if let Err(wrong) = read_events(recording, &mut reader, &mut lines) {
        let (line, column) = lines.place(wrong.offset);
        if wrong.is_cut && invalid.is_none() {
            recording.warnings.push(Warning {
                line,
                message: "the recording is cut off in the middle of a form, as if its run had been killed; \
                          it was judged up to the last whole event"
                    .to_owned(),
            });
            return Ok(());
        }
        if invalid.is_none_or(|at| wrong.offset < at) {
            return Err(malformed(recording, line, column, wrong.problem));
        }
    }
    if let Some(at) = invalid {
        let (line, column) = lines.place(at);
        return Err(malformed(recording, line, column, "the text is not UTF-8".to_owned()));
    }
    Ok(())
}

fn malformed(recording: &Recording, line: usize, column: usize, problem: String) -> ReadError {
    let remedy = "mend the form, or name another --format";
    ReadError::Malformed { name: recording.name.clone(), line, column, problem, remedy }
}

/// Reads the maps at the top and in the sequences at the top.
fn read_events(
    recording: &mut Recording,
    reader: &mut Reader<'_>,
    lines: &mut Lines<'_>,
) -> Result<(), FormError> {
    let text = reader.text;
    let mut closer = None;
    let mut texts = Texts::default();
    loop {
        let start = reader.at;
        let open = |wrong| unclosed(text, start, wrong);
        reader.skip_space(0).map_err(open)?;
        match (reader.peek(), closer) {
            (None, None) => return Ok(()),
            (None, Some(_)) => return Err(reader.cut()),
            (Some(b'[' | b'('), None) => {
                closer = if reader.peek() == Some(b'[') { Some(b']') } else { Some(b')') };
                reader.at += 1;
            }
            (Some(byte), Some(expected)) if byte == expected => {
                closer = None;
                recording.is_closed = true;
                reader.at += 1;
            }
            _ => {
                let start = reader.at;
                let form = reader.form(0).map_err(|wrong| unclosed(text, start, wrong))?;
                let Value::Object(map) = form else {
                    return Err(FormError {
                        offset: start,
                        problem: "an event is a map".to_owned(),
                        is_cut: false,
                    });
                };
                let (line, column) = lines.place(start);
                let event = event_from(map, &mut texts).map_err(|wrong| FormError {
                    offset: start
                        + column_of(&reader.text.as_bytes()[start..reader.at], wrong.field)
                        - 1,
                    problem: wrong.describe(),
                    is_cut: false,
                })?;
                recording.events.push(Recorded { line, column, event });
            }
        }
    }
}

/// A form that a kill cut short is the beginning of one event. One that swallowed the beginning of
/// another lacks its own end: that is damage in the middle, and not to be passed over.
fn unclosed(text: &str, start: usize, wrong: FormError) -> FormError {
    let swallowed = text[start..].trim_start();
    let is_damage = ["type", "process"].iter().any(|key| is_key_repeated(swallowed, key));
    if !wrong.is_cut || !is_damage {
        return wrong;
    }
    FormError {
        offset: text.len() - swallowed.len(),
        problem: "this form is never closed, and other events follow".to_owned(),
        is_cut: false,
    }
}

/// Whether a key of events stands in a text more than once. The text is not taken apart for that:
/// behind an unclosed string all its quotes would be the wrong way round.
fn is_key_repeated(text: &str, key: &str) -> bool {
    let is_key = |at: usize| {
        let (before, after) = (&text[..at], &text[at + key.len()..]);
        match before.as_bytes().last() {
            Some(b':') => !after.starts_with(is_symbolic),
            Some(b'"') => after.starts_with('"'),
            _ => false,
        }
    };
    text.match_indices(key).filter(|(at, _)| is_key(*at)).nth(1).is_some()
}

/// Whether a character can be part of a keyword or symbol.
pub(super) fn is_symbolic(char: char) -> bool {
    !char.is_ascii_whitespace() && !",;()[]{}\"\\".contains(char)
}

/// Turns offsets, asked for in ascending order, into lines and columns.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    start: usize,
}

impl Lines<'_> {
    fn place(&mut self, offset: usize) -> (usize, usize) {
        let passed = self.text.as_bytes().get(self.at..offset).unwrap_or_default();
        for (index, _) in passed.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
            self.line += 1;
            self.start = self.at + index + 1;
        }
        self.at = self.at.max(offset);
        (self.line, 1 + offset.saturating_sub(self.start))
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn peek_second(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at + 1).copied()
    }

    fn wrong(&self, problem: &str) -> FormError {
        FormError { offset: self.at, problem: problem.to_owned(), is_cut: false }
    }

    fn cut(&self) -> FormError {
        FormError {
            offset: self.text.len(),
            problem: "the text ends within a form".to_owned(),
            is_cut: true,
        }
    }

    fn form(&mut self, depth: usize) -> Result<Value, FormError> {
        if depth > DEPTH_MAX {
            return Err(self.wrong("forms nest too deep"));
        }
        self.skip_space(depth)?;
        let Some(byte) = self.peek() else {
            return Err(self.cut());
        };
        match byte {
            b'{' => self.map(depth),
            b'[' => self.sequence(b']', depth),
            b'(' => self.sequence(b')', depth),
            b'"' => self.string(),
            b'\\' => self.character(),
            b'#' => self.tagged(depth),
            b'^' => {
                self.at += 1;
                self.form(depth + 1)?;
                self.form(depth + 1)
            }
            b']' | b')' | b'}' => Err(self.wrong("a bracket closes what it did not open")),
            _ => self.atom(),
        }
    }

    /// Skips white space, commas, comments and discarded forms.
    fn skip_space(&mut self, depth: usize) -> Result<(), FormError> {
        loop {
            match self.peek() {
                Some(b'#') if self.peek_second() == Some(b'_') => {
                    self.at += 2;
                    self.form(depth + 1)?;
                }
                Some(byte) if byte.is_ascii_whitespace() || byte == b',' => self.at += 1,
                Some(b';') => {
                    let rest = &self.text.as_bytes()[self.at..];
                    self.at += rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
                }
                _ => return Ok(()),
            }
        }
    }

    fn sequence(&mut self, closer: u8, depth: usize) -> Result<Value, FormError> {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            self.skip_space(depth)?;
            match self.peek() {
                None => return Err(self.cut()),
                Some(byte) if byte == closer => {
                    self.at += 1;
                    return Ok(Value::Array(items));
                }
                Some(_) => items.push(self.form(depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, FormError> {
        self.at += 1;
        let mut map = Map::new();
        loop {
            self.skip_space(depth)?;
            match self.peek() {
                None => return Err(self.cut()),
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Value::Object(map));
                }
                Some(_) => {
                    let start = self.at;
                    let key = match self.form(depth + 1)? {
                        Value::String(key) => key,
                        other => other.to_string(),
                    };
                    let value = self.form(depth + 1)?;
                    // Two events run together would otherwise pass for one.
                    if map.contains_key(&key) {
                        return Err(FormError {
                            offset: start,
                            problem: format!("the key `{key}` stands twice in one map"),
                            is_cut: false,
                        });
                    }
                    map.insert(key, value);
                }
            }
        }
    }

    /// After `#`: a set, a discarded form was skipped before, anything else is a tag.
    fn tagged(&mut self, depth: usize) -> Result<Value, FormError> {
        self.at += 1;
        match self.peek() {
            None => Err(self.cut()),
            Some(b'{') => self.sequence(b'}', depth),
            Some(b'"') => self.string(),
            Some(_) => {
                let tag = self.token().to_owned();
                match tag.as_str() {
                    "" => Err(self.wrong("this is no tag")),
                    "#Inf" | "#-Inf" | "#NaN" => Ok(Value::String(tag)),
                    class if class.contains('.') => self.form(depth + 1),
                    _ => {
                        let tagged = self.form(depth + 1)?;
                        Ok(Value::Object(Map::from_iter([(format!("#{tag}"), tagged)])))
                    }
                }
            }
        }
    }

    fn string(&mut self) -> Result<Value, FormError> {
        let start = self.at;
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let Some(stop) = rest.find(['"', '\\']) else {
                return Err(self.cut());
            };
            out.push_str(&rest[..stop]);
            self.at += stop + 1;
            if rest.as_bytes()[stop] == b'"' {
                return Ok(Value::String(out));
            }
            let Some(escaped) = self.text[self.at..].chars().next() else {
                return Err(self.cut());
            };
            self.at += escaped.len_utf8();
            out.push(match escaped {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                'b' => '\u{8}',
                'f' => '\u{c}',
                '"' | '\\' | '/' => escaped,
                'u' => {
                    let Some(digits) = self.text.get(self.at..self.at + 4) else {
                        return Err(if self.text.len() < self.at + 4 {
                            self.cut()
                        } else {
                            self.wrong("\\u takes four digits")
                        });
                    };
                    let code = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32);
                    self.at += 4;
                    code.ok_or_else(|| self.wrong("\\u takes the four digits of a character"))?
                }
                _ => {
                    return Err(FormError {
                        offset: start,
                        problem: format!("\\{escaped} means nothing in a string"),
                        is_cut: false,
                    });
                }
            });
        }
    }

    fn character(&mut self) -> Result<Value, FormError> {
        self.at += 1;
        let Some(first) = self.text[self.at..].chars().next() else {
            return Err(self.cut());
        };
        let start = self.at;
        self.at += first.len_utf8();
        self.token();
        let name = &self.text[start..self.at];
        Ok(Value::String(match name {
            "newline" => "\n".to_owned(),
            "space" => " ".to_owned(),
            "tab" => "\t".to_owned(),
            "return" => "\r".to_owned(),
            _ => name.to_owned(),
        }))
    }

    /// Takes everything up to a delimiter.
    fn token(&mut self) -> &str {
        let rest = &self.text[self.at..];
        let length = rest.find(|char| !is_symbolic(char)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn atom(&mut self) -> Result<Value, FormError> {
        let start = self.at;
        let token = self.token().to_owned();
        // The end of the text may have cut the token short.
        let is_cut = self.at == self.text.len();
        match token.as_str() {
            "" => Err(self.wrong("this is no form")),
            _ => {
                finish_atom(&token).map_err(|problem| FormError { offset: start, problem, is_cut })
            }
        }
    }
}

fn finish_atom(token: &str) -> Result<Value, String> {
    Ok(match token {
        "nil" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ if token.starts_with(':') => Value::String(token.trim_start_matches(':').to_owned()),
        _ if token
            .trim_start_matches(['+', '-'])
            .starts_with(|char: char| char.is_ascii_digit()) =>
        {
            number(token)?
        }
        _ => Value::String(token.to_owned()),
    })
}

/// Integers of 64 bits stay integers; longer ones and ratios stay exact, as strings of which there
/// is one for each number: `99999999999999999999N`, `1/2`.
fn number(token: &str) -> Result<Value, String> {
    let plain = token.strip_suffix(['N', 'M']).unwrap_or(token);
    let plain = plain.strip_prefix('+').unwrap_or(plain);
    if let Ok(number) = plain.parse::<i64>() {
        return Ok(Value::Number(number.into()));
    }
    if let Ok(number) = plain.parse::<u64>() {
        return Ok(Value::Number(number.into()));
    }
    let (sign, digits) = match plain.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", plain),
    };
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Value::String(format!("{sign}{}N", digits.trim_start_matches('0'))));
    }
    if let Some((numerator, denominator)) = plain.split_once('/') {
        return ratio(numerator, denominator)
            .ok_or_else(|| format!("`{token}` is no ratio of integers of at most 64 bits"));
    }
    let float = plain.parse::<f64>().ok().and_then(Number::from_f64);
    float.map(Value::Number).ok_or_else(|| format!("`{token}` is no number"))
}

/// Reduces a ratio.
fn ratio(numerator: &str, denominator: &str) -> Option<Value> {
    let (numerator, denominator) =
        (numerator.parse::<i64>().ok()?, denominator.parse::<u64>().ok().filter(|it| *it > 0)?);
    let (mut divisor, mut rest) = (denominator, numerator.unsigned_abs());
    while rest > 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    let (numerator, denominator) =
        (i128::from(numerator) / i128::from(divisor), denominator / divisor);
    Some(match (denominator, i64::try_from(numerator)) {
        (1, Ok(whole)) => Value::Number(whole.into()),
        _ => Value::String(format!("{numerator}/{denominator}")),
    })
}
