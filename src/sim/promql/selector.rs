//! Selectors, and what may stand behind them.

use crate::sim::promql::Refused;
use crate::sim::promql::labels::{Comparison, Matcher, NAME};
use crate::sim::promql::lexer::Token;
use crate::sim::promql::parser::{Parsed, Parser};
use crate::sim::promql::syntax::{At, Expr, Selector};

impl Parser<'_> {
    /// A selector behind its name, if it has one.
    pub(super) fn selector(&mut self, name: Option<&str>) -> Parsed<Expr> {
        let place = self.place();
        let mut matchers = Vec::new();
        if let Some(name) = name {
            let matcher = Matcher::new(NAME, Comparison::Equal, name);
            matchers.push(matcher.map_err(|why| self.refused(why))?);
        }
        if self.take("{") {
            self.matchers(&mut matchers)?;
        }
        if matchers.iter().all(|matcher| matcher.takes("")) {
            let why = "vector selector must contain at least one non-empty matcher";
            return Err(Refused::new(self.query, place, why));
        }
        Ok(Expr::Latest(Selector {
            matchers,
            offset: 0,
            at: None,
        }))
    }

    fn matchers(&mut self, matchers: &mut Vec<Matcher>) -> Parsed<()> {
        let context = " in label matching";
        while !self.take("}") {
            let (Token::Word(label) | Token::Text(label)) = self.word().clone() else {
                return self.unexpected(" in label matching, expected identifier or \"}\"");
            };
            self.at += 1;
            let comparisons = [
                ("=", Comparison::Equal),
                ("!=", Comparison::Unequal),
                ("=~", Comparison::Like),
                ("!~", Comparison::Unlike),
            ];
            let Some(comparison) = self.one_of(&comparisons) else {
                return self.unexpected(" in label matching, expected label matching operator");
            };
            let Token::Text(value) = self.word() else {
                return self.unexpected(" in label matching, expected string");
            };
            let matcher = Matcher::new(&label, comparison, value);
            matchers.push(matcher.map_err(|why| self.refused(why))?);
            self.at += 1;
            if !self.take(",") {
                self.need("}", context)?;
                break;
            }
        }
        Ok(())
    }

    /// `[5m]`, `offset 1m` and `@ 5` behind an expression.
    pub(super) fn ranged(&mut self, mut operand: Expr) -> Parsed<Expr> {
        loop {
            let place = self.place();
            let refused = |why: &str| Err(Refused::new(self.query, place, why));
            operand = if self.take("[") {
                let Expr::Latest(selector) = operand else {
                    return refused("ranges only allowed for vector selectors");
                };
                Expr::Range(selector, self.range()?)
            } else if self.take("offset") {
                let offset = self.offset()?;
                match placed(operand, |selector| selector.offset = offset) {
                    Some(operand) => operand,
                    None => {
                        return refused(
                            "offset modifier must be preceded by an instant or range selector",
                        );
                    }
                }
            } else if self.take("@") {
                let at = self.moment()?;
                match placed(operand, |selector| selector.at = Some(at)) {
                    Some(operand) => operand,
                    None => {
                        return refused(
                            "@ modifier must be preceded by an instant or range selector",
                        );
                    }
                }
            } else {
                return Ok(operand);
            };
        }
    }

    fn range(&mut self) -> Parsed<i64> {
        let range = self.duration()?;
        if *self.word() == Token::Sign(":") {
            return Err(
                self.refused("subqueries are not supported by this simulation of Prometheus")
            );
        }
        if range <= 0 {
            return Err(self.refused("duration must be greater than 0"));
        }
        self.need("]", " in subquery or range selector")?;
        Ok(range)
    }

    fn offset(&mut self) -> Parsed<i64> {
        let negative = self.take("-");
        let offset = self.duration()?;
        Ok(if negative { -offset } else { offset })
    }

    /// A duration, or a number of seconds.
    fn duration(&mut self) -> Parsed<i64> {
        let duration = match self.word() {
            Token::Duration(milliseconds) => *milliseconds,
            Token::Number(seconds) => (seconds * 1000.0) as i64,
            _ => return self.unexpected(", expected number or duration"),
        };
        self.at += 1;
        Ok(duration)
    }

    fn moment(&mut self) -> Parsed<At> {
        for (name, at) in [("start", At::Start), ("end", At::End)] {
            if self.take(name) {
                self.need("(", " in @")?;
                self.need(")", " in @")?;
                return Ok(at);
            }
        }
        self.offset().map(At::Time)
    }
}

/// The selector with a change; `None`: it is no selector.
fn placed(mut operand: Expr, change: impl FnOnce(&mut Selector)) -> Option<Expr> {
    match &mut operand {
        Expr::Latest(selector) | Expr::Range(selector, _) => change(selector),
        _ => return None,
    }
    Some(operand)
}
