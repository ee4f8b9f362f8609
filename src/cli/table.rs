//! Aligned rows for people, in colour on a terminal.

use std::io::IsTerminal;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Title,
    Good,
    Bad,
    Doubt,
}

/// Whether stdout takes colours: a terminal, and nobody who has said no (<https://no-color.org>).
pub fn colours() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    std::io::stdout().is_terminal() && !unwanted
}

/// Sections of rows, whose values all begin in one column.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<(&'static str, String, Tone)>,
}

impl Table {
    pub fn title(&mut self, text: impl Into<String>) {
        self.rows.push(("", text.into(), Tone::Title));
    }

    pub fn row(&mut self, label: &'static str, value: impl Into<String>) {
        self.toned(label, value, Tone::Plain);
    }

    pub fn toned(&mut self, label: &'static str, value: impl Into<String>, tone: Tone) {
        self.rows.push((label, value.into(), tone));
    }

    /// One row per value, the label at the first; nothing where there is none.
    pub fn list(&mut self, label: &'static str, values: impl IntoIterator<Item = String>, tone: Tone) {
        for (at, value) in values.into_iter().enumerate() {
            self.toned(if at == 0 { label } else { "" }, value, tone);
        }
    }

    pub fn render(&self, colours: bool) -> String {
        let width = self.rows.iter().map(|(label, ..)| label.len()).max().unwrap_or(0);
        let lines = self.rows.iter().map(|(label, value, tone)| {
            // what came from elsewhere must not write to the terminal
            let value: String = value.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
            let value = paint(&value, *tone, colours);
            if *tone == Tone::Title { format!("{value}\n") } else { format!("  {label:width$}  {value}\n") }
        });
        lines.collect()
    }
}

fn paint(text: &str, tone: Tone, colours: bool) -> String {
    let code = match tone {
        Tone::Plain => return text.to_owned(),
        Tone::Title => "1",
        Tone::Good => "32",
        Tone::Bad => "31",
        Tone::Doubt => "33",
    };
    if colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_begin_in_one_column_and_only_a_terminal_gets_colours() {
        let mut table = Table::default();
        table.title("docker.service");
        table.toned("state", "active", Tone::Good);
        table.list("drop-ins", ["a".into(), "b\x1b[2J".into()], Tone::Plain);
        let plain = table.render(false);
        assert_eq!(plain, "docker.service\n  state     active\n  drop-ins  a\n            b?[2J\n");
        assert!(table.render(true).contains("\x1b[32mactive\x1b[0m"));
    }
}
