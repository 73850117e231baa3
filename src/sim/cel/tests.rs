//! Tests of expressions.

use serde_json::{Value, json};

use crate::sim::cel::Expression;
use crate::sim::cel::authorizer::{Ask, Authorize};
use crate::sim::cel::scope::Scope;
use crate::sim::cel::value::Val;

/// What an expression is, as JSON, or why not. `self` is an object, `list` a list.
fn said(text: &str) -> String {
    let object = json!({
        "name": "web", "labels": {"app": "web", "serin.dev/gate": "x"}, "count": 3, "share": 0.5, "none": null,
        "namespace": "prod", "a-b": 1, "items": [{"n": 1}, {"n": 2}, {"n": 3, "extra": true}],
    });
    let expression = match Expression::parse(text) {
        Ok(expression) => expression,
        Err(error) => return format!("parse: {error}"),
    };
    let scope = Scope::default()
        .with("self", Val::of(&object))
        .with_authorizer(&Abe);
    match expression.evaluate(&scope) {
        Ok(Val::Optional(None)) => "none".to_owned(),
        Ok(Val::Type(name)) => name.to_owned(),
        Ok(value) => value
            .json()
            .map_or_else(|fault| fault.text().to_owned(), |json| json.to_string()),
        Err(fault) => fault.text().to_owned(),
    }
}

/// Abe may update `canaries/abort` of `web`, and nothing else.
struct Abe;

impl Authorize for Abe {
    fn allows(&self, ask: &Ask) -> bool {
        ask.group == "serin.dev"
            && ask.resource == "canaries"
            && ask.subresource == "abort"
            && (ask.namespace.as_str(), ask.name.as_str(), ask.verb.as_str())
                == ("prod", "web", "update")
    }
}

fn check(rows: &[(&str, &str)]) {
    for (text, wanted) in rows {
        assert_eq!(said(text), *wanted, "{text}");
    }
}

#[test]
fn operators_bind_as_in_the_specification() {
    check(&[
        ("1 + 2 * 3 == 7", "true"),
        ("-2 + 5 % 3", "0"),
        ("7 / 2", "3"),
        ("7.0 / 2.0", "3.5"),
        ("!true || false", "false"),
        ("true ? 1 : false ? 2 : 3", "1"),
        ("1 < 2 && 2 <= 2 && 3 > 2 && 3 >= 3 && 1 != 2", "true"),
        ("1 == 1.0 && 1u == 1 && 1.5 > 1", "true"),
        ("'a' + 'b' < 'b'", "true"),
        ("[1] + [2]", "[1,2]"),
        ("'1' == 1", "false"),
        ("9223372036854775807 + 1", "integer overflow"),
        ("1 / 0", "division by zero"),
        ("1 + 'a'", "no such overload"),
        ("0x1F", "31"),
        ("1e3", "1000.0"),
        ("// a comment\n 1", "1"),
        (
            "2 in [1, 2] && 'app' in self.labels && !('x' in {'a': 1})",
            "true",
        ),
    ]);
}

#[test]
fn texts_are_read_with_their_escapes() {
    check(&[
        (r#"'a\n\x41\u00fc\'\\' == "a\nAü'\\""#, "true"),
        (r"r'\d' == '\\d'", "true"),
        (r#""""a"b""" == 'a"b'"#, "true"),
        (r"b'\xff' == b'\377'", "true"),
        (r"'\q'", "parse: no escape: \\q"),
        ("'open", "parse: a text is not closed"),
    ]);
}

#[test]
fn one_operand_that_decides_makes_up_for_a_failure() {
    check(&[
        ("self.missing || true", "true"),
        ("true || self.missing", "true"),
        ("self.missing && false", "false"),
        ("self.missing || false", "no such key: missing"),
        ("[1, 2].exists(x, x == 2 || self.missing)", "true"),
        (
            "[1, 2].all(x, x == 2 || self.missing)",
            "no such key: missing",
        ),
        ("[1, 2].all(x, x == 3 && self.missing)", "false"),
    ]);
}

#[test]
fn fields_may_be_missing() {
    check(&[
        (
            "has(self.name) && !has(self.missing) && has(self.none)",
            "true",
        ),
        ("has(self.none.deeper)", "false"),
        ("self.none.deeper", "no such key: deeper"),
        ("self.?missing.orValue('x')", "\"x\""),
        ("self.?labels[?'app'].orValue('')", "\"web\""),
        ("self.?missing[?'app']", "none"),
        ("self.?missing.deeper.orValue(1)", "1"),
        ("self.labels[?'x'] == self.?missing", "true"),
        ("self.labels[?'app'] == optional.of('web')", "true"),
        ("self.labels[?'app'] == self.?labels.?app", "true"),
        ("optional.none().hasValue()", "false"),
        ("optional.of(1).value()", "1"),
        ("optional.none().value()", "optional.none() dereference"),
        ("self.?missing.or(optional.of(2)).value()", "2"),
        ("self.?count.optMap(c, c + 1).orValue(0)", "4"),
        ("optional.ofNonZeroValue('')", "none"),
        ("[?self.?missing, ?self.?count]", "[3]"),
        ("{?'a': self.?missing, 'b': 1}", "{\"b\":1}"),
        ("[1, 2][?5]", "none"),
        ("[1, 2][2]", "index out of bounds: 2"),
        ("self.labels['x']", "no such key: x"),
        (
            "self.namespace == 'prod' && self.__namespace__ == 'prod' && self.a__dash__b == 1",
            "true",
        ),
        (
            "dyn(self.labels)[?'app'] == dyn(self.labels)[?'app']",
            "true",
        ),
        ("other", "no such attribute(s): other"),
    ]);
}

#[test]
fn macros_run_over_lists_and_keys() {
    check(&[
        (
            "self.labels.all(k, k.startsWith('app') || k.contains('/'))",
            "true",
        ),
        ("self.items.exists_one(i, i.n == 2)", "true"),
        ("self.items.filter(i, has(i.extra)).map(i, i.n)", "[3]"),
        ("self.items.map(i, i.n > 1, i.n * 10)", "[20,30]"),
        ("[true, false].filter(stated, stated).size()", "1"),
        ("self.labels.exists(k, v, k == 'app' && v == 'web')", "true"),
        ("[3, 4].transformList(at, x, at + x)", "[3,5]"),
        (
            "{'a': 1}.transformMap(k, v, k + string(v))",
            "{\"a\":\"a1\"}",
        ),
        (
            "self.items.all(a, self.items.exists_one(b, a.n == b.n))",
            "true",
        ),
        ("self.items.sortBy(i, -i.n).map(i, i.n)", "[3,2,1]"),
        ("[1].map(x, [2].map(y, x + y))", "[[3]]"),
        ("1.all(x, true)", "no such overload"),
    ]);
}

#[test]
fn texts_have_the_methods_of_kubernetes() {
    check(&[
        (
            "'abc'.matches('^[a-c]+$') && !'abc\\n'.matches('^[a-z]+$')",
            "true",
        ),
        (
            r"'\u00a0'.matches(r'^\s$') || 'ü'.matches(r'^\w$')",
            "false",
        ),
        (
            r"'a]'.matches(r'^[\w\]]+$') && '['.matches(r'^[[]$')",
            "true",
        ),
        (
            r#"'{"a":"b"}'.findAll(r'"[a-z]"').map(n, n.split('"')[1])"#,
            "[\"a\",\"b\"]",
        ),
        (r"'a1b22'.find(r'[0-9]{2}')", "\"22\""),
        ("'a,b,c'.split(',', 2)", "[\"a\",\"b,c\"]"),
        ("'ab'.split('')", "[\"a\",\"b\"]"),
        ("['a', 'b'].join(', ')", "\"a, b\""),
        ("'aXbX'.replace('X', '-', 1)", "\"a-bX\""),
        ("'ÄB'.lowerAscii() + 'b'.upperAscii()", "\"ÄbB\""),
        ("size('grün') + 'grün'.indexOf('n')", "7"),
        ("'hello'.substring(1, 3) + 'hello'.charAt(4)", "\"elo\""),
        ("'%s has %d'.format(['a', 2])", "\"a has 2\""),
        ("' a '.trim().endsWith('a')", "true"),
        (
            "'a'.matches('(')",
            "error parsing regexp: regex parse error:\n    (\n    ^\nerror: unclosed group",
        ),
    ]);
}

#[test]
fn lists_have_the_methods_of_kubernetes() {
    check(&[
        ("[1, 2, 2].isSorted() && ![2, 1].isSorted()", "true"),
        (
            "[1, 2].sum() + [3, 1].max() + [3, 1].min() + [5, 6].indexOf(6)",
            "8",
        ),
        (
            "[1, 1, 2].distinct() + [[3], [4]].flatten() + [5, 6, 7].slice(1, 2)",
            "[1,2,3,4,6]",
        ),
        (
            "sets.contains([1, 2], [2]) && sets.equivalent([1, 2], [2, 1, 1])",
            "true",
        ),
        (
            "[2, 1].sort() == [1, 2] && [1, 2].reverse() == [2, 1]",
            "true",
        ),
    ]);
}

#[test]
fn types_convert() {
    check(&[
        (
            "type(self.count) == int && type('') == string && type(0.5) == double",
            "true",
        ),
        ("type(self.labels)", "map"),
        ("string(1) + string(true) + string(0.5)", "\"1true0.5\""),
        ("int('12') + int(1.9)", "13"),
        ("int('x')", "type conversion error: \"x\""),
        (
            "duration('1h30m') >= duration('5400s') && duration('90s') < duration('2m')",
            "true",
        ),
        ("duration('1.5s').getMilliseconds()", "1500"),
        ("string(duration('1h'))", "\"3600s\""),
        ("duration('1d')", "time: invalid duration \"1d\""),
        ("duration('')", "time: invalid duration \"\""),
        ("timestamp('2026-01-02T03:04:05Z').getFullYear()", "2026"),
        (
            "timestamp('2026-01-02T00:00:00Z') - timestamp('2026-01-01T00:00:00Z') == duration('24h')",
            "true",
        ),
        ("double('0.5') + double(1)", "1.5"),
        ("bool('true')", "true"),
    ]);
}

#[test]
fn objects_and_patches_are_built() {
    check(&[
        (
            "[JSONPatch{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey('a/b~c'), value: {'x': 1}}]",
            r#"[{"op":"add","path":"/metadata/labels/a~1b~0c","value":{"x":1}}]"#,
        ),
        (
            "Object{spec: Object.spec{replicas: 2, ?paused: self.?missing}}",
            r#"{"spec":{"replicas":2}}"#,
        ),
        ("true ? [] : [JSONPatch{op: 'remove', path: '/x'}]", "[]"),
    ]);
}

#[test]
fn the_authorizer_is_asked() {
    let ask = "authorizer.group('serin.dev').resource('canaries').subresource('VERB').namespace('prod').name('web')";
    let abort = format!("{}.check('update').allowed()", ask.replace("VERB", "abort"));
    let other = format!(
        "{}.check('update').allowed()",
        ask.replace("VERB", "promote")
    );
    check(&[
        (&abort, "true"),
        (&other, "false"),
        (
            "authorizer.path('/healthz').check('get').allowed()",
            "false",
        ),
        (
            "authorizer.group('').resource('pods').check('get').reason()",
            "\"\"",
        ),
    ]);
}

#[test]
fn variables_are_evaluated_when_they_are_needed_and_see_those_before() {
    let texts = [
        ("base", "self.count"),
        ("twice", "variables.base * 2"),
        ("bad", "self.missing"),
        ("late", "variables.later"),
    ];
    let parsed: Vec<_> = texts
        .map(|(name, text)| (name, Expression::parse(text).unwrap()))
        .into();
    let object = json!({"count": 2});
    let value = |text: &str| -> Result<Value, String> {
        let scope = Scope::default()
            .with("self", Val::of(&object))
            .with_variables(parsed.iter().map(|(name, expression)| (*name, expression)));
        let expression = Expression::parse(text)?;
        let value = expression
            .evaluate(&scope)
            .map_err(|fault| fault.text().to_owned())?;
        value.json().map_err(|fault| fault.text().to_owned())
    };
    assert_eq!(value("variables.twice + variables.base"), Ok(json!(6)));
    assert_eq!(
        value("variables.base == 2 || variables.bad"),
        Ok(json!(true))
    );
    let bad = "composited variable \"bad\" fails to evaluate: no such key: missing";
    assert_eq!(value("variables.bad"), Err(bad.to_owned()));
    let late = "composited variable \"late\" fails to evaluate: no such key: later";
    assert_eq!(value("variables.late"), Err(late.to_owned()));
}

#[test]
fn names_from_outside_are_known() {
    let expression = Expression::parse(
        "oldSelf.a == 1 && self.items.all(x, x.y == variables.z) && optional.none() == 1",
    )
    .unwrap();
    assert_eq!(
        expression.names().collect::<Vec<_>>(),
        ["oldSelf", "self", "variables"]
    );
    assert_eq!(expression.variables().collect::<Vec<_>>(), ["z"]);
    assert!(expression.mentions("oldSelf") && !expression.mentions("x"));
}

#[test]
fn what_cannot_be_read_is_an_error() {
    for text in [
        "",
        "1 +",
        "a b",
        "has(1)",
        "(1",
        "[1",
        "{1",
        "namespace ? 1",
        "for",
        "x.all(1)",
        "'a' #",
    ] {
        let parsed = Expression::parse(text);
        if text == "x.all(1)" {
            assert!(parsed.is_ok(), "a method of that name, which no value has");
        } else {
            assert!(parsed.is_err(), "{text}");
        }
    }
    assert!(Expression::parse(&"(".repeat(100_000)).is_err());
}

/// What the expressions of cel-go 0.26, with the libraries of Kubernetes 1.36, came to.
const AS_CEL_GO: &[(&str, &str)] = &[
    (r#"strings.quote('a')"#, r#""\"a\"""#),
    (r#"lists.range(3)"#, r#"[0,1,2]"#),
    (r#"sets.contains([1],[1])"#, r#"true"#),
    (r#"[1].first()"#, r#"1"#),
    (r#"[1].reverse()"#, r#"[1]"#),
    (r#"'%s'.format(['a'])"#, r#""a""#),
    (r#"[2,1].sort()"#, r#"[1,2]"#),
    (r#"[1,1].distinct()"#, r#"[1]"#),
    (r#"[[1]].flatten()"#, r#"[1]"#),
    (r#"[1,2].slice(0,1)"#, r#"[1]"#),
    (r#"optional.unwrap([optional.of(1)])"#, r#"[1]"#),
    (r#"[optional.of(1)].unwrapOpt()"#, r#"[1]"#),
    (r#"[3,4].transformList(i,x,i+x)"#, r#"[3,5]"#),
    (r#"{'a':1}.transformMap(k,v,v+1)"#, r#"{"a":2}"#),
    (r#"[3,1].sortBy(x,x)"#, r#"[1,3]"#),
    (r#"{'a':1}.all(k,v,v==1)"#, r#"true"#),
    (r#"[1].sum()"#, r#"1"#),
    (r#"self.none.?deeper"#, r#"none"#),
    (r#"self.none[?'x']"#, r#"none"#),
    (r#"self.count.?x"#, r#"none"#),
    (r#"has(self.count.x)"#, r#"false"#),
    (r#"self.?none.orValue(1)"#, r#"null"#),
    (r#"self.?none.?deeper"#, r#"none"#),
    (r#"dyn(1) == dyn(1.0)"#, r#"true"#),
    (r#"[dyn(1)] == [dyn(1.0)]"#, r#"true"#),
    (r#"dyn(1) in [dyn(1.0)]"#, r#"true"#),
    (r#"self.items[0] == {'n': 1}"#, r#"true"#),
    (
        r#"self.labels == {'app': 'web', 'serin.dev/gate': 'x'}"#,
        r#"true"#,
    ),
    (
        r#"string(0.1) + string(1e21) + string(1.0)"#,
        r#""0.11e+211""#,
    ),
    (r#"string(duration('1.5s'))"#, r#""1.5s""#),
    (r#"'abc'.substring(1)"#, r#""bc""#),
    (
        r#"'abc'.substring(2,1)"#,
        r#"invalid substring range. start: 2, end: 1"#,
    ),
    (r#"'abc'.charAt(3)"#, r#""""#),
    (r#"'abc'.indexOf('z')"#, r#"-1"#),
    (r#"'a,b'.split(',', 0)"#, r#"[]"#),
    (r#"'a,b,c'.split(',', -1)"#, r#"["a","b","c"]"#),
    (r#"''.split(',')"#, r#"[""]"#),
    (r#"'abc'.find('z')"#, r#""""#),
    (r#"'abab'.findAll('ab', 1)"#, r#"["ab"]"#),
    (r#"'a.b'.matches('a\\.b')"#, r#"true"#),
    (
        r#"self.items.exists(i, i.missing == 1)"#,
        r#"no such key: missing"#,
    ),
    (
        r#"self.items.exists_one(i, i.extra)"#,
        r#"no such key: extra"#,
    ),
    (r#"dyn('a') < dyn(1)"#, r#"no such overload"#),
    (r#"{'a': 1}['b']"#, r#"no such key: b"#),
    (r#"[1][1]"#, r#"index out of bounds: 1"#),
    (r#"self.labels.size()"#, r#"2"#),
    (r#"self.items.map(i, i.n).isSorted()"#, r#"true"#),
    (r#"int(1.9) + int(-1.9)"#, r#"0"#),
    (r#"5 % -3"#, r#"2"#),
    (r#"-5 / 2"#, r#"-2"#),
];

#[test]
fn values_are_those_of_cel_go() {
    check(AS_CEL_GO);
}
