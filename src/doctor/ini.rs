//! Configuration files of systemd and NetworkManager: sections of keys and values, and patterns of names. Pure.

use super::facts::ConfigFile;

/// A file, read.
#[derive(Debug)]
pub struct Ini<'a> {
    file: &'a ConfigFile,
    /// Section, key, value.
    lines: Vec<(&'a str, &'a str, &'a str)>,
}

impl<'a> Ini<'a> {
    /// Comments, and what is no key with a value, are passed over.
    pub fn read(file: &'a ConfigFile) -> Self {
        let (mut section, mut lines) = ("", Vec::new());
        for line in file.text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                section = name;
            } else if let Some((key, value)) = line.split_once('=') {
                lines.push((section, key.trim(), value.trim()));
            }
        }
        Self { file, lines }
    }

    /// The whole path.
    pub fn name(&self) -> String {
        self.file.path.display().to_string()
    }

    /// The last part of the path.
    pub fn base(&self) -> String {
        self.file.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Keys and values of all sections of this name, in their order.
    pub fn section<'s>(&'s self, name: &'s str) -> impl Iterator<Item = (&'a str, &'a str)> + 's {
        self.lines.iter().filter(move |(section, ..)| *section == name).map(|(_, key, value)| (*key, *value))
    }

    /// The names of the sections, in their order.
    pub fn sections(&self) -> Vec<&'a str> {
        let mut names: Vec<_> = self.lines.iter().map(|(section, ..)| *section).collect();
        names.dedup();
        names
    }
}

/// As systemd reads a boolean, and NetworkManager.
pub fn is_yes(value: &str) -> bool {
    ["1", "yes", "y", "true", "t", "on"].contains(&value.to_ascii_lowercase().as_str())
}

pub fn is_no(value: &str) -> bool {
    ["0", "no", "n", "false", "f", "off"].contains(&value.to_ascii_lowercase().as_str())
}

/// Does one of these patterns have the name? With a `!` before them: does none?
pub fn matches(patterns: &str, name: &str) -> bool {
    let (inverted, patterns) = patterns.strip_prefix('!').map_or((false, patterns), |rest| (true, rest));
    patterns.split_whitespace().any(|pattern| glob(pattern.as_bytes(), name.as_bytes())) != inverted
}

/// `*` and `?`, as a shell has them.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), None) => glob(rest, name),
        (Some((b'*', rest)), Some((_, left))) => glob(rest, name) || glob(pattern, left),
        (Some((b'?', rest)), Some((_, left))) => glob(rest, left),
        (Some((wanted, rest)), Some((found, left))) => wanted == found && glob(rest, left),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_in_a_shell() {
        for (patterns, name, expected) in [
            ("gh-*", "gh-ams", true),
            ("gh-*", "eth0", false),
            ("e* gh-?ms", "gh-ams", true),
            ("!eth0 lo", "gh-ams", true),
            ("!eth0 lo", "lo", false),
            ("*", "lo", true),
            ("", "lo", false),
        ] {
            assert_eq!(matches(patterns, name), expected, "{patterns} {name}");
        }
    }

    #[test]
    fn sections_have_their_keys_in_order() {
        let text = "# a\n[A]\nx=1\n; no\n y = 2 \n[B]\nx=3\n[A]\nx=4\n".to_owned();
        let file = ConfigFile { path: "/a/b.conf".into(), text };
        let ini = Ini::read(&file);
        assert_eq!(ini.section("A").collect::<Vec<_>>(), [("x", "1"), ("y", "2"), ("x", "4")]);
        assert_eq!((ini.sections(), ini.base()), (vec!["A", "B", "A"], "b.conf".to_owned()));
    }
}
