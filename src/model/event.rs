//! Something that happened, worth telling an operator.

use std::fmt;

use super::TunnelName;

/// What sort of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    /// The daemon is ready.
    Start,
    /// The daemon ends; the tunnels stay.
    Stop,
    /// A changed declaration is in force, or was refused.
    Reload,
    /// Made as declared for the first time, or after the declaration changed.
    Apply,
    /// Put right after somebody changed it.
    Repair,
    /// Found as declared, and claimed.
    Adopt,
    /// It cannot be as declared, or can be again.
    Refuse,
    /// It waits for something on this host, or waits no longer.
    Hold,
    /// A change failed.
    Fail,
    /// It was changed so often that its repairs wait.
    Damp,
    /// Events of the kernel were lost, and everything was read anew.
    Resync,
    /// All of ours was taken away.
    Flush,
    /// A tunnel was moved to another endpoint, or is moved by hand only from now on, or no longer.
    Move,
    /// The other end of a tunnel answers through it, or does not.
    Live,
    /// A session began or ended, or something was written into the inventory or could not be.
    Session,
}

impl EventKind {
    /// Every kind, each one once.
    pub const ALL: [Self; 15] = [
        Self::Start,
        Self::Stop,
        Self::Reload,
        Self::Apply,
        Self::Repair,
        Self::Adopt,
        Self::Refuse,
        Self::Hold,
        Self::Fail,
        Self::Damp,
        Self::Resync,
        Self::Flush,
        Self::Move,
        Self::Live,
        Self::Session,
    ];

    /// The word that the store and the API have for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Reload => "reload",
            Self::Apply => "apply",
            Self::Repair => "repair",
            Self::Adopt => "adopt",
            Self::Refuse => "refuse",
            Self::Hold => "hold",
            Self::Fail => "fail",
            Self::Damp => "damp",
            Self::Resync => "resync",
            Self::Flush => "flush",
            Self::Move => "move",
            Self::Live => "live",
            Self::Session => "session",
        }
    }

    /// The kind of that [`name`](Self::name); `None` for a word that is none.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub at_ms: u64,
    pub kind: EventKind,
    /// `None`: it was about greyhound as a whole.
    pub tunnel: Option<TunnelName>,
    /// One sentence: what was done, and why.
    pub text: String,
}
