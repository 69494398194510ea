//! The node: the consensus core and the state machines, with sockets and a disk.

#![allow(dead_code)]

pub(crate) mod storage;
