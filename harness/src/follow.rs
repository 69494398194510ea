//! Following a history that is still being written, and judging it as it grows.
//!
//! The file may not be there yet, and its last line may be torn: both are waited for. What is read is
//! fed to a [`Stream`] and forgotten; whoever wants a witness judges the file up to
//! [`Follower::bytes`], where an alarm ends it, by the model that [`Follower::model`] names.
//!
//! Where nobody says which model it is, what was read so far tells it, and more may tell another: so
//! nothing is judged on by a model that is no longer the one told. Then the file is read again from its
//! beginning, which is all that a change of mind costs; only the signs of models are kept.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use checker::check::Options;
use checker::history::{Format, Recorded, read_bytes};
use checker::model::{ModelName, Signs};
use checker::stream::{Alarm, GivenUp, Limits, Stream, Undecided};

/// How much is read at once: what is known after it is told before more is read.
const CHUNK_BYTES: u64 = 1 << 18;

/// How many events may come without a model that fits them: whatever tells it would have come.
const GUESSING_MAX: usize = 1 << 16;

/// What a look at the file brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is more, and nothing wrong with it so far.
    More,
    /// There is nothing new.
    Nothing,
    /// The events so far have no order.
    Alarm(Alarm),
    /// Of one key nothing more can be said until the whole is judged; there may be others.
    GivenUp {
        /// The key.
        key: String,
        /// Why.
        why: String,
    },
    /// Nothing more can be said until the whole is judged, because …
    Blind(String),
}

/// A growing history, in JSON Lines.
pub struct Follower {
    path: PathBuf,
    options: Options,
    stream: Option<Stream>,
    /// The model of the stream, or of the last one that there was.
    model: Option<ModelName>,
    /// What all that was ever read tells of the model.
    signs: Signs,
    /// A model that the signs tell and that can make nothing of what was read.
    unfit: Option<ModelName>,
    /// Since which event there has been no stream, if there is none.
    idle_since: usize,
    /// How many partitions that were given up have been told of.
    given_up: usize,
    /// Where the first line begins that was not read.
    bytes: u64,
    lines: usize,
    events: usize,
    blind: Option<String>,
}

impl Follower {
    /// Follows a file. Without a model in the options it is told from the events.
    #[must_use]
    pub fn new(path: PathBuf, options: Options) -> Self {
        Self {
            path,
            options,
            stream: None,
            model: None,
            signs: Signs::default(),
            unfit: None,
            idle_since: 0,
            given_up: 0,
            bytes: 0,
            lines: 0,
            events: 0,
            blind: None,
        }
    }

    /// Returns where the first line begins that was not read.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns how many events were read.
    #[must_use]
    pub fn events(&self) -> usize {
        self.events
    }

    /// Returns the model by which the history is judged, once there is one.
    #[must_use]
    pub fn model(&self) -> Option<ModelName> {
        self.model
    }

    /// Returns how many operations are held because nobody knows yet what to make of them.
    pub fn operations_held(&mut self) -> usize {
        self.stream.as_mut().map_or(0, |stream| stream.held().operations)
    }

    /// Reads some of what is new.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn step(&mut self) -> io::Result<Step> {
        if let Some(why) = &self.blind {
            return Ok(Step::Blind(why.clone()));
        }
        if let Some(step) = self.next_given_up() {
            return Ok(step);
        }
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Step::Nothing),
            Err(error) => return Err(error),
        };
        if file.metadata()?.len() < self.bytes {
            return Ok(self.go_blind("the file has become shorter"));
        }
        file.seek(SeekFrom::Start(self.bytes))?;
        let Some(lines) = read_lines(&mut file)? else { return Ok(Step::Nothing) };
        self.take(&lines)
    }

    fn take(&mut self, content: &[u8]) -> io::Result<Step> {
        let name = self.path.display().to_string();
        let mut recording = match read_bytes(&name, content, Some(Format::Jsonl)) {
            Ok(recording) => recording,
            Err(_) => {
                let from = self.lines + 1;
                return Ok(
                    self.go_blind(&format!("after line {from} there is one that is no event"))
                );
            }
        };
        for recorded in &mut recording.events {
            recorded.line += self.lines;
            self.signs.note(&recorded.event);
        }
        // Another model may know what this one does not, or judge it otherwise.
        let is_guessed = self.options.model.is_none();
        if is_guessed && self.stream.is_some() && self.told() != self.model {
            return self.stop(None);
        }
        let is_first = self.bytes == 0;
        self.bytes += content.len() as u64;
        self.lines += content.iter().filter(|byte| **byte == b'\n').count();
        self.events += recording.events.len();
        if self.stream.is_none() {
            if !self.begin()? {
                return Ok(self.wait_for_model());
            }
            if !is_first {
                self.read_again();
                return Ok(Step::More);
            }
        }
        let Some(stream) = &mut self.stream else { return Ok(Step::More) };
        let events = &recording.events;
        let alarm = events.iter().find_map(|event| stream.push(event)).or_else(|| stream.settle());
        let broken = stream.broken().cloned();
        match (alarm, broken) {
            (Some(alarm), _) => {
                self.give_back(content, events, alarm.events);
                Ok(Step::Alarm(alarm))
            }
            (None, None) => Ok(Step::More),
            // What is yet to come may tell another.
            (None, Some(Undecided::Unreadable { .. })) if is_guessed => self.stop(self.model),
            (None, Some(why)) => Ok(self.go_blind(&describe(&why))),
        }
    }

    /// Takes for unread what comes after so many events, of which the latest lines hold those given.
    fn give_back(&mut self, lines: &[u8], latest: &[Recorded], events: usize) {
        let Some(next) = latest.get(latest.len() - (self.events - events)) else { return };
        let given_back = self.lines - (next.line - 1);
        let lines = lines.split_inclusive(|byte| *byte == b'\n').rev().take(given_back);
        self.bytes -= lines.map(<[u8]>::len).sum::<usize>() as u64;
        self.lines -= given_back;
        self.events = events;
    }

    /// Returns the model that is told by all that was read; none if it may yet be any of several.
    fn told(&self) -> Option<ModelName> {
        let told = self.signs.guess().ok().filter(|_| !self.signs.is_only_reads());
        told.map(|told| told.model)
    }

    /// Begins a stream, if a model is known that there was none for yet.
    fn begin(&mut self) -> io::Result<bool> {
        let told = self.options.model.or_else(|| self.told());
        let Some(model) = told.filter(|model| Some(*model) != self.unfit) else {
            return Ok(false);
        };
        let limits = Limits {
            memory: self.options.memory_limit,
            piece_time: self.options.time_limit.min(Limits::default().piece_time),
            ..Limits::default()
        };
        match Stream::new(model, self.options.clone(), limits) {
            Ok(stream) => {
                (self.stream, self.model) = (Some(stream), Some(model));
                Ok(true)
            }
            Err(error) if self.options.model.is_some() => Err(io::Error::other(error.to_string())),
            // The initial value is meant for another one.
            Err(_) => {
                self.unfit = Some(model);
                Ok(false)
            }
        }
    }

    /// Ends the stream, whose model is not the right one; begins another if one is told.
    fn stop(&mut self, unfit: Option<ModelName>) -> io::Result<Step> {
        (self.stream, self.unfit) = (None, unfit);
        self.idle_since = self.events;
        if self.begin()? {
            self.read_again();
            return Ok(Step::More);
        }
        Ok(self.wait_for_model())
    }

    /// What to say while there is no model.
    fn wait_for_model(&mut self) -> Step {
        if self.events >= self.idle_since + GUESSING_MAX {
            return self.go_blind("no model fits its functions; name one with --model");
        }
        Step::More
    }

    fn read_again(&mut self) {
        (self.bytes, self.lines, self.events) = (0, 0, 0);
        (self.idle_since, self.given_up) = (0, 0);
    }

    /// Tells of a partition that the stream has given up, each once.
    fn next_given_up(&mut self) -> Option<Step> {
        let stream = self.stream.as_ref()?;
        let GivenUp { key, why } = stream.given_up().get(self.given_up)?;
        let why = describe(why);
        self.given_up += 1;
        match key.clone() {
            Some(key) => Some(Step::GivenUp { key, why }),
            // There is but one partition.
            None => Some(self.go_blind(&why)),
        }
    }

    fn go_blind(&mut self, why: &str) -> Step {
        self.stream = None;
        self.blind = Some(why.to_owned());
        Step::Blind(why.to_owned())
    }
}

/// Reads whole lines, about a chunk of them; none if no line is whole.
fn read_lines(file: &mut File) -> io::Result<Option<Vec<u8>>> {
    let mut content = Vec::new();
    loop {
        let read = file.take(CHUNK_BYTES).read_to_end(&mut content)?;
        if let Some(end) = content.iter().rposition(|byte| *byte == b'\n') {
            content.truncate(end + 1);
            return Ok(Some(content));
        }
        if read == 0 {
            return Ok(None);
        }
    }
}

fn describe(why: &Undecided) -> String {
    match why {
        Undecided::Times { line } => {
            format!("the event of line {line} is not in the order of the times, or has none")
        }
        Undecided::Malformed { line } => {
            format!("the event of line {line} does not go with those before it")
        }
        Undecided::Unreadable { line } => {
            format!("the model can make nothing of line {line}")
        }
        Undecided::Unknowns | Undecided::Waited => {
            "too many of its operations are open, or ended unknown".to_owned()
        }
        Undecided::Time | Undecided::Memory | Undecided::NothingAnswered => {
            "it takes too much time or memory".to_owned()
        }
    }
}

#[cfg(test)]
mod tests;
