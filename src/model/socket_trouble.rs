//! Trouble with a listening socket of ours.

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketTrouble {
    /// Connections can't be accepted; it is tried on.
    Accept(String),
    /// A user has more connections than one may have; further ones are closed.
    Crowded { uid: u32 },
    /// This many connections were still busy when the time for a stop was over.
    CutOff(usize),
}
