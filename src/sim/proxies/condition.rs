//! How proxies compare texts.

use regex::Regex;

/// Whether an expression matches the whole of a text, as Envoy's do.
pub(super) fn whole(expression: &str, text: &str) -> bool {
    Regex::new(&format!("^(?:{expression})$")).is_ok_and(|it| it.is_match(text))
}

/// Whether an expression matches anywhere in a text.
pub(super) fn anywhere(expression: &str, text: &str) -> bool {
    Regex::new(expression).is_ok_and(|it| it.is_match(text))
}

/// Whether a path is a prefix or lies below it, by whole parts.
pub(super) fn is_below(path: &str, prefix: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    let rest = path.strip_prefix(prefix);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// How exactly a name of a host fits: itself before the longest `*.…`, and that before `*`; `None`: not at all.
pub(super) fn host_fit(name: &str, host: &str) -> Option<(bool, usize)> {
    let ends = name
        .strip_prefix('*')
        .is_some_and(|end| host.len() > end.len() && host.ends_with(end));
    (name == host || ends).then_some((name == host, name.len()))
}

/// How exactly the best of these names fits; no names fit everything, and least.
pub(super) fn hosts_fit<'a>(
    names: impl IntoIterator<Item = &'a str>,
    host: &str,
) -> Option<(bool, usize)> {
    let mut names = names.into_iter().peekable();
    if names.peek().is_none() {
        return Some((false, 0));
    }
    names.filter_map(|name| host_fit(name, host)).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_compared_as_a_whole_or_in_part() {
        assert!(whole("a|b.*", "bc") && !whole("a|b", "ab") && !whole("(", "("));
        assert!(anywhere("b", "abc") && !anywhere("^b", "abc"));
        assert!(is_below("/a/b", "/a") && is_below("/a", "/a/") && !is_below("/ab", "/a"));
    }

    #[test]
    fn the_most_exact_host_counts() {
        let rows = [
            (vec!["a.example", "*.example"], Some((true, 9))),
            (vec!["*.example", "*"], Some((false, 9))),
            (vec!["*"], Some((false, 1))),
            (vec!["b.example"], None),
            (vec![], Some((false, 0))),
        ];
        for (names, expected) in rows {
            assert_eq!(hosts_fit(names.clone(), "a.example"), expected, "{names:?}");
        }
        assert_eq!(host_fit("*.example", "example"), None);
    }
}
