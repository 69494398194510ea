//! JSON Lines, one event a line: reader and writer.
//!
//! Lines are independent of each other, so that pieces of a file are read side by side; what is said
//! of them is what reading them one after the other would say.

mod line;

use std::io::{self, Write};
use std::num::NonZero;
use std::sync::mpsc::{channel, sync_channel};
use std::thread;

use self::line::{LineReader, Refused};
use super::{Event, ReadError, Recorded, Recording, Warning};

/// How much of a file is read as one piece: large enough that handing it over costs nothing, small
/// enough that what is under way is little beside what was read.
const PIECE_BYTES: usize = 1 << 18;

/// About as long as a short line is.
const LINE_BYTES: usize = 72;

/// The shortest event, that of a function without a name: what has more lines has empty ones.
const LINE_BYTES_MIN: usize = r#"{"process":0,"type":"ok","f":""}"#.len();

/// How many pieces one reader may be ahead of whoever puts them together.
const PIECES_AHEAD: usize = 4;

/// The most readers side by side: what is left to do one after the other keeps no more of them busy.
const READERS_MAX: usize = 8;

/// Writes an event as one line.
pub fn write_event(out: &mut impl Write, event: &Event) -> io::Result<()> {
    serde_json::to_writer(&mut *out, event)?;
    out.write_all(b"\n")
}

/// What a piece of a file holds; its lines are counted from the piece's own first. Its room goes back
/// to its reader: fresh memory would have to be cleared, which takes as long as the reading.
#[derive(Default)]
struct Piece {
    events: Vec<Recorded>,
    lines: usize,
    cut: Option<usize>,
    refused: Option<(usize, Refused)>,
}

pub(super) fn read_into(recording: &mut Recording, content: &[u8]) -> Result<(), ReadError> {
    // Growing step by step would copy the events, and have memory cleared for them, twice.
    let lines = memchr::memchr_iter(b'\n', content).count() + 1;
    recording.events.reserve(lines.min(content.len().div_ceil(LINE_BYTES_MIN)));
    let pieces = split(content);
    let count = thread::available_parallelism().map_or(1, NonZero::get);
    let count = count.min(READERS_MAX).min(pieces.len());
    let mut line = 0;
    if count < 2 {
        let mut reader = LineReader::default();
        let mut piece = Piece::default();
        return pieces.into_iter().try_for_each(|content| {
            read_piece(&mut reader, content, &mut piece);
            append(recording, &mut piece, &mut line)
        });
    }
    thread::scope(|scope| {
        // The readers take turns, so that the next piece in order is always the next one of the
        // next reader.
        let readers: Vec<_> = (0..count)
            .map(|turn| {
                let (ready, pieces_read) = sync_channel(PIECES_AHEAD);
                let (emptied, pieces_emptied) = channel::<Piece>();
                let pieces = pieces.iter().skip(turn).step_by(count);
                scope.spawn(move || {
                    let mut reader = LineReader::default();
                    // Nobody takes pieces behind one that was refused.
                    pieces
                        .map(|content| {
                            let mut piece = pieces_emptied.try_recv().unwrap_or_default();
                            read_piece(&mut reader, content, &mut piece);
                            piece
                        })
                        .try_for_each(|piece| ready.send(piece))
                });
                (pieces_read, emptied)
            })
            .collect();
        (0..pieces.len()).try_for_each(|index| {
            let (pieces_read, emptied) = &readers[index % count];
            let mut piece = pieces_read.recv().expect("a reader reads all its pieces");
            append(recording, &mut piece, &mut line)?;
            // A reader that has read its last piece wants no more room.
            drop(emptied.send(piece));
            Ok(())
        })
    })
}

/// Splits a content into pieces of whole lines.
fn split(mut content: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::with_capacity(1 + content.len() / PIECE_BYTES);
    while !content.is_empty() {
        let tail = content.get(PIECE_BYTES..).unwrap_or_default();
        let end = memchr::memchr(b'\n', tail).map_or(content.len(), |at| PIECE_BYTES + at + 1);
        let (piece, rest) = content.split_at(end);
        pieces.push(piece);
        content = rest;
    }
    pieces
}

/// Reads lines up to the first that is refused, into a piece that holds none yet.
fn read_piece(reader: &mut LineReader, content: &[u8], piece: &mut Piece) {
    piece.events.reserve(content.len() / LINE_BYTES);
    let ends = memchr::memchr_iter(b'\n', content).map(|at| at + 1);
    let mut start = 0;
    for end in ends.chain((!content.ends_with(b"\n")).then_some(content.len())) {
        let raw = &content[start..end];
        start = end;
        piece.lines += 1;
        let line = piece.lines;
        let indent = raw.len() - raw.trim_ascii_start().len();
        let text = raw.trim_ascii();
        if text.is_empty() {
            continue;
        }
        match reader.read(text) {
            Ok(event) => piece.events.push(Recorded { line, column: 1 + indent, event }),
            // The writer ends every line with a newline, so a broken last line without one is a
            // line that was being written when the run was killed.
            Err(Refused::Syntax { .. }) if !raw.ends_with(b"\n") => piece.cut = Some(line),
            Err(refused) => {
                piece.refused = Some((line, refused.shift(indent)));
                break;
            }
        }
    }
}

/// Appends a piece to what was read before it, counts its lines, and leaves only its room.
fn append(recording: &mut Recording, piece: &mut Piece, line: &mut usize) -> Result<(), ReadError> {
    let before = *line;
    *line += std::mem::take(&mut piece.lines);
    recording.events.extend(piece.events.drain(..).map(|mut recorded| {
        recorded.line += before;
        recorded
    }));
    recording.warnings.extend(piece.cut.take().map(|line| cut_off(before + line)));
    match piece.refused.take() {
        Some((line, refused)) => Err(refused.at(&recording.name, before + line)),
        None => Ok(()),
    }
}

/// The warning about a recording that ends in mid-line.
pub(super) fn cut_off(line: usize) -> Warning {
    Warning {
        line,
        message: "the recording is cut off in mid-line here, as if its run had been killed; \
                  it was judged up to the line before"
            .to_owned(),
    }
}
