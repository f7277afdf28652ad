//! What can go wrong, and what an errno of the kernel means, in sentences.

use std::io;

use netlink_packet_core::DecodeError;
use nix::errno::Errno;
use thiserror::Error;

/// Why the kernel could not be read, or why a batch has no answer.
/// After any of these the caller knows nothing of what was under way: it observes again.
#[derive(Debug, Error)]
pub enum Error {
    #[error("cannot open a netlink socket")]
    Open(#[source] io::Error),
    #[error("cannot send the {request} to the kernel")]
    Send { request: &'static str, source: io::Error },
    #[error("cannot receive the answer to the {request}")]
    Receive { request: &'static str, source: io::Error },
    #[error("the kernel has not answered the {request} within {seconds} s")]
    Deadline { request: &'static str, seconds: u64 },
    /// `ENOBUFS` on receive: the socket's buffer was full, and answers are lost.
    #[error("answers to the {request} were lost: the receive buffer overran")]
    Overrun { request: &'static str },
    /// `NLM_F_DUMP_INTR` on every try: what was dumped kept changing.
    #[error("the {request} was interrupted by changes {tries} times: try again when it is quieter")]
    Interrupted { request: &'static str, tries: u32 },
    #[error("an answer to the {request} cannot be decoded: {reason}")]
    Decode { request: &'static str, reason: String },
    #[error("the kernel refuses the {request}: {refusal}")]
    Refused { request: &'static str, refusal: Refusal },
}

impl Error {
    /// With what is behind it.
    pub fn in_full(&self) -> String {
        let mut text = self.to_string();
        let mut behind = std::error::Error::source(self);
        while let Some(source) = behind {
            text = format!("{text}: {source}");
            behind = source.source();
        }
        text
    }

    /// One word for it, for who counts: the kernel's errno where there is one.
    pub fn word(&self) -> String {
        let word = match self {
            Self::Open(_) => "open",
            Self::Send { .. } => "send",
            Self::Receive { .. } => "receive",
            Self::Deadline { .. } => "deadline",
            Self::Overrun { .. } => "overrun",
            Self::Interrupted { .. } => "interrupted",
            Self::Decode { .. } => "decode",
            Self::Refused { refusal, .. } => return errno_name(refusal.errno),
        };
        word.to_owned()
    }

    pub(super) fn decode(request: &'static str) -> impl Fn(DecodeError) -> Self {
        move |error| Self::Decode { request, reason: error.to_string() }
    }
}

/// The kernel's no: an errno and, where it gives one, its own words (`NLMSGERR_ATTR_MSG`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Positive.
    pub errno: i32,
    pub message: Option<String>,
}

impl Refusal {
    pub(super) fn is(&self, errno: Errno) -> bool {
        self.errno == errno as i32
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let errno = Errno::from_raw(self.errno);
        match &self.message {
            Some(message) => write!(f, "the kernel says: {message} ({errno:?})"),
            None => write!(f, "{} ({errno:?})", errno.desc()),
        }
    }
}

/// As errno(3) calls it.
fn errno_name(errno: i32) -> String {
    format!("{:?}", Errno::from_raw(errno))
}

/// Why one step was not done. Other steps are not held up by it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{object}: {sentence}")]
pub struct StepError {
    /// The link, address, route or rule, in iproute2's words.
    pub object: String,
    /// The kernel's errno, where there was one; positive.
    pub errno: Option<i32>,
    pub sentence: String,
}

impl StepError {
    /// One word for it, for who counts: the kernel's errno, or `other` where greyhound itself found what is in the way.
    pub fn word(&self) -> String {
        self.errno.map_or_else(|| "other".to_owned(), errno_name)
    }

    pub(super) fn new(object: &str, sentence: impl Into<String>) -> Self {
        Self { object: object.to_owned(), errno: None, sentence: sentence.into() }
    }

    /// The kernel's refusal, with what this errno means to this operation.
    pub(super) fn refused(object: &str, operation: Operation, refusal: &Refusal) -> Self {
        let sentence = match operation.meaning(Errno::from_raw(refusal.errno)) {
            Some(meaning) => format!("{meaning}: {refusal}"),
            None => refusal.to_string(),
        };
        Self { object: object.to_owned(), errno: Some(refusal.errno), sentence }
    }

    /// The batch broke off with this step in it: it may be done, or not.
    pub(super) fn unknown(object: &str, error: &Error) -> Self {
        Self::new(object, format!("it is not known whether this was done: {}", error.in_full()))
    }

    /// The batch broke off before this step.
    pub(super) fn untried(object: &str, error: &Error) -> Self {
        Self::new(object, format!("not tried, because an earlier step has no answer: {}", error.in_full()))
    }
}

/// What was asked of the kernel; decides what an errno means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    CreateLink,
    ChangeLink,
    DeleteLink,
    AddAddress,
    DeleteAddress,
    AddRoute,
    DeleteRoute,
    AddRule,
    DeleteRule,
}

impl Operation {
    fn meaning(self, errno: Errno) -> Option<&'static str> {
        use Operation::{AddAddress, AddRoute, ChangeLink, CreateLink, DeleteLink};
        match (self, errno) {
            (_, Errno::EPERM) => Some("CAP_NET_ADMIN is missing"),
            (CreateLink, Errno::EOPNOTSUPP) => Some("this kernel has no GRE (module ip_gre)"),
            (CreateLink | ChangeLink, Errno::EINVAL) => {
                Some("the kernel does not take these values together")
            }
            (ChangeLink, Errno::EOPNOTSUPP) => Some("the link is not a GRE link any more"),
            (ChangeLink, Errno::EEXIST) => Some("the new name or the new tuple is taken"),
            (ChangeLink, Errno::EBUSY) => Some("a link that is up cannot be renamed on this kernel"),
            (ChangeLink | AddAddress | AddRoute, Errno::ENODEV) => Some("the link has gone meanwhile"),
            (DeleteLink, Errno::EOPNOTSUPP) => Some("links of this kind cannot be deleted"),
            (AddRoute, Errno::ENETDOWN) => Some("the link is down"),
            (AddRoute, Errno::ENETUNREACH) => Some("the gateway cannot be reached by this link"),
            (AddRoute, Errno::EINVAL) => Some("the preferred source is not an address of this host, or so"),
            (AddAddress, Errno::ENOBUFS) => Some("the kernel is out of memory"),
            _ => None,
        }
    }

    /// For a removal: the kernel says that there is nothing of the sort, so the end is reached.
    pub(super) fn is_gone(self, refusal: &Refusal) -> bool {
        match self {
            Self::DeleteLink => refusal.is(Errno::ENODEV),
            Self::DeleteAddress => refusal.is(Errno::EADDRNOTAVAIL) || refusal.is(Errno::ENODEV),
            Self::DeleteRoute => refusal.is(Errno::ESRCH) || refusal.is(Errno::ENODEV),
            Self::DeleteRule => refusal.is(Errno::ENOENT),
            Self::CreateLink | Self::ChangeLink | Self::AddAddress | Self::AddRoute | Self::AddRule => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(errno: Errno, message: Option<&str>) -> Refusal {
        Refusal { errno: errno as i32, message: message.map(str::to_owned) }
    }

    #[test]
    fn the_kernels_own_words_reach_the_user() {
        let error = StepError::refused(
            "10.0.0.0/8",
            Operation::AddRoute,
            &refusal(Errno::EINVAL, Some("Invalid prefsrc address")),
        );
        assert!(error.to_string().starts_with("10.0.0.0/8: "), "{error}");
        assert!(error.to_string().contains("the kernel says: Invalid prefsrc address (EINVAL)"), "{error}");
        assert_eq!((error.errno, error.word().as_str()), (Some(22), "EINVAL"));
        assert_eq!(StepError::new("x", "a foreign link has the name").word(), "other");
    }

    #[test]
    fn what_is_gone_need_not_be_removed() {
        assert!(Operation::DeleteLink.is_gone(&refusal(Errno::ENODEV, None)));
        assert!(Operation::DeleteRoute.is_gone(&refusal(Errno::ESRCH, None)));
        assert!(!Operation::AddRoute.is_gone(&refusal(Errno::ENODEV, None)));
        assert!(!Operation::DeleteLink.is_gone(&refusal(Errno::EPERM, None)));
    }
}
