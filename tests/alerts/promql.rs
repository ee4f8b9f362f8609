//! As much of PromQL as it takes to see what an expression asks for. Whether it is valid is promtool's to say.

/// A metric in an expression.
#[derive(Debug, PartialEq, Eq)]
pub struct Selector {
    pub metric: String,
    pub matchers: Vec<Matcher>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Matcher {
    pub label: String,
    pub operator: String,
    pub value: String,
}

impl Matcher {
    /// The values that it is about: for `=~` the words between the bars.
    pub fn alternatives(&self) -> impl Iterator<Item = &str> {
        let bar = if self.operator.ends_with('~') { '|' } else { '\0' };
        self.value.split(bar)
    }
}

impl Selector {
    pub fn all(expression: &str) -> Vec<Self> {
        let (mut found, mut rest) = (Vec::new(), expression);
        while let Some((word, after)) = next_word(rest) {
            let ahead = after.trim_start();
            rest = after;
            if let Some(inside) = ahead.strip_prefix('{') {
                let (matchers, after) = matchers(inside);
                rest = after;
                found.push(Self { metric: word.to_owned(), matchers });
            } else if let Some(inside) = ahead.strip_prefix('(').filter(|_| GROUPINGS.contains(&word)) {
                rest = inside.split_once(')').map_or("", |(_, after)| after);
            } else if !ahead.starts_with('(') && !KEYWORDS.contains(&word) {
                found.push(Self { metric: word.to_owned(), matchers: Vec::new() });
            }
        }
        found
    }

    pub fn label(&self, name: &str) -> Option<&str> {
        self.matchers.iter().find(|matcher| matcher.label == name).map(|matcher| matcher.value.as_str())
    }
}

/// The labels in `by (…)`, `on (…)` and their like.
pub fn groupings(expression: &str) -> Vec<String> {
    let (mut found, mut rest) = (Vec::new(), expression);
    while let Some((word, after)) = next_word(rest) {
        rest = after;
        if let Some(inside) = after.trim_start().strip_prefix('(').filter(|_| GROUPINGS.contains(&word)) {
            let (labels, after) = inside.split_once(')').expect("the list of labels ends");
            found.extend(labels.split(',').map(|label| label.trim().to_owned()).filter(|label| !label.is_empty()));
            rest = after;
        }
    }
    found
}

const GROUPINGS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
/// Words that stand without a parenthesis behind them; the aggregations may have their grouping there.
const KEYWORDS: [&str; 14] =
    ["and", "or", "unless", "bool", "offset", "sum", "min", "max", "avg", "count", "group", "topk", "by", "without"];

/// The next name, and what is behind it; strings, ranges and numbers are none.
fn next_word(text: &str) -> Option<(&str, &str)> {
    let mut rest = text;
    loop {
        let first = rest.chars().next()?;
        let skip = match first {
            '"' => 1 + string(&rest[1..]).1,
            '[' => rest.find(']').map_or(rest.len(), |end| end + 1),
            _ if is_name(first) => {
                let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
                let (word, after) = rest.split_at(end);
                if !first.is_ascii_digit() {
                    return Some((word, after));
                }
                end
            }
            other => other.len_utf8(),
        };
        rest = &rest[skip..];
    }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

/// The text up to the closing quote, and where it goes on.
fn string(text: &str) -> (String, usize) {
    let (mut value, mut escaped) = (String::new(), false);
    for (at, c) in text.char_indices() {
        match c {
            '"' if !escaped => return (value, at + 1),
            '\\' if !escaped => escaped = true,
            _ => {
                value.push(c);
                escaped = false;
            }
        }
    }
    panic!("a string has no end: {text}")
}

/// Those up to the closing brace, and what is behind it.
fn matchers(text: &str) -> (Vec<Matcher>, &str) {
    let (mut found, mut rest) = (Vec::new(), text);
    loop {
        rest = rest.trim_start_matches([' ', ',', '\n']);
        if let Some(after) = rest.strip_prefix('}') {
            return (found, after);
        }
        let (head, tail) = rest.split_once('"').unwrap_or_else(|| panic!("no value in {rest}"));
        let (label, operator) = head.split_at(head.find(['=', '!']).expect("an operator"));
        let (value, end) = string(tail);
        found.push(Matcher { label: label.trim().to_owned(), operator: operator.trim().to_owned(), value });
        rest = &tail[end..];
    }
}

#[test]
fn selectors_and_groupings_are_found() {
    let expression =
        r#"sum by (job, le) (rate(a_b{x=~"1|2",y!="}"}[5m])) / on (z) c unless d == 3 and time() > bool 1e3"#;
    let matcher = |label: &str, operator: &str, value: &str| Matcher {
        label: label.into(),
        operator: operator.into(),
        value: value.into(),
    };
    let found = Selector::all(expression);
    let names: Vec<_> = found.iter().map(|selector| selector.metric.as_str()).collect();
    assert_eq!(names, ["a_b", "c", "d"]);
    assert_eq!(found[0].matchers, [matcher("x", "=~", "1|2"), matcher("y", "!=", "}")]);
    assert_eq!(found[0].matchers[0].alternatives().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(groupings(expression), ["job", "le", "z"]);
}
