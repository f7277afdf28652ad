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

    /// The name of the folder that it is in.
    pub fn folder(&self) -> String {
        let folder = self.file.path.parent().and_then(|parent| parent.file_name());
        folder.unwrap_or_default().to_string_lossy().into_owned()
    }

    /// It has not one byte, or is a link to /dev/null.
    pub fn is_empty(&self) -> bool {
        self.file.text.is_empty()
    }

    /// Keys and values of all sections of this name, in their order.
    pub fn section<'s>(&'s self, name: &'s str) -> impl Iterator<Item = (&'a str, &'a str)> + 's {
        self.lines.iter().filter(move |(section, ..)| *section == name).map(|(_, key, value)| (*key, *value))
    }

    /// The last word on a key.
    pub fn last(&self, section: &str, key: &str) -> Option<&'a str> {
        let all = self.lines.iter().filter(|(in_section, found, _)| *in_section == section && *found == key);
        all.map(|(.., value)| *value).next_back()
    }

    /// What this key asks of a name.
    pub fn patterns(&self, section: &str, key: &str) -> Patterns<'a> {
        let mut patterns = Patterns::default();
        for (.., value) in
            self.lines.iter().filter(|(in_section, found, _)| *in_section == section && *found == key)
        {
            patterns.add(value);
        }
        patterns
    }

    /// The names of the sections, in their order.
    pub fn sections(&self) -> Vec<&'a str> {
        let mut names: Vec<_> = self.lines.iter().map(|(section, ..)| *section).collect();
        names.dedup();
        names
    }

    /// The same file with what these add to it.
    pub fn with<'s>(&'s self, dropins: impl IntoIterator<Item = &'s Self>) -> Self {
        let added = dropins.into_iter().flat_map(|dropin| &dropin.lines);
        Self { file: self.file, lines: self.lines.iter().chain(added).copied().collect() }
    }
}

/// Patterns of names, as a condition of systemd's (`net_condition_test_strv`, src/shared/net-condition.c).
#[derive(Debug, Default)]
pub struct Patterns<'a> {
    wanted: Vec<&'a str>,
    unwanted: Vec<&'a str>,
}

impl<'a> Patterns<'a> {
    /// One more line: a list, a list of what is not wanted behind a `!`, or, empty, none of those before.
    fn add(&mut self, value: &'a str) {
        if value.is_empty() {
            *self = Self::default();
        } else if let Some(list) = value.strip_prefix('!') {
            self.unwanted.extend(list.split_whitespace());
        } else {
            self.wanted.extend(value.split_whitespace());
        }
    }

    pub fn is_empty(&self) -> bool {
        self.wanted.is_empty() && self.unwanted.is_empty()
    }

    pub fn have(&self, name: &str) -> bool {
        let any = |patterns: &[&str]| patterns.iter().any(|pattern| glob(pattern, name));
        !any(&self.unwanted) && (self.wanted.is_empty() || any(&self.wanted))
    }
}

/// As systemd reads a boolean, and NetworkManager.
pub fn is_yes(value: &str) -> bool {
    ["1", "yes", "y", "true", "t", "on"].contains(&value.to_ascii_lowercase().as_str())
}

pub fn is_no(value: &str) -> bool {
    ["0", "no", "n", "false", "f", "off"].contains(&value.to_ascii_lowercase().as_str())
}

/// `*` and `?`, as a shell has them.
pub fn glob(pattern: &str, name: &str) -> bool {
    globbed(pattern.as_bytes(), name.as_bytes())
}

fn globbed(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), None) => globbed(rest, name),
        (Some((b'*', rest)), Some((_, left))) => globbed(rest, name) || globbed(pattern, left),
        (Some((b'?', rest)), Some((_, left))) => globbed(rest, left),
        (Some((wanted, rest)), Some((found, left))) => wanted == found && globbed(rest, left),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_in_a_shell_and_lines_add_up() {
        for (lines, name, expected) in [
            (&["gh-*"][..], "gh-ams", true),
            (&["gh-*"], "eth0", false),
            (&["e* gh-?ms"], "gh-ams", true),
            (&["!eth0 lo"], "gh-ams", true),
            (&["!eth0 lo"], "lo", false),
            (&["*"], "lo", true),
            (&["eth0", "lo"], "lo", true),
            (&["*", "!lo"], "lo", false),
            (&["lo", "", "eth0"], "lo", false),
            (&["eth0", ""], "lo", true),
        ] {
            let mut patterns = Patterns::default();
            lines.iter().for_each(|line| patterns.add(line));
            assert_eq!(patterns.have(name), expected, "{lines:?} {name}");
        }
    }

    #[test]
    fn sections_have_their_keys_in_order() {
        let text = "# a\n[A]\nx=1\n; no\n y = 2 \n[B]\nx=3\n[A]\nx=4\n".to_owned();
        let file = ConfigFile { path: "/a/b.conf".into(), text };
        let ini = Ini::read(&file);
        assert_eq!(ini.section("A").collect::<Vec<_>>(), [("x", "1"), ("y", "2"), ("x", "4")]);
        assert_eq!((ini.last("A", "x"), ini.last("A", "z")), (Some("4"), None));
        assert_eq!((ini.sections(), ini.base()), (vec!["A", "B", "A"], "b.conf".to_owned()));
    }
}
