//! Where a value came from; kept after the merge, so that an error can name the place to mend.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A file or folder; the position is missing if it is the whole of it.
    File {
        path: Arc<Path>,
        position: Option<Position>,
    },
    /// A variable of the environment.
    Environment(String),
    /// A command-line flag, with its dashes.
    Flag(String),
    /// The argument of a command.
    Argument,
    Default,
}

/// Line and column, counted from 1; the column in characters, as editors show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, position: Some(at) } => write!(f, "{}:{}:{}", path.display(), at.line, at.column),
            Self::File { path, position: None } => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
            Self::Argument => f.write_str("argument"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Translates byte offsets of one text. Built once per file: a file of many errors stays cheap.
pub struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub fn new(text: &'t str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    /// An offset past the end is the end; one inside a character is its beginning.
    pub fn position(&self, offset: usize) -> Position {
        let offset = self.text.floor_char_boundary(offset);
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        let column = self.text.get(start..offset).unwrap_or("").chars().count() + 1;
        Position { line, column }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let lines = Lines::new("a = 1\r\n# é\nüb = 2");
        for (offset, line, column) in
            [(0, 1, 1), (4, 1, 5), (7, 2, 1), (9, 2, 3), (10, 2, 3), (11, 2, 4), (12, 3, 1), (14, 3, 2), (99, 3, 7)]
        {
            assert_eq!(lines.position(offset), Position { line, column }, "{offset}");
        }
    }
}
