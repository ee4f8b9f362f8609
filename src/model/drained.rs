//! A node that is kept out of its cluster on purpose, as others see it in a list.

use super::NodeAddress;
use std::fmt;

/// The longest reason, in characters: it has to fit on the line of its node.
pub const REASON_MAX: usize = 200;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DrainedNode {
    pub address: NodeAddress,
    /// Whatever somebody wrote. A discovery service may hand out what ours would refuse.
    pub reason: Option<String>,
}

/// Why a text is no reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReasonError {
    #[error("it is longer than {REASON_MAX} characters; shorten it")]
    TooLong,
    #[error("character {at} is a control character (U+{code:04X}); write it as one line of text")]
    Control { at: usize, code: u32 },
    #[error("it is not UTF-8; write it as one line of text")]
    NotText,
}

/// White space around a reason is no part of it, and nothing else is no reason.
pub fn reason(text: &str) -> Result<Option<&str>, ReasonError> {
    let text = text.trim();
    if text.chars().nth(REASON_MAX).is_some() {
        return Err(ReasonError::TooLong);
    }
    match text.chars().enumerate().find(|(_, c)| c.is_control()) {
        Some((before, c)) => Err(ReasonError::Control { at: before + 1, code: c.into() }),
        None => Ok((!text.is_empty()).then_some(text)),
    }
}

/// One line for a terminal: nothing in it moves the cursor, or turns the text around.
impl fmt::Display for DrainedNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  drained", self.address)?;
        let Some(reason) = &self.reason else { return Ok(()) };
        f.write_str(": ")?;
        for c in reason.chars() {
            if c.is_control() || turns(c) { write!(f, "{}", c.escape_unicode()) } else { write!(f, "{c}") }?;
        }
        Ok(())
    }
}

/// Line separators, and the marks that change the direction of what follows.
fn turns(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_line_of_text_of_bounded_length() {
        assert_eq!(reason(" kernel update \r\n"), Ok(Some("kernel update")));
        assert_eq!(reason(""), Ok(None));
        assert_eq!(reason(" \n"), Ok(None));
        assert!(reason(&"ü".repeat(REASON_MAX)).is_ok_and(|kept| kept.is_some()));
        assert_eq!(reason(&"ü".repeat(REASON_MAX + 1)), Err(ReasonError::TooLong));
        assert_eq!(reason("a\u{1b}[2J"), Err(ReasonError::Control { at: 2, code: 0x1b }));
        assert_eq!(reason("a\nb"), Err(ReasonError::Control { at: 2, code: 0xa }));
        assert_eq!(reason("a\u{9b}"), Err(ReasonError::Control { at: 2, code: 0x9b }));
    }

    #[test]
    fn a_line_of_it_does_nothing_to_a_terminal() -> Result<(), crate::model::address::AddressError> {
        let node = |reason: Option<&str>| -> Result<String, crate::model::address::AddressError> {
            Ok(DrainedNode { address: "a:1".parse()?, reason: reason.map(str::to_owned) }.to_string())
        };
        assert_eq!(node(None)?, "a:1  drained");
        assert_eq!(node(Some("Ann's \"new\" kernel, für später"))?, "a:1  drained: Ann's \"new\" kernel, für später");
        assert_eq!(node(Some("\u{1b}[2J\n\u{9b}\u{202e}"))?, r"a:1  drained: \u{1b}[2J\u{a}\u{9b}\u{202e}");
        Ok(())
    }
}
