//! Reads an expression: precedence as in the specification of CEL, macros replaced by folds.

use std::collections::BTreeSet;

use crate::sim::cel::lex::{Token, lex};
use crate::sim::cel::tree::{Expr, Fold, Item, Literal, Macro, Operator};

/// An expression, and the names that it takes from outside.
pub(super) struct Parsed {
    pub(super) tree: Expr,
    pub(super) names: BTreeSet<String>,
    pub(super) variables: BTreeSet<String>,
}

/// How deeply expressions may be nested; cel-go takes 250, and no stack of ours is tried with that.
const DEPTH: usize = 100;

/// Names before a point that belong to the name of a function.
const LIBRARIES: [&str; 5] = ["optional", "jsonpatch", "sets", "lists", "strings"];

/// Words that name nothing.
const RESERVED: [&str; 16] = [
    "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop",
    "package", "return", "var", "void", "while",
];

const RELATIONS: [(&str, Operator); 6] = [
    ("==", Operator::Equal),
    ("!=", Operator::Differs),
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("<", Operator::Less),
    (">", Operator::Greater),
];
const SUMS: [(&str, Operator); 2] = [("+", Operator::Add), ("-", Operator::Subtract)];
const PRODUCTS: [(&str, Operator); 3] = [
    ("*", Operator::Multiply),
    ("/", Operator::Divide),
    ("%", Operator::Remainder),
];

/// Reads an expression to its end.
pub(super) fn parse(text: &str) -> Result<Parsed, String> {
    let mut parser = Parser {
        tokens: lex(text)?,
        at: 0,
        depth: 0,
        bound: Vec::new(),
        names: BTreeSet::new(),
        variables: BTreeSet::new(),
    };
    let tree = parser.expression()?;
    if parser.at < parser.tokens.len() {
        return Err(parser.unexpected());
    }
    Ok(Parsed {
        tree,
        names: parser.names,
        variables: parser.variables,
    })
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    /// What the macros around this place bind.
    bound: Vec<String>,
    names: BTreeSet<String>,
    variables: BTreeSet<String>,
}

type Parse<T> = Result<T, String>;

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn unexpected(&self) -> String {
        self.peek().map_or_else(
            || "mismatched input '<EOF>'".to_owned(),
            |token| format!("mismatched input {token:?}"),
        )
    }

    fn takes(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Sign(found)) if *found == sign);
        self.at += usize::from(found);
        found
    }

    fn needs(&mut self, sign: &str) -> Parse<()> {
        if self.takes(sign) {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    fn name(&mut self) -> Parse<String> {
        match self.peek().cloned() {
            Some(Token::Name(name)) => {
                self.at += 1;
                Ok(name)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn expression(&mut self) -> Parse<Expr> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err("expression recursion limit exceeded".to_owned());
        }
        let found = self.choice();
        self.depth -= 1;
        found
    }

    fn choice(&mut self) -> Parse<Expr> {
        let condition = self.any_of()?;
        if !self.takes("?") {
            return Ok(condition);
        }
        let then = self.any_of()?;
        self.needs(":")?;
        Ok(Expr::Choose {
            condition: Box::new(condition),
            then: Box::new(then),
            otherwise: Box::new(self.expression()?),
        })
    }

    fn any_of(&mut self) -> Parse<Expr> {
        let mut left = self.all_of()?;
        while self.takes("||") {
            left = Expr::Or(Box::new(left), Box::new(self.all_of()?));
        }
        Ok(left)
    }

    fn all_of(&mut self) -> Parse<Expr> {
        let mut left = self.relation()?;
        while self.takes("&&") {
            left = Expr::And(Box::new(left), Box::new(self.relation()?));
        }
        Ok(left)
    }

    fn relation(&mut self) -> Parse<Expr> {
        let mut left = self.sum()?;
        while let Some(operator) = self.relating() {
            left = Expr::Binary(operator, Box::new(left), Box::new(self.sum()?));
        }
        Ok(left)
    }

    fn relating(&mut self) -> Option<Operator> {
        if matches!(self.peek(), Some(Token::Name(name)) if name == "in") {
            self.at += 1;
            return Some(Operator::In);
        }
        self.operator(&RELATIONS)
    }

    fn operator(&mut self, among: &[(&str, Operator)]) -> Option<Operator> {
        among
            .iter()
            .find(|(sign, _)| self.takes(sign))
            .map(|(_, operator)| *operator)
    }

    fn sum(&mut self) -> Parse<Expr> {
        let mut left = self.product()?;
        while let Some(operator) = self.operator(&SUMS) {
            left = Expr::Binary(operator, Box::new(left), Box::new(self.product()?));
        }
        Ok(left)
    }

    fn product(&mut self) -> Parse<Expr> {
        let mut left = self.unary()?;
        while let Some(operator) = self.operator(&PRODUCTS) {
            left = Expr::Binary(operator, Box::new(left), Box::new(self.unary()?));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Parse<Expr> {
        let mut signs = Vec::new();
        while let Some(sign) = ["!", "-"].into_iter().find(|sign| self.takes(sign)) {
            signs.push(sign);
        }
        let mut found = self.member()?;
        for sign in signs.into_iter().rev() {
            found = match sign {
                "!" => Expr::Not(Box::new(found)),
                _ => Expr::Negate(Box::new(found)),
            };
        }
        Ok(found)
    }

    fn member(&mut self) -> Parse<Expr> {
        let mut of = self.primary()?;
        loop {
            of = if self.takes(".") {
                self.behind_point(of)?
            } else if self.takes("[") {
                self.index(of)?
            } else if self.opens_object(&of) {
                self.object()?
            } else {
                return Ok(of);
            };
        }
    }

    fn behind_point(&mut self, of: Expr) -> Parse<Expr> {
        let optional = self.takes("?");
        let field = self.name()?;
        if !optional && self.takes("(") {
            return self.method(of, field);
        }
        if matches!(&of, Expr::Name(name) if name == "variables") {
            self.variables.insert(field.clone());
        }
        Ok(Expr::Select {
            of: Box::new(of),
            field,
            optional,
        })
    }

    fn method(&mut self, of: Expr, name: String) -> Parse<Expr> {
        if let Expr::Name(library) = &of
            && LIBRARIES.contains(&library.as_str())
            && !self.bound.contains(library)
        {
            let name = format!("{library}.{name}");
            self.names.remove(library);
            return self.call(name);
        }
        if let Some(how) = Macro::named(&name)
            && let Some(names) = self.binding(how)
        {
            return self.fold(how, of, names);
        }
        let arguments = self.arguments()?;
        Ok(Expr::Method {
            of: Box::new(of),
            name,
            arguments,
        })
    }

    /// The one or two names with which the arguments of a macro begin. The last argument is an expression even where it is
    /// a name.
    fn binding(&mut self, how: Macro) -> Option<Vec<String>> {
        let most = match how {
            Macro::All
            | Macro::Exists
            | Macro::ExistsOne
            | Macro::TransformList
            | Macro::TransformMap => 2,
            Macro::Map | Macro::Filter | Macro::SortBy | Macro::OptMap | Macro::OptFlatMap => 1,
        };
        let mut names = Vec::new();
        while names.len() < most
            && let Some([Token::Name(name), Token::Sign(","), ..]) = self.tokens.get(self.at..)
        {
            names.push(name.clone());
            self.at += 2;
        }
        (!names.is_empty()).then_some(names)
    }

    fn fold(&mut self, how: Macro, of: Expr, names: Vec<String>) -> Parse<Expr> {
        let outer = self.bound.len();
        self.bound.extend(names.iter().cloned());
        let mut arguments = self.arguments()?;
        self.bound.truncate(outer);
        let body = arguments.pop().ok_or("a macro without a body")?;
        let only = arguments.pop();
        let takes_filter = matches!(how, Macro::Map | Macro::TransformList | Macro::TransformMap);
        if !arguments.is_empty() || (only.is_some() && !takes_filter) {
            return Err("a macro with too many arguments".to_owned());
        }
        Ok(Expr::Fold(Box::new(Fold {
            how,
            of,
            names,
            only,
            body,
        })))
    }

    fn index(&mut self, of: Expr) -> Parse<Expr> {
        let optional = self.takes("?");
        let key = self.expression()?;
        self.needs("]")?;
        Ok(Expr::Index {
            of: Box::new(of),
            key: Box::new(key),
            optional,
        })
    }

    fn arguments(&mut self) -> Parse<Vec<Expr>> {
        let mut found = Vec::new();
        while !self.takes(")") {
            found.push(self.expression()?);
            if !self.takes(",") {
                self.needs(")")?;
                break;
            }
        }
        Ok(found)
    }

    fn primary(&mut self) -> Parse<Expr> {
        let unexpected = self.unexpected();
        let literal = match self.next() {
            Some(Token::Name(name)) => return self.named(name),
            Some(Token::Sign("(")) => {
                let inner = self.expression()?;
                self.needs(")")?;
                return Ok(inner);
            }
            Some(Token::Sign("[")) => return self.list(),
            Some(Token::Sign("{")) => return self.map(),
            Some(Token::Int(value)) => Literal::Int(value),
            Some(Token::Uint(value)) => Literal::Uint(value),
            Some(Token::Double(value)) => Literal::Double(value),
            Some(Token::Text(value)) => Literal::Text(value),
            Some(Token::Bytes(value)) => Literal::Bytes(value),
            Some(Token::Sign(_)) | None => return Err(unexpected),
        };
        Ok(Expr::Literal(literal))
    }

    fn named(&mut self, name: String) -> Parse<Expr> {
        let literal = match name.as_str() {
            "true" => Literal::Bool(true),
            "false" => Literal::Bool(false),
            "null" => Literal::Null,
            reserved if reserved == "in" || RESERVED.contains(&reserved) => {
                return Err(format!("reserved identifier: {name}"));
            }
            _ if self.takes("(") => return self.call(name),
            _ => {
                if !self.bound.contains(&name) {
                    self.names.insert(name.clone());
                }
                return Ok(Expr::Name(name));
            }
        };
        Ok(Expr::Literal(literal))
    }

    fn call(&mut self, name: String) -> Parse<Expr> {
        let mut arguments = self.arguments()?;
        if name != "has" {
            return Ok(Expr::Call { name, arguments });
        }
        match (arguments.pop(), arguments.is_empty()) {
            (
                Some(Expr::Select {
                    of,
                    field,
                    optional: false,
                }),
                true,
            ) => Ok(Expr::Has { of, field }),
            _ => Err("invalid argument to has() macro".to_owned()),
        }
    }

    fn item(&mut self) -> Parse<Item> {
        let optional = self.takes("?");
        Ok(Item {
            optional,
            value: self.expression()?,
        })
    }

    fn list(&mut self) -> Parse<Expr> {
        let mut items = Vec::new();
        while !self.takes("]") {
            items.push(self.item()?);
            if !self.takes(",") {
                self.needs("]")?;
                break;
            }
        }
        Ok(Expr::List(items))
    }

    fn map(&mut self) -> Parse<Expr> {
        let mut entries = Vec::new();
        while !self.takes("}") {
            let optional = self.takes("?");
            let key = self.expression()?;
            self.needs(":")?;
            let value = self.expression()?;
            entries.push((key, Item { optional, value }));
            if !self.takes(",") {
                self.needs("}")?;
                break;
            }
        }
        Ok(Expr::Map(entries))
    }

    /// A brace behind a name with points opens an object of that type.
    fn opens_object(&mut self, of: &Expr) -> bool {
        if !matches!(self.peek(), Some(Token::Sign("{"))) {
            return false;
        }
        let mut inner = of;
        while let Expr::Select {
            of,
            optional: false,
            ..
        } = inner
        {
            inner = of;
        }
        let Expr::Name(root) = inner else {
            return false;
        };
        self.names.remove(root);
        self.at += 1;
        true
    }

    fn object(&mut self) -> Parse<Expr> {
        let mut fields = Vec::new();
        while !self.takes("}") {
            let optional = self.takes("?");
            let field = self.name()?;
            self.needs(":")?;
            let value = self.expression()?;
            fields.push((field, Item { optional, value }));
            if !self.takes(",") {
                self.needs("}")?;
                break;
            }
        }
        Ok(Expr::Object(fields))
    }
}
