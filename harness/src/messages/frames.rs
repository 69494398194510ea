//! Where the messages of a stream begin and end.
//!
//! A message is a byte of flags, four bytes of length and so many bytes (gRPC over HTTP/2,
//! "Length-Prefixed-Message"). HTTP/2 cuts them into frames as it likes.

use bytes::{Bytes, BytesMut};

/// Flags and length.
const PREFIX: usize = 5;

/// The longest message that is put together: far above what gRPC takes without being told to.
const MESSAGE_MAX: usize = 256 * 1024 * 1024;

/// Bytes that are no message: longer than anybody sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message of {length} bytes is longer than any that is sent")]
pub(super) struct TooLong {
    length: usize,
}

/// The bytes of a stream that were not taken yet.
#[derive(Debug, Default)]
pub(super) struct Frames {
    bytes: BytesMut,
}

/// A whole message, with its prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message(Bytes);

impl Message {
    /// Returns the message without its prefix; none if it is compressed.
    pub(super) fn content(&self) -> Option<&[u8]> {
        (self.0[0] == 0).then_some(&self.0[PREFIX..])
    }

    pub(super) fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl Frames {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes the next message, if all of it is there.
    pub(super) fn next(&mut self) -> Result<Option<Message>, TooLong> {
        let end = self.end_of_message_at(0)?;
        Ok(end.map(|end| Message(self.bytes.split_to(end).freeze())))
    }

    /// Takes all the messages that are there, as one piece.
    pub(super) fn all(&mut self) -> Result<Option<Bytes>, TooLong> {
        let mut all = 0;
        while let Some(end) = self.end_of_message_at(all)? {
            all = end;
        }
        Ok((all > 0).then(|| self.bytes.split_to(all).freeze()))
    }

    /// Takes what is left when the stream ends: nothing, unless a message was broken off.
    pub(super) fn rest(&mut self) -> Bytes {
        self.bytes.split().freeze()
    }

    fn end_of_message_at(&self, start: usize) -> Result<Option<usize>, TooLong> {
        let Some(prefix) = self.bytes.get(start..start + PREFIX) else { return Ok(None) };
        let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
        if length > MESSAGE_MAX {
            return Err(TooLong { length });
        }
        let end = start + PREFIX + length;
        Ok((end <= self.bytes.len()).then_some(end))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in super::super) fn message(content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&[0][..], &length, content].concat()
    }

    proptest! {
        #[test]
        fn messages_are_found_however_they_are_cut(
            contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..10),
            cut in 1_usize..9,
        ) {
            let bytes: Vec<u8> = contents.iter().flat_map(|content| message(content)).collect();
            let (mut single, mut whole) = (Frames::default(), Frames::default());
            let (mut found, mut passed) = (Vec::new(), Vec::new());
            for piece in bytes.chunks(cut) {
                single.push(piece);
                while let Some(message) = single.next().unwrap() {
                    found.push(message.content().unwrap().to_vec());
                }
                whole.push(piece);
                passed.extend(whole.all().unwrap().into_iter().flatten());
            }
            prop_assert_eq!(found, contents);
            prop_assert_eq!(passed, bytes);
            prop_assert!(single.rest().is_empty() && whole.rest().is_empty());
        }
    }

    #[test]
    fn what_is_no_message_is_refused_or_left_over() {
        let mut frames = Frames::default();
        frames.push(&[0, 255, 255, 255, 255, 1]);
        assert_eq!(frames.next(), Err(TooLong { length: 0xffff_ffff }));
        let mut frames = Frames::default();
        frames.push(&message(b"cut")[..6]);
        assert_eq!(frames.next(), Ok(None));
        assert_eq!(frames.rest().len(), 6);
        let mut frames = Frames::default();
        frames.push(&[1, 0, 0, 0, 1, 7]);
        assert_eq!(frames.next().unwrap().unwrap().content(), None, "it is compressed");
    }
}
