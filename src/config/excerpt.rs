//! The line that a problem is on, and the drawing of it.

use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};
use annotate_snippets::{normalize_untrusted_str, renderer::DecorStyle};

use super::at::Span;
use super::diagnostics::{Also, Diagnostic, Diagnostics};

/// Lines longer than this, in bytes, are named and not drawn.
const LONGEST_LINE: usize = 500;

/// One line of the text, and what to underline in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// `None` when the line is too long to be drawn.
    source: Option<String>,
    mark: Span,
}

impl Excerpt {
    /// The first line of the span: what a problem is about begins there.
    pub fn new(text: &str, span: &Span) -> Self {
        let start = boundary(text, span.start);
        let begin = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let line = text[begin..end].trim_end_matches('\r');
        let from = (start - begin).min(line.len());
        let until = boundary(text, span.end.max(start)).saturating_sub(begin).clamp(from, line.len());
        Self {
            line: 1 + text.as_bytes()[..begin].iter().filter(|byte| **byte == b'\n').count(),
            column: 1 + line[..from].chars().count(),
            source: (line.len() <= LONGEST_LINE).then(|| line.to_owned()),
            mark: from..until,
        }
    }

    fn snippet<'a>(
        &'a self,
        file: &'a str,
        kind: AnnotationKind,
        label: Option<&'a str>,
        more: Option<&'a Also>,
    ) -> Element<'a> {
        let Some(source) = &self.source else {
            return Origin::path(file).line(self.line).char_column(self.column).into();
        };
        let snippet = Snippet::source(source.as_str()).line_start(self.line).path(file);
        let snippet = snippet.annotation(kind.span(self.mark.clone()).label(label));
        match more {
            Some(Also { message, excerpt, .. }) => snippet
                .annotation(AnnotationKind::Context.span(excerpt.mark.clone()).label(message.as_str()))
                .into(),
            None => snippet.into(),
        }
    }
}

impl Diagnostics {
    /// For people: file, line, caret and what to write instead. The same for the same file, always.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.decor_style(DecorStyle::Ascii).term_width(120);
        let file = normalize_untrusted_str(&self.file);
        let mut text = String::new();
        for problem in &self.problems {
            let problem = trusted(problem);
            text += &renderer.render(&[group(&problem, &file)]);
            text += "\n\n";
        }
        text += &self.count();
        text
    }

    fn count(&self) -> String {
        let all = self.problems.len() + self.more;
        let noun = if all == 1 { "problem" } else { "problems" };
        let rest = if self.more > 0 { format!(", {} of them not shown", self.more) } else { String::new() };
        format!("{}: {all} {noun}{rest}\n", normalize_untrusted_str(&self.file))
    }
}

fn group<'a>(problem: &'a Diagnostic, file: &'a str) -> Group<'a> {
    let same_line = problem.also.as_ref().filter(|also| also.line == problem.line);
    let group = Level::ERROR.primary_title(problem.message.as_str()).element(problem.excerpt.snippet(
        file,
        AnnotationKind::Primary,
        None,
        same_line,
    ));
    let group = match &problem.also {
        Some(also) if also.line != problem.line => {
            group.element(also.excerpt.snippet(file, AnnotationKind::Context, Some(&also.message), None))
        }
        Some(_) | None => group,
    };
    group.element(Level::HELP.message(problem.help.as_str()))
}

/// The texts may quote the file, and a file may hold escape sequences for the terminal.
fn trusted(problem: &Diagnostic) -> Diagnostic {
    let mut problem = problem.clone();
    problem.message = normalize_untrusted_str(&problem.message);
    problem.help = normalize_untrusted_str(&problem.help);
    if let Some(also) = &mut problem.also {
        also.message = normalize_untrusted_str(&also.message);
    }
    problem
}

/// The nearest character boundary at or before the index.
fn boundary(text: &str, index: usize) -> usize {
    (0..=index.min(text.len())).rev().find(|index| text.is_char_boundary(*index)).unwrap_or(0)
}
