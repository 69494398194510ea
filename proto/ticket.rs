//! The metadata that puts a request into a session (`session.proto`).

use std::fmt;
use std::str::FromStr;

/// Which request of which session: `<session>/<sequence>[/<first unanswered>]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// The session; never 0.
    pub session: u64,
    /// The request's number in it, from 1.
    pub sequence: u64,
    /// The client has the answers to all lower numbers; from 1 to `sequence`.
    pub first_unanswered: u64,
}

/// The text is no ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedTicket;

impl fmt::Display for MalformedTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "not <session>/<sequence>[/<first unanswered>] with numbers from 1, the last no greater \
             than the second",
        )
    }
}

impl std::error::Error for MalformedTicket {}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.session, self.sequence, self.first_unanswered)
    }
}

impl FromStr for Ticket {
    type Err = MalformedTicket;

    fn from_str(text: &str) -> Result<Self, MalformedTicket> {
        let mut parts = text.split('/').map(number);
        let mut next = || parts.next().transpose();
        let session = next()?.ok_or(MalformedTicket)?;
        let sequence = next()?.ok_or(MalformedTicket)?;
        let first_unanswered = next()?.unwrap_or(1);
        match parts.next() {
            None if first_unanswered <= sequence => {
                Ok(Self { session, sequence, first_unanswered })
            }
            _ => Err(MalformedTicket),
        }
    }
}

/// Reads a number from 1, digits only: the standard parser takes a plus sign as well.
fn number(text: &str) -> Result<u64, MalformedTicket> {
    let number = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok());
    number.flatten().filter(|number| *number > 0).ok_or(MalformedTicket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_are_read_as_they_are_written_and_nothing_else_is() {
        for (text, expected) in [
            ("1/2", Some((1, 2, 1))),
            ("1/2/2", Some((1, 2, 2))),
            ("18446744073709551615/7/3", Some((u64::MAX, 7, 3))),
            ("", None),
            ("1", None),
            ("1/", None),
            ("/1", None),
            ("1/2/", None),
            ("1/2/3", None),
            ("1/2/1/1", None),
            ("0/2", None),
            ("1/0", None),
            ("1/2/0", None),
            ("+1/2", None),
            ("-1/2", None),
            (" 1/2", None),
            ("1/18446744073709551616", None),
        ] {
            let ticket: Result<Ticket, _> = text.parse();
            let found = ticket.map(|t| (t.session, t.sequence, t.first_unanswered));
            assert_eq!(found.ok(), expected, "{text:?}");
            if let Ok(ticket) = ticket {
                assert_eq!(ticket.to_string().parse(), Ok(ticket));
            }
        }
    }
}
