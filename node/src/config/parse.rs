//! From text to values: YAML with places, durations, addresses of peers.

use std::fmt;
use std::time::Duration;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};

/// Where in a file something is wrong, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    line: u64,
    column: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// What the YAML parser found wrong, on one line.
#[derive(Debug)]
pub struct SyntaxError(Box<serde_saphyr::Error>);

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.without_snippet().to_string();
        // The place goes before the message, as compilers do it.
        let text = text.split(" at line ").next().unwrap_or_default();
        for (place, line) in text.lines().enumerate() {
            write!(f, "{}{}", if place > 0 { " " } else { "" }, line.trim())?;
        }
        Ok(())
    }
}

impl std::error::Error for SyntaxError {}

/// Parses a YAML document.
pub(crate) fn yaml<T: DeserializeOwned>(text: &str) -> Result<T, (Place, SyntaxError)> {
    serde_saphyr::from_str(text).map_err(|error| {
        let place = error.location().map_or(Place { line: 1, column: 1 }, |at| Place {
            line: at.line(),
            column: at.column(),
        });
        (place, SyntaxError(Box::new(error)))
    })
}

/// Reads a duration as people write it: `50ms`, `1s`, `1m 30s`.
pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map_err(|_| {
        D::Error::custom(format_args!("`{text}` is no duration; write `50ms` or `1s`"))
    })
}

/// Reads a number of bytes as people write it: `65536`, `512KiB`, `64MiB`.
pub(super) fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let text = String::deserialize(deserializer)?;
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("", 1)];
    let parsed = units.into_iter().find_map(|(unit, size)| {
        let number: usize = text.strip_suffix(unit)?.trim_end().parse().ok()?;
        number.checked_mul(size)
    });
    parsed.ok_or_else(|| {
        D::Error::custom(format_args!("`{text}` is no number of bytes; write `65536` or `64MiB`"))
    })
}

/// By how much clocks may differ in speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drift {
    thousandths: u32,
}

impl Drift {
    /// Makes a drift of so many thousandths.
    #[must_use]
    pub const fn of_thousandths(thousandths: u32) -> Self {
        Self { thousandths }
    }

    /// Returns how many thousandths it is.
    #[must_use]
    pub const fn thousandths(self) -> u32 {
        self.thousandths
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.thousandths / 10, self.thousandths % 10) {
            (percent, 0) => write!(f, "{percent}%"),
            (percent, tenth) => write!(f, "{percent}.{tenth}%"),
        }
    }
}

impl<'de> Deserialize<'de> for Drift {
    /// Reads `5%` or `0.5%`.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let parse = |text: &str| {
            let percent = text.strip_suffix('%')?;
            let (whole, tenth) = percent.split_once('.').unwrap_or((percent, "0"));
            let is_tenth = tenth.len() == 1;
            let whole: u32 = whole.parse().ok()?;
            let tenth: u32 = tenth.parse().ok().filter(|_| is_tenth)?;
            whole.checked_mul(10)?.checked_add(tenth).map(Self::of_thousandths)
        };
        parse(&text).ok_or_else(|| {
            D::Error::custom(format_args!("`{text}` is no drift; write `5%` or `0.5%`"))
        })
    }
}

/// Where a peer is dialled: a host, by name or number, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAddress(String);

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for PeerAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom(format_args!("`{text}` is no address; write `host:port`"))
        })
    }
}

impl PeerAddress {
    /// Returns the address if it has the form `host:port` with a port that can be dialled.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let is_port = port.parse::<u16>().is_ok_and(|port| port != 0);
        let is_name = !host.is_empty()
            && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
        let is_ipv6 = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok());
        (is_port && (is_name || is_ipv6)).then(|| Self(text.to_owned()))
    }
}
