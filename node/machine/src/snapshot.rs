//! The whole state of a machine as bytes, and back.
//!
//! A snapshot stands for the log up to a place: it must give exactly the state that the log gives.
//! The same state gives the same bytes on every node. Which place it stands for, and where the bytes
//! are kept, is its owner's business.
//!
//! The bytes are the word `SPMS`, the format's version, the state in postcard's encoding, and a
//! CRC-32C of all that. Damage is thus an error and not another state; the checksum is looked at
//! first, and what is decoded can claim no more memory than its own length covers.

use crate::Machine;
use crate::session::Sessions;

#[cfg(test)]
mod tests;

/// Begins every snapshot.
const MAGIC: [u8; 4] = *b"SPMS";
/// The format. Any change of what is kept, or of the order in which it is, makes another.
const VERSION: u16 = 1;
const HEADER_LENGTH: usize = MAGIC.len() + size_of::<u16>();
const CHECKSUM_LENGTH: usize = size_of::<u32>();

/// Bytes that give no state.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// They are no snapshot, or not a whole one, or not as they were written.
    #[error("failed to restore a snapshot: it is damaged")]
    Damaged,
    /// They were written by another version of this program.
    #[error("failed to restore a snapshot of format {found}; this version knows {VERSION}")]
    Version {
        /// The format's version.
        found: u16,
    },
    /// They are as they were written, but make no sense: whoever wrote them was wrong.
    #[error("failed to make sense of a snapshot")]
    Nonsense(#[from] postcard::Error),
    /// They make a state that no log leads to.
    #[error("failed to restore a snapshot: it breaks the machine's own invariants")]
    Unsound,
}

impl Sessions<Machine> {
    /// Returns the whole state as bytes, the same ones for the same state.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        let mut bytes = Vec::from(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        let mut bytes = postcard::to_extend(self, bytes).expect(
            "a state has no part of unknown length, and a vector takes all that is written",
        );
        bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
        bytes
    }

    /// Returns the state that was saved.
    pub fn restore(bytes: &[u8]) -> Result<Self, RestoreError> {
        let (content, checksum) = bytes
            .split_last_chunk::<CHECKSUM_LENGTH>()
            .filter(|(content, _)| content.len() >= HEADER_LENGTH && content.starts_with(&MAGIC))
            .ok_or(RestoreError::Damaged)?;
        if crc32c::crc32c(content) != u32::from_le_bytes(*checksum) {
            return Err(RestoreError::Damaged);
        }
        let found = u16::from_le_bytes([content[MAGIC.len()], content[MAGIC.len() + 1]]);
        if found != VERSION {
            return Err(RestoreError::Version { found });
        }
        let (state, rest) = postcard::take_from_bytes::<Self>(&content[HEADER_LENGTH..])?;
        if !rest.is_empty() || !state.inner().ledger.is_sound() {
            return Err(RestoreError::Unsound);
        }
        Ok(state)
    }
}
