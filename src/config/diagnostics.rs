//! What is wrong with a file: every problem, where it is, and what to write instead.

use std::fmt;

use serde::Serialize;

use super::at::Span;
use super::excerpt::Excerpt;

/// So many problems are kept; the rest are counted.
const KEPT: usize = 100;
/// The longest message or help, in characters: both may quote the file.
const LONGEST: usize = 400;

/// Every problem of a file, in the order of their places.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostics {
    pub file: String,
    /// Never empty.
    pub problems: Vec<Diagnostic>,
    /// Problems found beyond those listed.
    pub more: usize,
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    pub message: String,
    /// What to write instead.
    pub help: String,
    /// Another place that has to do with it.
    pub also: Option<Also>,
    #[serde(skip)]
    pub(super) excerpt: Excerpt,
}

/// Another place that has to do with a problem, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Also {
    pub line: usize,
    pub column: usize,
    pub message: String,
    #[serde(skip)]
    pub(super) excerpt: Excerpt,
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

/// One problem, while the text is at hand.
#[derive(Clone, Debug)]
pub struct Problem {
    span: Span,
    message: String,
    help: String,
    also: Option<(Span, String)>,
}

impl Problem {
    /// What is wrong there, and what to write instead.
    pub fn new(span: &Span, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { span: span.clone(), message: message.into(), help: help.into(), also: None }
    }

    /// Points at another place as well, and says what that is.
    pub fn also(mut self, span: &Span, message: impl Into<String>) -> Self {
        self.also = Some((span.clone(), message.into()));
        self
    }
}

/// Where the checks put what they find.
#[derive(Debug, Default)]
pub struct Sink {
    problems: Vec<Problem>,
    more: usize,
}

impl Sink {
    pub fn push(&mut self, problem: Problem) {
        if self.problems.len() < KEPT {
            self.problems.push(problem);
        } else {
            self.more += 1;
        }
    }

    /// The value, or nothing and a problem more.
    pub fn take<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.push(problem)).ok()
    }

    /// Those that could be read.
    pub fn take_all<T>(&mut self, results: impl IntoIterator<Item = Result<T, Problem>>) -> Vec<T> {
        results.into_iter().filter_map(|result| self.take(result)).collect()
    }

    /// Nothing when there was no problem.
    pub fn finish(mut self, text: &str, file: &str) -> Option<Diagnostics> {
        if self.problems.is_empty() {
            return None;
        }
        self.problems.sort_by_key(|problem| problem.span.start);
        let problems = self.problems.into_iter().map(|problem| located(problem, text)).collect();
        Some(Diagnostics { file: file.to_owned(), problems, more: self.more })
    }
}

fn located(problem: Problem, text: &str) -> Diagnostic {
    let Problem { span, message, help, also } = problem;
    let excerpt = Excerpt::new(text, &span);
    let also = also.map(|(span, message)| {
        let excerpt = Excerpt::new(text, &span);
        Also { line: excerpt.line, column: excerpt.column, message: clip(message), excerpt }
    });
    let (line, column) = (excerpt.line, excerpt.column);
    Diagnostic { line, column, message: clip(message), help: clip(help), also, excerpt }
}

fn clip(text: String) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
