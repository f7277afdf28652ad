//! Tables for people and JSON for programs. Who stops reading misses the rest, and nothing else comes of it.

use std::io::{ErrorKind, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

/// Prints a value as JSON, indented, with a newline.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    text(&(serde_json::to_string_pretty(value)? + "\n"))
}

/// Prints a value as JSON on a line of its own, for who reads on.
pub fn json_line(value: &impl Serialize) -> anyhow::Result<()> {
    text(&(serde_json::to_string(value)? + "\n"))
}

/// Prints text, whole before it returns. A pipe that nobody reads from is no error: `greyhound status | head -1`.
pub fn text(text: &str) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => Ok(done?),
    }
}

/// A table with the given headings. Its columns keep their content whole: lines may become wider
/// than the terminal, but can always be searched and cut.
pub fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headings.iter().map(|heading| heading.to_uppercase()));
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    table
}

/// A table as text, or a sentence when it has no rows.
pub fn rows(table: &Table, none: &str) -> String {
    if table.is_empty() { format!("{none}\n") } else { format!("{}\n", table.trim_fmt()) }
}

/// What is shown where there is nothing.
pub fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// Text that stays on its line and moves no cursor: it may quote names that others chose.
pub fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_quoted_moves_the_cursor() {
        assert_eq!(one_line("link \u{1b}[2Jx\nis\there"), "link  [2Jx is here");
    }

    #[test]
    fn a_table_without_rows_is_a_sentence() {
        let mut table = table(&["name", "mtu"]);
        assert_eq!(rows(&table, "Nothing."), "Nothing.\n");
        table.add_row(["a", "1476"]);
        assert_eq!(rows(&table, "Nothing."), "NAME  MTU\na     1476\n");
    }
}
