//! Secrets taken out of texts: keys of tunnels, passwords, what stands before an `@` in a URL. Pure.
//!
//! A text may be TOML, JSON with a field a line, what `ip` prints, or a sentence of an event. So what is looked for is
//! the word that says what comes next, and then what the declaration says is a key, wherever a line speaks of keys.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// What stands in the place of a secret.
pub const REMOVED: &str = "<removed>";

/// After these comes a tunnel's key.
const KEYS: [&str; 3] = ["key", "ikey", "okey"];
/// What is called like this, or ends with it, is secret whatever it is.
const PASSWORDS: [&str; 6] = ["password", "passwd", "passphrase", "secret", "token", "psk"];
/// A number as long as this is looked for wherever it stands; a shorter one only where a line speaks of keys.
const TELLING: usize = 5;

/// What is known to be secret, each in every form in which it is written.
#[derive(Debug, Default)]
pub struct Secrets {
    keys: BTreeSet<String>,
}

/// A piece of a line: a word, or what is between two.
#[derive(Clone, Copy)]
enum Piece<'a> {
    Word(&'a str),
    Between(&'a str),
}

/// What the next word may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Anything,
    Key,
    /// The name of the link whose key it is.
    Link,
    /// After an arrow, what the key became.
    Became,
}

impl Secrets {
    /// The keys of a declaration.
    pub fn of(declaration: &str) -> Self {
        let values = declaration.lines().flat_map(|line| keys_of(line).into_iter());
        Self { keys: values.flat_map(|value| forms(&value)).collect() }
    }

    /// The text without secrets.
    pub fn removed(&self, text: &str) -> String {
        text.split_inclusive('\n').map(|line| self.line(&without_passwords(line))).collect()
    }

    fn line(&self, line: &str) -> String {
        let speaks_of_keys = line.contains("key");
        let mut next = Next::Anything;
        let mut out = String::with_capacity(line.len());
        for piece in pieces(line) {
            let word = match piece {
                Piece::Word(word) => word,
                Piece::Between(text) => {
                    if next == Next::Became && !text.contains("->") {
                        next = Next::Anything;
                    }
                    out.push_str(text);
                    continue;
                }
            };
            let known = self.keys.contains(word) && (speaks_of_keys || word.len() >= TELLING);
            let follows = matches!(next, Next::Key | Next::Became) && is_number(word);
            next = after(next, word);
            if !known && !follows {
                out.push_str(word);
            } else if out.trim_end().ends_with("\":") {
                // A number of JSON becomes a text of JSON.
                out.push_str(&format!("\"{REMOVED}\""));
            } else {
                out.push_str(REMOVED);
            }
        }
        out
    }
}

/// `key of gh-ams 5 -> 7`, `ikey 5`, `"key": 5`, `key = "0.0.0.5"`.
fn after(next: Next, word: &str) -> Next {
    match next {
        _ if KEYS.contains(&word) => Next::Key,
        Next::Key if word == "of" => Next::Link,
        Next::Link => Next::Key,
        Next::Key | Next::Became if is_number(word) || word == "none" => Next::Became,
        _ => Next::Anything,
    }
}

fn is_number(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit())
}

/// A hyphen or a dot within a word is its own, so that names and addresses are words.
fn pieces(line: &str) -> impl Iterator<Item = Piece<'_>> {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = line;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let mut end = rest.len();
        let mut chars = rest.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            let joins = matches!(c, '-' | '.') && chars.peek().is_some_and(|(_, next)| inside(*next));
            if inside(first) != (inside(c) || (inside(first) && joins)) {
                end = at;
                break;
            }
        }
        let (piece, left) = rest.split_at(end);
        rest = left;
        Some(if inside(first) { Piece::Word(piece) } else { Piece::Between(piece) })
    })
}

/// The values of `key = …` in a line of TOML, whatever table it is in.
fn keys_of(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut next = Next::Anything;
    for piece in pieces(line) {
        if let Piece::Word(word) = piece {
            if next == Next::Key && is_number(word) {
                found.push(word.to_owned());
            }
            next = after(next, word);
        }
    }
    found
}

/// A key as it is written, as a number, as an address and in hexadecimal.
fn forms(value: &str) -> Vec<String> {
    let digits = value.replace('_', "");
    let number = match digits.get(..2) {
        Some("0x") => u32::from_str_radix(&digits[2..], 16).ok(),
        Some("0o") => u32::from_str_radix(&digits[2..], 8).ok(),
        Some("0b") => u32::from_str_radix(&digits[2..], 2).ok(),
        _ => digits.parse::<u32>().ok().or_else(|| digits.parse::<Ipv4Addr>().ok().map(u32::from)),
    };
    let written = number
        .into_iter()
        .flat_map(|number| [number.to_string(), Ipv4Addr::from(number).to_string(), format!("{number:#x}")]);
    written.chain([value.to_owned()]).collect()
}

/// The line without what is called a password, and without what stands before an `@` in a URL.
fn without_passwords(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((at, length)) = next_secret(rest) {
        out.push_str(&rest[..at]);
        out.push_str(REMOVED);
        rest = &rest[at + length..];
    }
    out + rest
}

/// Where the next one begins in this text, and how long it is.
fn next_secret(text: &str) -> Option<(usize, usize)> {
    [user_of_url(text), password(text)].into_iter().flatten().min()
}

fn user_of_url(text: &str) -> Option<(usize, usize)> {
    text.match_indices("://").find_map(|(at, mark)| {
        let start = at + mark.len();
        let end = text[start..].find(|c: char| c.is_whitespace() || "/\"'<>".contains(c));
        let host = &text[start..end.map_or(text.len(), |end| start + end)];
        host.rfind('@').filter(|length| *length > 0).map(|length| (start, length))
    })
}

fn password(text: &str) -> Option<(usize, usize)> {
    let lower = text.to_ascii_lowercase();
    let words = PASSWORDS.iter().flat_map(|word| lower.match_indices(word).map(|(at, word)| at + word.len()));
    let found = words.filter_map(|end| {
        // `password = `, `"password": `, and nothing else is between.
        let value = text[end..].trim_start_matches(['"', '\'']).trim_start();
        let value = value.strip_prefix(['=', ':'])?.trim_start();
        let start = text.len() - value.len();
        let (start, length) = match value.chars().next()? {
            quote @ ('"' | '\'') => (start + 1, value[1..].find(quote).unwrap_or(value.trim_end().len() - 1)),
            _ => (start, value.find(|c: char| c.is_whitespace() || ",}&".contains(c)).unwrap_or(value.len())),
        };
        let is_there = length > 0 && !text[start..start + length].starts_with(REMOVED);
        is_there.then_some((start, length))
    });
    found.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECLARED: &str =
        "[[tunnel]]\nname = \"ams\"\nkey = 7\n[[tunnel]]\nkey = \"0.0.48.57\" # 12345\nkey=0x1_0000\n";

    fn removed(text: &str) -> String {
        Secrets::of(DECLARED).removed(text)
    }

    #[test]
    fn a_declaration_keeps_all_but_its_keys() {
        let says = "[[tunnel]]\nname = \"ams\"\nkey = <removed>\n[[tunnel]]\nkey = \"<removed>\" # <removed>\nkey=<removed>\n";
        assert_eq!(removed(DECLARED), says);
    }

    #[test]
    fn keys_are_removed_wherever_they_are_said() {
        for (text, expected) in [
            ("\"key\": 7,\n\"mtu\": 7\n", "\"key\": \"<removed>\",\n\"mtu\": 7\n"),
            ("\"ikey\": \"0.0.0.9\",", "\"ikey\": \"<removed>\","),
            (
                "gre remote 192.0.2.1 ikey 0.0.0.9 okey 0.0.0.8 ttl 64",
                "gre remote 192.0.2.1 ikey <removed> okey <removed> ttl 64",
            ),
            (
                "link gh-ams type gre local 198.51.100.8 key 99 ttl 64",
                "link gh-ams type gre local 198.51.100.8 key <removed> ttl 64",
            ),
            (
                "ikey of gh-ams 5 -> 6: change link gh-ams okey none -> 6",
                "ikey of gh-ams <removed> -> <removed>: change link gh-ams okey none -> <removed>",
            ),
            (
                "\"text\":\"okey of gh-ams 5 -> none\",\"seq\":5",
                "\"text\":\"okey of gh-ams <removed> -> none\",\"seq\":5",
            ),
            // By its value: said without its name, or in another form.
            ("`key` cannot be 7", "`key` cannot be <removed>"),
            ("65536 0x10000 0.1.0.0 12345", "<removed> <removed> <removed> <removed>"),
        ] {
            let text = removed(text);
            // A number of JSON that the line's key names is a value as well.
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn what_is_no_key_stays() {
        for text in [
            "\"key\": null, \"ifindex\": 8",
            "7: gh-ams: <POINTOPOINT,NOARP,UP> mtu 1476 qdisc noqueue group 26472",
            "route 10.0.0.0/8 dev gh-ams table 4700 metric 7",
            "keys 9, monkey 9, key-value 9",
            "a token of ours; the secret is out",
        ] {
            assert_eq!(removed(text), text);
        }
    }

    #[test]
    fn passwords_are_removed_whatever_they_are() {
        for (text, expected) in [
            ("password = \"a b\" # x", "password = \"<removed>\" # x"),
            ("etcd_password='x'\n", "etcd_password='<removed>'\n"),
            ("{\"token\": \"x\", \"b\": 1}", "{\"token\": \"<removed>\", \"b\": 1}"),
            (
                "https://user:pa:ss@host:2379/path?token=abc&x=1",
                "https://<removed>@host:2379/path?token=<removed>&x=1",
            ),
            (
                "endpoints = [\"http://a@b\", \"http://c\"]",
                "endpoints = [\"http://<removed>@b\", \"http://c\"]",
            ),
            ("PSK: hidden\n", "PSK: <removed>\n"),
        ] {
            assert_eq!(removed(text), expected);
            assert_eq!(removed(expected), expected, "again");
        }
    }
}
