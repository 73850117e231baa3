//! Queries with variables, in the text of Flagger's templates (PROVIDERS 3.1).
//!
//! Text between `{{` and `}}` is an expression of minijinja over the values of the context: names, attributes, strings and
//! `~`. Everything else is the query's own, whatever it looks like, for minijinja never sees it. Go's forms for the same
//! are rewritten; what is neither is refused.

use std::collections::BTreeMap;

use minijinja::{Environment, UndefinedBehavior, Value};

/// Longest query that is sent, in bytes: far more than a person writes.
const MAX_QUERY: usize = 64 * 1024;

/// The values that a query may name.
#[derive(Clone, Debug)]
pub(super) struct Context {
    /// The values, as minijinja sees them.
    pub(super) values: Value,
    /// Name of the apex Service, which two idioms of Flagger's templates mean.
    pub(super) service: String,
}

/// Why a template is not supported, or `Ok`: it renders whatever the values are.
pub(super) fn check(template: &str, variables: &BTreeMap<String, String>) -> Result<(), String> {
    render(template, &Context::sample(variables)).map(drop)
}

/// The query with its values.
pub(super) fn render(template: &str, context: &Context) -> Result<String, String> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let mut query = String::with_capacity(template.len());
    let mut quotes = Quotes::default();
    let mut rest = template;
    while let Some((text, after)) = rest.split_once("{{") {
        quotes.read(text);
        query.push_str(text);
        let (inside, after) = expression_end(after)?;
        let expression = trimmed(inside, &mut query);
        let (value, after) = evaluated(&environment, expression, after, context)?;
        query.push_str(&quotes.escaped(&value));
        rest = if inside.ends_with('-') {
            after.trim_start()
        } else {
            after
        };
        if query.len() > MAX_QUERY {
            return Err(format!("the query is longer than {MAX_QUERY} bytes"));
        }
    }
    query.push_str(rest);
    Ok(query)
}

impl Context {
    /// A context in which every variable has a value, to try a template with.
    fn sample(variables: &BTreeMap<String, String>) -> Self {
        let names = [
            "name",
            "namespace",
            "service",
            "ingress",
            "route",
            "interval",
            "target",
            "revision",
            "step",
            "weight",
            "window",
            "start",
            "end",
        ];
        let arm = ["workload", "service", "pods"].map(|name| (name, Value::from("x")));
        let arm = Value::from(BTreeMap::from(arm));
        let arms = ["canary", "stable", "arm"].map(|name| (name, arm.clone()));
        let values = names.map(|name| (name, Value::from("x")));
        let variables = [("variables", Value::from(variables.clone()))];
        Self {
            values: Value::from(
                values
                    .into_iter()
                    .chain(arms)
                    .chain(variables)
                    .collect::<BTreeMap<_, _>>(),
            ),
            service: "x".to_owned(),
        }
    }
}

/// Splits behind the `}}` that ends an expression, which may hold one in a string.
fn expression_end(text: &str) -> Result<(&str, &str), String> {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match quote {
            _ if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'') => quote = Some(c),
            None => {
                if let Some(after) = text.get(at..).and_then(|text| text.strip_prefix("}}")) {
                    return Ok((text.get(..at).unwrap_or_default(), after));
                }
            }
        }
    }
    Err("a {{ is never closed by }}".to_owned())
}

/// The expression without the marks that trim white space, after the one before it is trimmed.
fn trimmed<'a>(inside: &'a str, query: &mut String) -> &'a str {
    let inside = inside.strip_suffix('-').unwrap_or(inside);
    match inside.strip_prefix('-') {
        Some(inside) => {
            query.truncate(query.trim_end().len());
            inside.trim()
        }
        None => inside.trim(),
    }
}

/// The value of an expression, and the text behind it, less what belongs to a rewritten idiom.
fn evaluated<'a>(
    environment: &Environment<'_>,
    expression: &str,
    after: &'a str,
    context: &Context,
) -> Result<(String, &'a str), String> {
    if expression.starts_with("/*") && expression.ends_with("*/") {
        return Ok((String::new(), after));
    }
    if let Some((value, after)) = service_idiom(expression, after, &context.service) {
        return Ok((value, after));
    }
    let unsupported = |why: String| format!("{{{{ {expression} }}}}: {why}");
    let rewritten = from_go(expression).map_err(unsupported)?;
    let value = environment
        .compile_expression(&rewritten)
        .and_then(|compiled| compiled.eval(context.values.clone()))
        .map_err(|error| unsupported(error.to_string()))?;
    if value.is_undefined() {
        return Err(unsupported("there is no such variable".to_owned()));
    }
    Ok((value.to_string(), after))
}

/// Names of Services in Flagger's templates, where `target` does not mean the workload under test: `{{ target }}-canary` is
/// the canary's Service, and what ends in `-primary` is stable's.
fn service_idiom<'a>(expression: &str, after: &'a str, service: &str) -> Option<(String, &'a str)> {
    let target = expression == "target";
    if !target && expression != "service" {
        return None;
    }
    if target && after.starts_with("-canary") {
        return Some((service.to_owned(), after));
    }
    let rest = after.strip_prefix("-primary")?;
    if let Some(rest) = rest.strip_prefix("upstream") {
        return Some((format!("{service}-stableupstream"), rest));
    }
    let longer = rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    (!longer).then(|| (service.to_owned(), rest))
}

/// An expression of Go as one of minijinja: `index variables "k"` and `printf "a %s b" target`. Anything but names,
/// attributes, strings and `~` is refused: it would compute, and a query computes on the server.
fn from_go(expression: &str) -> Result<String, String> {
    let words = words(expression)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["index", of, keys @ ..] if !keys.is_empty() => {
            let keys: String = keys.iter().map(|key| format!("[{key}]")).collect();
            Ok(format!("{of}{keys}"))
        }
        ["printf", format, values @ ..] => printf(format, values),
        [_] | [_, "~", ..] => Ok(words.join(" ")),
        _ => Err("is not supported".to_owned()),
    }
}

/// The words of an expression; a string is one word, with its quotes.
fn words(expression: &str) -> Result<Vec<String>, String> {
    let mut words = vec![String::new()];
    let (mut quote, mut escaped) = (None, false);
    for c in expression.chars() {
        let inside = quote.is_some();
        match quote {
            _ if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'') => quote = Some(c),
            None if c.is_whitespace() => {}
            None if c.is_alphanumeric() || "_.[]~".contains(c) => {}
            None => return Err(format!("{c:?} is not supported")),
        }
        if !inside && c.is_whitespace() {
            words.push(String::new());
        } else if let Some(word) = words.last_mut() {
            word.push(c);
        }
    }
    words.retain(|word| !word.is_empty());
    if quote.is_some() || words.is_empty() {
        return Err("is not an expression".to_owned());
    }
    Ok(words)
}

fn printf(format: &str, values: &[&str]) -> Result<String, String> {
    let text = format
        .strip_prefix('"')
        .and_then(|format| format.strip_suffix('"'))
        .ok_or("printf needs a format in double quotes")?;
    let text = text.replace("%v", "%s").replace("%d", "%s");
    let parts: Vec<_> = text.split("%s").collect();
    if parts.len() != values.len() + 1 || parts.iter().any(|part| part.contains('%')) {
        return Err(
            "printf has another number of values than its format, or more than %s, %v and %d"
                .to_owned(),
        );
    }
    let mut joined = format!("\"{}\"", parts.first().unwrap_or(&""));
    for (value, part) in values.iter().zip(parts.iter().skip(1)) {
        joined.push_str(&format!(" ~ {value} ~ \"{part}\""));
    }
    Ok(joined)
}

/// Where in a PromQL text a value is put, which decides how it is escaped.
#[derive(Default)]
struct Quotes {
    open: Option<char>,
    escaped: bool,
    comment: bool,
}

impl Quotes {
    /// Reads on over the query's own text.
    fn read(&mut self, text: &str) {
        for c in text.chars() {
            match self.open {
                _ if self.comment => self.comment = c != '\n',
                _ if self.escaped => self.escaped = false,
                Some('`') | None if c == '\\' => {}
                Some(_) if c == '\\' => self.escaped = true,
                Some(open) if c == open => self.open = None,
                Some(_) => {}
                None if c == '#' => self.comment = true,
                None if matches!(c, '"' | '\'' | '`') => self.open = Some(c),
                None => {}
            }
        }
    }

    /// The value as it stands for itself at this place: within a string it cannot end it, outside it is text of the query.
    fn escaped(&self, value: &str) -> String {
        let Some(open @ ('"' | '\'')) = self.open else {
            return value.to_owned();
        };
        let mut escaped = String::with_capacity(value.len());
        for c in value.chars() {
            match c {
                '\n' => escaped.push_str("\\n"),
                c if c == '\\' || c == open => escaped.extend(['\\', c]),
                c => escaped.push(c),
            }
        }
        escaped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context {
        let variables = BTreeMap::from([
            ("reporter", "destination"),
            ("a-b", "dashed"),
            ("pattern", r#"a\.b""#),
        ]);
        let arm = |workload: &'static str| {
            Value::from(BTreeMap::from([
                ("workload", workload),
                ("pods", r"a-1|a\.2"),
            ]))
        };
        let values = [
            ("namespace", Value::from("shop")),
            ("target", Value::from("podinfo-canary")),
            ("service", Value::from("web")),
            ("interval", Value::from("1m")),
            ("ingress", Value::from("")),
            ("variables", Value::from(variables)),
            ("canary", arm("podinfo-canary")),
        ];
        Context {
            values: Value::from(BTreeMap::from(values)),
            service: "web".to_owned(),
        }
    }

    #[track_caller]
    fn renders(template: &str, expected: &str) {
        assert_eq!(
            render(template, &context()).as_deref(),
            Ok(expected),
            "{template}"
        );
    }

    #[test]
    fn names_are_values() {
        renders(
            r#"sum(rate(x{n="{{ namespace }}",w=~"{{target}}"}[{{ interval }}]))"#,
            r#"sum(rate(x{n="shop",w=~"podinfo-canary"}[1m]))"#,
        );
        renders(
            r#"{{ variables.reporter }}{{ variables["a-b"] }}{{ ingress }}"#,
            "destinationdashed",
        );
        renders("{{ canary.workload }}", "podinfo-canary");
    }

    #[test]
    fn names_of_services_are_told_from_the_workload() {
        renders(r#"{job="{{ target }}-canary"}"#, r#"{job="web-canary"}"#);
        renders(r#"{job="{{ target }}-primary"}"#, r#"{job="web"}"#);
        renders(r#"{job="{{ service }}-primary"}"#, r#"{job="web"}"#);
        renders("{{ service }}-canary-80", "web-canary-80");
        renders("{{ target }}-canaryupstream-80", "web-canaryupstream-80");
        renders("{{ target }}-primaryupstream-80", "web-stableupstream-80");
        renders("{{ target }}-primaryfoo", "podinfo-canary-primaryfoo");
    }

    #[test]
    fn forms_of_go_are_rewritten() {
        renders(r#"{{ index variables "a-b" }}"#, "dashed");
        renders(
            r#"{{ printf "%s-%v.x" target namespace }}"#,
            "podinfo-canary-shop.x",
        );
        renders("a {{/* {{ a comment */}}b", "a b");
        renders("a  {{- namespace -}}  b", "ashopb");
    }

    #[test]
    fn everything_else_is_the_querys_own() {
        let query = "a{#} {% if x %} <%= %> # it's\n}} \n";
        renders(query, query);
    }

    #[test]
    fn a_value_cannot_leave_its_string() {
        renders(r#"x{a="{{ variables.pattern }}"}"#, r#"x{a="a\\.b\""}"#);
        renders("x{a='{{ variables.pattern }}'}", r#"x{a='a\\.b"'}"#);
        renders("x{a=`{{ variables.pattern }}`}", r#"x{a=`a\.b"`}"#);
        renders(r#"x{a=~"{{ canary.pods }}"}"#, r#"x{a=~"a-1|a\\.2"}"#);
        renders("# it's\nx{{ variables.pattern }}", "# it's\nxa\\.b\"");
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let rows = [
            ("{{ nope }}", "no such variable"),
            ("{{ variables.nope }}", "no such variable"),
            ("{{ nope.nope }}", "undefined"),
            ("{{ target", "never closed"),
            ("{{ }}", "not an expression"),
            ("{{ .Target }}", "{{ .Target }}"),
            ("{{ target | upper }}", "'|' is not supported"),
            ("{{ \"x\" * 1000000 }}", "'*' is not supported"),
            ("{{ range x }}", "is not supported"),
            ("{{ if target }}x{{ end }}", "is not supported"),
            (r#"{{ printf "%d %s" target }}"#, "number of values"),
            (r#"{{ printf "%q" target }}"#, "number of values"),
        ];
        for (template, expected) in rows {
            let error = render(template, &context()).expect_err(template);
            assert!(error.contains(expected), "{template}: {error}");
        }
    }

    #[test]
    fn every_variable_of_the_table_can_be_tried() {
        let names = "{{ name }}{{ namespace }}{{ target }}{{ service }}{{ ingress }}{{ route }}{{ interval }}\
            {{ canary.workload }}{{ stable.service }}{{ arm.pods }}{{ revision }}{{ step }}{{ weight }}{{ window }}\
            {{ start }}{{ end }}{{ variables.a }}";
        let variables = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        assert_eq!(check(names, &variables), Ok(()));
        assert!(check(names, &BTreeMap::new()).is_err());
    }
}
