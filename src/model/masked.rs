//! Environment assignments without their secrets, for showing to people.

const MASK: &str = "***";
/// A variable whose name contains one of these holds a secret.
const SECRET_WORDS: [&str; 7] = ["PASS", "SECRET", "TOKEN", "KEY", "CREDENTIAL", "AUTH", "PWD"];

/// `NAME=value` with credentials hidden: `http://user:***@proxy:3128`, and all of a value whose name says that it is a
/// secret.
pub fn assignment(text: &str) -> String {
    let Some((name, value)) = text.split_once('=') else { return urls(text) };
    let upper = name.to_ascii_uppercase();
    if SECRET_WORDS.iter().any(|word| upper.contains(word)) && !value.is_empty() {
        return format!("{name}={MASK}");
    }
    // a proxy may be written without its scheme
    let bare = upper.ends_with("_PROXY") && upper != "NO_PROXY" && !value.contains("://");
    format!("{name}={}", if bare { without_user_info(value) } else { urls(value) })
}

/// Any text, with the credentials of the URLs in it hidden.
pub fn urls(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + "://".len());
        let end = after.find(|c: char| c.is_whitespace() || matches!(c, ',' | '"' | '\'')).unwrap_or(after.len());
        shown.push_str(before);
        shown.push_str(&without_user_info(&after[..end]));
        rest = &after[end..];
    }
    shown + rest
}

/// What follows the scheme of a URL. A password may hold an unescaped `@`, or `/`, which a strict reader would
/// take for the end of the host.
fn without_user_info(text: &str) -> String {
    let authority = text.split(['/', '?', '#']).next().unwrap_or(text);
    let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
    let odd = !authority.ends_with(']') && !port.bytes().all(|b| b.is_ascii_digit());
    let at = authority.rfind('@').or_else(|| text.rfind('@').filter(|_| odd));
    let Some((info, host)) = at.map(|at| (&text[..at], &text[at + 1..])) else { return text.to_owned() };
    match info.split_once(':') {
        Some((user, _)) => format!("{user}:{MASK}@{host}"),
        // a token in the user's place
        None => format!("{MASK}@{host}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_hidden_and_the_rest_is_kept() {
        for (given, shown) in [
            ("HTTP_PROXY=http://user:pass@proxy:3128", "HTTP_PROXY=http://user:***@proxy:3128"),
            ("HTTP_PROXY=http://proxy:3128/", "HTTP_PROXY=http://proxy:3128/"),
            ("https_proxy=user:pass@proxy:3128", "https_proxy=user:***@proxy:3128"),
            ("https_proxy=http://u:p@ss@proxy:3128/x", "https_proxy=http://u:***@proxy:3128/x"),
            ("https_proxy=http://u:p/s?s@proxy:3128", "https_proxy=http://u:***@proxy:3128"),
            ("https_proxy=http://token@proxy", "https_proxy=http://***@proxy"),
            ("https_proxy=http://[fd00::1]:3128/a@b", "https_proxy=http://[fd00::1]:3128/a@b"),
            ("NO_PROXY=localhost,.example,user@x", "NO_PROXY=localhost,.example,user@x"),
            ("MIRRORS=http://a:b@one http://c:d@two,x", "MIRRORS=http://a:***@one http://c:***@two,x"),
            ("REGISTRY_PASSWORD=x", "REGISTRY_PASSWORD=***"),
            ("AWS_SECRET_ACCESS_KEY=abc=", "AWS_SECRET_ACCESS_KEY=***"),
            ("api_token=", "api_token="),
            ("GOGC=50", "GOGC=50"),
            ("no assignment", "no assignment"),
        ] {
            assert_eq!(assignment(given), shown);
        }
    }
}
