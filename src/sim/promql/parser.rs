//! From words to an expression.

use crate::sim::promql::Refused;
use crate::sim::promql::function::Function;
use crate::sim::promql::lexer::{self, Token};
use crate::sim::promql::syntax::{Aggregate, Binary, Expr, Grouping, Kind, Operator};

/// Expressions within expressions: more than anybody writes, less than the stack holds.
const DEPTH: usize = 200;

const OPERATORS: [(&str, Operator); 15] = [
    ("+", Operator::Add),
    ("-", Operator::Subtract),
    ("*", Operator::Multiply),
    ("/", Operator::Divide),
    ("%", Operator::Modulo),
    ("^", Operator::Power),
    ("==", Operator::Equal),
    ("!=", Operator::Unequal),
    (">", Operator::Greater),
    ("<", Operator::Less),
    (">=", Operator::AtLeast),
    ("<=", Operator::AtMost),
    ("or", Operator::Or),
    ("and", Operator::And),
    ("unless", Operator::Unless),
];

const AGGREGATES: [(&str, Aggregate); 6] = [
    ("sum", Aggregate::Sum),
    ("min", Aggregate::Min),
    ("max", Aggregate::Max),
    ("avg", Aggregate::Average),
    ("count", Aggregate::Count),
    ("group", Aggregate::Group),
];

/// What Prometheus knows and this does not.
const UNSUPPORTED: [&str; 11] = [
    "topk",
    "bottomk",
    "quantile",
    "stddev",
    "stdvar",
    "count_values",
    "limitk",
    "limit_ratio",
    "group_left",
    "group_right",
    "atan2",
];

/// Reads a query.
pub(super) fn parse(query: &str) -> Result<Expr, Refused> {
    let mut parser = Parser {
        query,
        words: lexer::words(query)?,
        at: 0,
        depth: 0,
    };
    if *parser.word() == Token::End {
        return Err(parser.refused("no expression found in input"));
    }
    let expr = parser.expression(0)?;
    match parser.word() {
        Token::End => Ok(expr),
        word => Err(parser.refused(format!("unexpected {}", word.spoken()))),
    }
}

/// Reads words one by one.
pub(super) struct Parser<'a> {
    pub(super) query: &'a str,
    words: Vec<(Token, usize)>,
    /// The word that comes next.
    pub(super) at: usize,
    depth: usize,
}

pub(super) type Parsed<T> = Result<T, Refused>;

impl Parser<'_> {
    pub(super) fn word(&self) -> &Token {
        self.words
            .get(self.at)
            .map_or(&Token::End, |(word, _)| word)
    }

    pub(super) fn place(&self) -> usize {
        let place = self.words.get(self.at).map(|(_, place)| *place);
        place.unwrap_or(self.query.len())
    }

    pub(super) fn refused(&self, why: impl Into<String>) -> Refused {
        Refused::new(self.query, self.place(), why)
    }

    pub(super) fn unexpected<T>(&self, context: &str) -> Parsed<T> {
        Err(self.refused(format!("unexpected {}{context}", self.word().spoken())))
    }

    /// The word, if it is this sign or keyword; keywords are read in any case.
    pub(super) fn take(&mut self, wanted: &str) -> bool {
        let found = match self.word() {
            Token::Sign(sign) => *sign == wanted,
            Token::Word(word) => word.eq_ignore_ascii_case(wanted),
            Token::Number(_) | Token::Duration(_) | Token::Text(_) | Token::End => false,
        };
        self.at += usize::from(found);
        found
    }

    pub(super) fn need(&mut self, wanted: &str, context: &str) -> Parsed<()> {
        if self.take(wanted) {
            return Ok(());
        }
        self.unexpected(&format!("{context}, expected {wanted:?}"))
    }

    /// What the table has for the word, which is taken.
    pub(super) fn one_of<T: Copy>(&mut self, table: &[(&str, T)]) -> Option<T> {
        let found = table.iter().find(|(name, _)| self.take(name));
        found.map(|(_, what)| *what)
    }

    /// An expression of operators that bind more strongly than `above`.
    fn expression(&mut self, above: u8) -> Parsed<Expr> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(self.refused("the query is nested too deeply"));
        }
        let mut left = self.operand()?;
        while let Some((operator, at)) = self.operator(above) {
            left = self.binary(left, operator, at)?;
        }
        self.depth -= 1;
        Ok(left)
    }

    /// The operator that comes next, if it binds more strongly, and where it stands.
    fn operator(&mut self, above: u8) -> Option<(Operator, usize)> {
        let (at, place) = (self.at, self.place());
        let operator = self.one_of(&OPERATORS)?;
        if operator.binding() > above {
            return Some((operator, place));
        }
        self.at = at;
        None
    }

    fn binary(&mut self, left: Expr, operator: Operator, place: usize) -> Parsed<Expr> {
        let truth = self.take("bool");
        let matching = self.matching()?;
        // A power is taken from the right: 2^3^2 is 2^9.
        let above = operator.binding() - u8::from(operator == Operator::Power);
        let right = self.expression(above)?;
        let refused = |why: &str| Err(Refused::new(self.query, place, why));
        let kinds = [left.kind(), right.kind()];
        if kinds
            .iter()
            .any(|kind| !matches!(kind, Kind::Scalar | Kind::Vector))
        {
            return refused("binary expression must contain only scalar and instant vector types");
        }
        if truth && !operator.compares() {
            return refused("bool modifier can only be used on comparison operators");
        }
        if operator.is_of_sets() && kinds.contains(&Kind::Scalar) {
            return refused("set operator not allowed in binary scalar expression");
        }
        if operator.compares() && !truth && kinds == [Kind::Scalar; 2] {
            return refused("comparisons between scalars must use BOOL modifier");
        }
        let binary = Binary {
            operator,
            truth,
            matching,
        };
        Ok(Expr::Binary(binary, Box::new(left), Box::new(right)))
    }

    /// `on (…)` or `ignoring (…)` behind an operator.
    fn matching(&mut self) -> Parsed<Grouping> {
        let matching = if self.take("on") {
            Grouping::By(self.names()?)
        } else if self.take("ignoring") {
            Grouping::Without(self.names()?)
        } else {
            Grouping::Without(Vec::new())
        };
        self.supported()?;
        Ok(matching)
    }

    fn supported(&self) -> Parsed<()> {
        match self.word() {
            Token::Word(word) if UNSUPPORTED.contains(&word.to_ascii_lowercase().as_str()) => {
                Err(self.refused(format!(
                    "{word} is not supported by this simulation of Prometheus"
                )))
            }
            _ => Ok(()),
        }
    }

    /// `(a, b)`
    fn names(&mut self) -> Parsed<Vec<String>> {
        self.need("(", " in grouping opts")?;
        let mut names = Vec::new();
        while !self.take(")") {
            let Token::Word(name) = self.word() else {
                return self.unexpected(" in grouping opts, expected label");
            };
            names.push(name.clone());
            self.at += 1;
            if !self.take(",") {
                self.need(")", " in grouping opts")?;
                break;
            }
        }
        Ok(names)
    }

    fn operand(&mut self) -> Parsed<Expr> {
        let place = self.place();
        if self.take("-") {
            // A power binds more strongly than a sign.
            let of = self.expression(Operator::Multiply.binding())?;
            return self.negative(of, place);
        }
        if self.take("+") {
            return self.expression(Operator::Multiply.binding());
        }
        let operand = self.primary()?;
        self.ranged(operand)
    }

    fn negative(&self, of: Expr, place: usize) -> Parsed<Expr> {
        match (of.kind(), of) {
            (_, Expr::Number(number)) => Ok(Expr::Number(-number)),
            (Kind::Scalar | Kind::Vector, of) => Ok(Expr::Negative(Box::new(of))),
            (kind, _) => {
                let why = format!(
                    "unary expression only allowed on expressions of type scalar or instant vector, got {:?}",
                    kind.name()
                );
                Err(Refused::new(self.query, place, why))
            }
        }
    }

    fn primary(&mut self) -> Parsed<Expr> {
        self.supported()?;
        match self.word().clone() {
            Token::Number(number) => {
                self.at += 1;
                Ok(Expr::Number(number))
            }
            Token::Duration(milliseconds) => {
                self.at += 1;
                Ok(Expr::Number(milliseconds as f64 / 1000.0))
            }
            Token::Text(text) => {
                self.at += 1;
                Ok(Expr::Text(text))
            }
            Token::Word(word) => self.named(&word),
            Token::Sign("(") => {
                self.at += 1;
                let inner = self.expression(0)?;
                self.need(")", " in paren expression")?;
                Ok(inner)
            }
            Token::Sign("{") => self.selector(None),
            Token::Sign(_) | Token::End => self.unexpected(""),
        }
    }

    /// What begins with a word: an aggregation, a call, a number, a selector.
    fn named(&mut self, word: &str) -> Parsed<Expr> {
        let next = self.words.get(self.at + 1).map(|(word, _)| word.clone());
        let opens = next == Some(Token::Sign("("));
        let groups = matches!(&next, Some(Token::Word(word)) if is_grouping(word));
        if (opens || groups)
            && let Some(aggregate) = self.one_of(&AGGREGATES)
        {
            return self.aggregate(aggregate);
        }
        if opens {
            return self.call(word);
        }
        for (name, number) in [("inf", f64::INFINITY), ("nan", f64::NAN)] {
            if self.take(name) {
                return Ok(Expr::Number(number));
            }
        }
        self.at += 1;
        self.selector(Some(word))
    }

    fn aggregate(&mut self, aggregate: Aggregate) -> Parsed<Expr> {
        let before = self.grouping()?;
        self.need("(", " in aggregation")?;
        let place = self.place();
        let of = self.expression(0)?;
        self.need(")", " in aggregation")?;
        self.expect(&of, Kind::Vector, "aggregation expression", place)?;
        let grouping = match before {
            Some(grouping) => grouping,
            None => self.grouping()?.unwrap_or(Grouping::By(Vec::new())),
        };
        Ok(Expr::Aggregate(aggregate, grouping, Box::new(of)))
    }

    fn grouping(&mut self) -> Parsed<Option<Grouping>> {
        if self.take("by") {
            return self.names().map(Grouping::By).map(Some);
        }
        if self.take("without") {
            return self.names().map(Grouping::Without).map(Some);
        }
        Ok(None)
    }

    fn expect(&self, expr: &Expr, kind: Kind, context: &str, place: usize) -> Parsed<()> {
        if expr.kind() == kind {
            return Ok(());
        }
        let (wanted, got) = (kind.name(), expr.kind().name());
        let why = format!("expected type {wanted} in {context}, got {got}");
        Err(Refused::new(self.query, place, why))
    }

    fn call(&mut self, word: &str) -> Parsed<Expr> {
        let place = self.place();
        let Some(function) = Function::named(word) else {
            return Err(self.refused(format!("unknown function with name {word:?}")));
        };
        self.at += 2;
        let mut arguments = Vec::new();
        while !self.take(")") {
            let place = self.place();
            let argument = self.expression(0)?;
            if let Some(kind) = function.takes.get(arguments.len()) {
                let context = format!("call to function {word:?}");
                self.expect(&argument, *kind, &context, place)?;
            }
            arguments.push(argument);
            if !self.take(",") {
                self.need(")", " in function call")?;
                break;
            }
        }
        let fits = function.least()..=function.takes.len();
        if !fits.contains(&arguments.len()) {
            let why = format!(
                "expected {} argument(s) in call to {word:?}, got {}",
                function.takes.len(),
                arguments.len()
            );
            return Err(Refused::new(self.query, place, why));
        }
        Ok(Expr::Call(function, arguments))
    }
}

fn is_grouping(word: &str) -> bool {
    ["by", "without"]
        .iter()
        .any(|name| word.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_query_is_refused_as_prometheus_does() {
        let rows = [
            ("", "1:1: parse error: no expression found in input"),
            (
                "sum(up",
                "1:7: parse error: unexpected end of input in aggregation, expected \")\"",
            ),
            ("up +", "1:5: parse error: unexpected end of input"),
            (
                "rate(up)",
                "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector",
            ),
            (
                "nope(up)",
                "1:1: parse error: unknown function with name \"nope\"",
            ),
            (
                "up{a}",
                "1:5: parse error: unexpected \"}\" in label matching, expected label matching operator",
            ),
            (
                r#"{a=""}"#,
                "1:1: parse error: vector selector must contain at least one non-empty matcher",
            ),
            (
                "1 > 2",
                "1:3: parse error: comparisons between scalars must use BOOL modifier",
            ),
            (
                "1 or up",
                "1:3: parse error: set operator not allowed in binary scalar expression",
            ),
            (
                "up[5m] + 1",
                "1:8: parse error: binary expression must contain only scalar and instant vector types",
            ),
            (
                "sum(up)[5m]",
                "1:8: parse error: ranges only allowed for vector selectors",
            ),
            ("up up", "1:4: parse error: unexpected identifier \"up\""),
            (
                "clamp_min(up)",
                "1:1: parse error: expected 2 argument(s) in call to \"clamp_min\", got 1",
            ),
            (
                "topk(3, up)",
                "1:1: parse error: topk is not supported by this simulation of Prometheus",
            ),
        ];
        for (query, expected) in rows {
            assert_eq!(parse(query).unwrap_err().to_string(), expected, "{query}");
        }
    }

    #[test]
    fn a_deep_query_is_refused() {
        let deep = format!("{}1{}", "(".repeat(10_000), ")".repeat(10_000));
        assert!(parse(&deep).is_err());
        let long = vec!["up"; 2_000].join(" or ");
        assert!(parse(&long).is_ok());
    }

    #[test]
    fn queries_of_templates_are_read() {
        for query in [
            "sum(rate(a{b=\"c\"}[1m])) by (d) / sum(rate(e[1m])) by (d) * 100",
            "SUM BY (a,) (up) > bool 1",
            "up offset 5m",
            "up[5m] offset -1m @ 1000.5",
            "up @ end()",
            "a and on(b) c unless ignoring(d) e",
            "-2 ^ 2 + +up",
            "{__name__=~\"a|b\",}",
            "sum",
            "vector(0) > 0",
            "rate(x[60])",
        ] {
            assert!(parse(query).is_ok(), "{query}: {:?}", parse(query));
        }
    }
}
