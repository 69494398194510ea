//! Following a history that is still being written, and judging it as it grows.
//!
//! The file may not be there yet, and its last line may be torn: both are waited for. What is read is
//! fed to a [`Stream`] and forgotten; whoever wants a witness judges the file up to
//! [`Follower::bytes`].

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use checker::check::Options;
use checker::history::{Format, Recorded, Recording, operations, read_bytes};
use checker::model::{ModelName, guess};
use checker::stream::{Alarm, Limits, Stream, Undecided};

/// How much is read at once: what is known after it is told before more is read.
const CHUNK_BYTES: u64 = 1 << 18;

/// How many events may come before there is a model that fits them.
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
    /// Nothing more can be said until the whole is judged, because …
    Blind(String),
}

/// A growing history, in JSON Lines.
pub struct Follower {
    path: PathBuf,
    options: Options,
    stream: Option<Stream>,
    /// Events for which there is no model yet.
    waiting: Vec<Recorded>,
    /// The model is not told from fewer events than these: from fewer, a wrong one was.
    guess_from: usize,
    /// The model that the stream began with, if it was told from the events.
    guessed: Option<ModelName>,
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
            waiting: Vec::new(),
            guess_from: 1,
            guessed: None,
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

    /// Returns how many operations are held because nobody knows yet what to make of them.
    pub fn operations_held(&mut self) -> usize {
        self.stream.as_mut().map_or(self.waiting.len(), |stream| stream.held().operations)
    }

    /// Reads some of what is new.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn step(&mut self) -> io::Result<Step> {
        if let Some(why) = &self.blind {
            return Ok(Step::Blind(why.clone()));
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
        }
        self.bytes += content.len() as u64;
        self.lines += content.iter().filter(|byte| **byte == b'\n').count();
        self.events += recording.events.len();
        let events = match &self.stream {
            Some(_) => recording.events,
            None => {
                self.waiting.append(&mut recording.events);
                if !self.begin(recording)? {
                    return Ok(self.after_wait());
                }
                std::mem::take(&mut self.waiting)
            }
        };
        let Some(stream) = &mut self.stream else { return Ok(Step::More) };
        let alarm = events.iter().find_map(|event| stream.push(event)).or_else(|| stream.settle());
        if let Some(alarm) = alarm {
            return Ok(Step::Alarm(alarm));
        }
        let Some(why) = stream.broken().cloned() else { return Ok(Step::More) };
        match (why, self.guessed) {
            // Another model may know what this one does not.
            (Undecided::Unreadable { .. }, Some(_)) => {
                self.read_again();
                Ok(Step::More)
            }
            (why, _) => Ok(self.go_blind(&describe(&why))),
        }
    }

    /// Begins the stream, if a model is known for what waits.
    fn begin(&mut self, mut recording: Recording) -> io::Result<bool> {
        let model = match self.options.model {
            Some(model) => model,
            None if self.waiting.len() < self.guess_from => return Ok(false),
            None => {
                recording.events = std::mem::take(&mut self.waiting);
                let paired = operations(&recording);
                self.waiting = recording.events;
                let told = paired.ok().filter(|it| !it.list.is_empty());
                let Some(Ok(told)) = told.map(|it| guess(&it.list)) else { return Ok(false) };
                if self.guessed == Some(told.model) {
                    self.blind = Some("no model knows all of its functions".to_owned());
                    return Ok(false);
                }
                self.guessed = Some(told.model);
                told.model
            }
        };
        let limits = Limits {
            memory: self.options.memory_limit,
            piece_time: self.options.time_limit.min(Limits::default().piece_time),
            ..Limits::default()
        };
        let stream = Stream::new(model, self.options.clone(), limits);
        self.stream = Some(stream.map_err(|error| io::Error::other(error.to_string()))?);
        Ok(true)
    }

    /// What to say while there is no model.
    fn after_wait(&mut self) -> Step {
        if let Some(why) = &self.blind {
            return Step::Blind(why.clone());
        }
        if self.waiting.len() >= GUESSING_MAX.max(2 * self.guess_from) {
            return self.go_blind("no model fits its functions; name one with --model");
        }
        Step::More
    }

    /// Reads all of it again, to tell the model from all that is known by now.
    fn read_again(&mut self) {
        self.guess_from = self.events;
        self.stream = None;
        (self.bytes, self.lines, self.events) = (0, 0, 0);
    }

    fn go_blind(&mut self, why: &str) -> Step {
        self.stream = None;
        self.waiting = Vec::new();
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
        Undecided::Waited
        | Undecided::Unknowns
        | Undecided::Time
        | Undecided::Memory
        | Undecided::NothingAnswered => "it takes too much time or memory".to_owned(),
    }
}

#[cfg(test)]
mod tests;
