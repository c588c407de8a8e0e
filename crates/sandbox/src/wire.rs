//! Messages between the caller, S and C: a length (u32, little endian), then JSON. Descriptors ride on
//! single bytes between them.
//!
//! Both ends are our own program, but C has the sandboxed process for a neighbour: lengths are bounded all the same.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::sandbox::{End, Exit, Process, Sandbox};
use crate::trouble::Trouble;

/// The most descriptors that the kernel passes in one message (SCM_MAX_FD is 253).
const MANY: usize = 250;
/// Secrets travel too; nothing of ours comes near.
const LONGEST: u32 = 256 << 20;

/// The caller to S, once, with stdin, stdout and stderr of the process.
#[derive(Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) sandbox: Sandbox,
}

/// The caller to S, later.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    End(End),
    Signal(i32),
    /// Another process in the same sandbox; its three descriptors follow.
    Start {
        number: u32,
        process: Box<Process>,
    },
    /// To another process.
    SignalOther {
        number: u32,
        signal: i32,
    },
}

/// S to the caller: any number of [`Answer::Other`], then one of the others.
#[derive(Serialize, Deserialize)]
pub(crate) enum Answer {
    /// The first process runs.
    Up,
    Other {
        number: u32,
        end: Result<End, Trouble>,
    },
    Ended(Exit),
    Failed(Trouble),
}

/// S to C, once: go on, with the trees that S opened for it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Go {
    /// The root's trees, then those of bind mounts, were opened by S and come in this many descriptors.
    pub(crate) trees: usize,
    /// Users other than the process's own are mapped.
    pub(crate) many_ids: bool,
    /// C watches memory and processes.
    pub(crate) watch: bool,
    /// C waits for [`Demand::NetworkIsUp`] before the process starts.
    pub(crate) await_network: bool,
}

/// S to C, later.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Demand {
    /// Kill everything, clean up, end.
    Stop,
    Signal(i32),
    Start {
        number: u32,
        process: Box<Process>,
    },
    SignalOther {
        number: u32,
        signal: i32,
    },
    NetworkIsUp,
}

/// C to S.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Word {
    Failed(Trouble),
    /// The process executes.
    Up,
    /// Another process ended, or could not be started.
    Other {
        number: u32,
        end: Result<End, Trouble>,
    },
    /// The process ended.
    Ended {
        end: End,
        peak_memory: u64,
    },
}

/// Sends a message.
///
/// # Errors
/// The socket's.
pub fn send(mut socket: &UnixStream, message: &impl Serialize) -> io::Result<()> {
    let json = serde_json::to_vec(message).map_err(io::Error::other)?;
    let length = u32::try_from(json.len()).ok().filter(|length| *length <= LONGEST);
    let length = length.ok_or_else(|| io::Error::other("the order is too long"))?;
    socket.write_all(&length.to_le_bytes())?;
    socket.write_all(&json)
}

/// Sends descriptors between messages.
///
/// # Errors
/// The socket's.
pub fn send_descriptors(socket: &UnixStream, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    for chunk in descriptors.chunks(MANY) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MANY))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(chunk));
        sendmsg(socket, &[IoSlice::new(b"d")], &mut ancillary, SendFlags::NOSIGNAL)?;
    }
    Ok(())
}

/// Receives the `count` descriptors of one [`send_descriptors`].
///
/// # Errors
/// The socket's; the end of the file where fewer come.
pub fn receive_descriptors(socket: &UnixStream, count: usize) -> io::Result<Vec<OwnedFd>> {
    let mut descriptors = Vec::with_capacity(count);
    while descriptors.len() < count {
        let before = descriptors.len();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MANY))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        recvmsg(socket.as_fd(), &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                descriptors.extend(received);
            }
        }
        if descriptors.len() == before {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(descriptors)
}

/// Receives a message; `None` when the other end is gone.
///
/// # Errors
/// The socket's; a message that is none, or is longer than any of ours.
pub fn receive<T: DeserializeOwned>(mut socket: &UnixStream) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    match socket.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if is_gone(&error) => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u32::from_le_bytes(length);
    if length > LONGEST {
        return Err(io::Error::other("a message is too long"));
    }
    let mut json = Vec::new();
    socket.take(u64::from(length)).read_to_end(&mut json)?;
    serde_json::from_slice(&json).map(Some).map_err(io::Error::other)
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_descriptors_arrive() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        let many = vec![file.as_fd(); 300];
        send_descriptors(&ours, &many).unwrap();
        send(&ours, &Demand::Signal(15)).unwrap();
        send(&ours, &Demand::Stop).unwrap();
        drop(ours);
        assert_eq!(receive_descriptors(&theirs, 300).unwrap().len(), 300);
        assert!(matches!(receive(&theirs).unwrap(), Some(Demand::Signal(15))));
        assert!(matches!(receive(&theirs).unwrap(), Some(Demand::Stop)));
        assert!(receive::<Demand>(&theirs).unwrap().is_none());
    }

    #[test]
    fn a_length_is_not_believed() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        ours.write_all(&u32::MAX.to_le_bytes()).unwrap();
        assert!(receive::<Demand>(&theirs).is_err());
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        ours.write_all(&1000_u32.to_le_bytes()).unwrap();
        drop(ours);
        assert!(receive::<Demand>(&theirs).is_err(), "a message cut short");
    }
}
