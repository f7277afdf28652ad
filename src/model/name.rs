//! Names, valid once built.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a text is not a name; the sentence says what one looks like.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{text:?} is not a {what}: {rule}")]
pub struct InvalidName {
    pub text: String,
    pub what: &'static str,
    pub rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $type(String);

        impl $type {
            /// Errors when the text breaks the rule of this kind of name.
            pub fn new(text: &str) -> Result<Self, InvalidName> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    return Ok(Self(text.to_owned()));
                }
                Err(InvalidName { text: text.to_owned(), what: $what, rule: $rule })
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $type {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $type {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                Self::new(&text)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// A tunnel's name: 1 to 12 of `a-z`, `0-9`, `-`, `_`, the first a letter or digit.
    /// Twelve, so that `gh-` and the name fit into IFNAMSIZ - 1 = 15 bytes (linux/if.h).
    TunnelName,
    "tunnel name",
    "use 1 to 12 of a-z, 0-9, '-' and '_', starting with a letter or a digit",
    |text| slug(text, 12)
);

name!(
    /// A pool's name: 1 to 32 of `a-z`, `0-9`, `-`, `_`, the first a letter or digit.
    PoolName,
    "pool name",
    "use 1 to 32 of a-z, 0-9, '-' and '_', starting with a letter or a digit",
    |text| slug(text, 32)
);

name!(
    /// A network link's name, as the kernel's `dev_valid_name` (net/core/dev.c) takes it.
    LinkName,
    "link name",
    "use 1 to 15 bytes without white space, '/' or ':', and not '.' or '..'",
    |text| {
        (1..=15).contains(&text.len())
            && text != "."
            && text != ".."
            && !text.chars().any(|c| c == '/' || c == ':' || c.is_whitespace() || c == '\0')
    }
);

name!(
    /// Who holds a lease: `tunnel/ams`, `probe`. 1 to 64 printable bytes without white space.
    HolderName,
    "holder name",
    "use 1 to 64 printable characters without white space",
    |text| (1..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic())
);

impl HolderName {
    /// The holder of the address that probes leave from where no tunnel has one yet.
    pub fn probe() -> Self {
        Self("probe".to_owned())
    }
}
name!(
    /// A device's code: 1 to 16 of `a-z`, `0-9`, `-`, `_`, the first a letter or digit.
    DeviceCode,
    "device code",
    "use 1 to 16 of a-z, 0-9, '-' and '_', starting with a letter or a digit",
    |text| slug(text, 16)
);

name!(
    /// An interface's name, unique on its device: 1 to 32 printable bytes without white space, such as `lo` or
    /// `Ethernet1/1`.
    InterfaceName,
    "name of an interface",
    "use 1 to 32 printable characters without white space",
    |text| (1..=32).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic())
);

name!(
    /// A client host's name, unique in the inventory: 1 to 40 of `a-z`, `0-9`, `-`, `_`, `.`, the first a letter or
    /// digit.
    HostName,
    "host name",
    "use 1 to 40 of a-z, 0-9, '-', '_' and '.', starting with a letter or a digit",
    |text| {
        slug(&text.replace('.', "-"), 40) && !text.starts_with('.')
    }
);

impl TunnelName {
    /// The name of the kernel link: deterministic, `gh-` and the tunnel's name.
    pub fn link(&self) -> LinkName {
        LinkName(format!("{}{}", super::marks::LINK_PREFIX, self.0))
    }

    /// The tunnel whose link this would be, if the link's name has our prefix and a valid rest.
    pub fn of_link(link: &str) -> Option<Self> {
        Self::new(link.strip_prefix(super::marks::LINK_PREFIX)?).ok()
    }

    /// The holder under which this tunnel's leases are kept.
    pub fn holder(&self) -> HolderName {
        HolderName(format!("tunnel/{}", self.0))
    }
}

fn slug(text: &str, longest: usize) -> bool {
    let body = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    (1..=longest).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text.chars().all(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tunnel_name_fits_the_kernel_with_its_prefix() {
        let name = TunnelName::new("twelve-chars").unwrap();
        assert_eq!(name.link().as_str(), "gh-twelve-chars");
        assert_eq!(name.link().as_str().len(), 15);
        assert_eq!(TunnelName::of_link("gh-twelve-chars"), Some(name));
    }

    #[test]
    fn what_is_not_a_tunnel_name_is_refused() {
        for text in ["", "thirteen-char", "Ams", "-a", "a b", "a/b", "ä", "a.b", "a:b"] {
            assert!(TunnelName::new(text).is_err(), "{text:?}");
        }
        assert_eq!(TunnelName::of_link("eth0"), None);
        assert_eq!(TunnelName::of_link("gh-"), None);
    }

    #[test]
    fn link_names_are_the_kernels() {
        assert!(LinkName::new("vrf-red").is_ok());
        for text in ["", ".", "..", "sixteen-bytes-xx", "a b", "a/b", "lo:gh"] {
            assert!(LinkName::new(text).is_err(), "{text:?}");
        }
    }
}
