//! What a query says, once it is read.

use crate::sim::promql::function::Function;
use crate::sim::promql::labels::Matcher;

/// What an expression gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number.
    Scalar,
    /// A text.
    Text,
    /// A value for each of some series.
    Vector,
    /// Samples of a time for each of some series.
    Matrix,
}

impl Kind {
    /// The name that Prometheus has for it in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Text => "string",
            Self::Vector => "instant vector",
            Self::Matrix => "range vector",
        }
    }
}

/// An expression. Times are milliseconds.
#[derive(Clone, Debug)]
pub enum Expr {
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
    /// The latest samples.
    Latest(Selector),
    /// The samples of a time up to now.
    Range(Selector, i64),
    /// A function of the table.
    Call(&'static Function, Vec<Self>),
    /// Many series into few.
    Aggregate(Aggregate, Grouping, Box<Self>),
    /// Two expressions.
    Binary(Binary, Box<Self>, Box<Self>),
    /// The value below zero.
    Negative(Box<Self>),
}

impl Expr {
    /// What it gives.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Number(_) => Kind::Scalar,
            Self::Text(_) => Kind::Text,
            Self::Latest(_) | Self::Aggregate(..) => Kind::Vector,
            Self::Range(..) => Kind::Matrix,
            Self::Call(function, _) => function.gives,
            Self::Negative(of) => of.kind(),
            Self::Binary(_, left, right) => match (left.kind(), right.kind()) {
                (Kind::Scalar, Kind::Scalar) => Kind::Scalar,
                _ => Kind::Vector,
            },
        }
    }
}

/// Which series, and when.
#[derive(Clone, Debug)]
pub struct Selector {
    /// All of them have to match.
    pub matchers: Vec<Matcher>,
    /// How long before.
    pub offset: i64,
    /// A time of its own instead of the query's.
    pub at: Option<At>,
}

/// What stands behind `@`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// A time.
    Time(i64),
    /// The first time of the query.
    Start,
    /// The last time of the query.
    End,
}

/// How many series become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    /// `sum`
    Sum,
    /// `min`
    Min,
    /// `max`
    Max,
    /// `avg`
    Average,
    /// `count`
    Count,
    /// `group`
    Group,
}

/// Which labels tell groups apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// These.
    By(Vec<String>),
    /// All but these and the name.
    Without(Vec<String>),
}

/// What is done with two expressions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binary {
    /// The operator.
    pub operator: Operator,
    /// A comparison gives 0 or 1 instead of leaving series out.
    pub truth: bool,
    /// Which labels have to agree.
    pub matching: Grouping,
}

/// An operator between two expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`
    Modulo,
    /// `^`
    Power,
    /// `==`
    Equal,
    /// `!=`
    Unequal,
    /// `>`
    Greater,
    /// `<`
    Less,
    /// `>=`
    AtLeast,
    /// `<=`
    AtMost,
    /// `or`
    Or,
    /// `and`
    And,
    /// `unless`
    Unless,
}

impl Operator {
    /// How strongly it binds, as Prometheus has it.
    #[must_use]
    pub fn binding(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And | Self::Unless => 2,
            Self::Equal | Self::Unequal => 3,
            Self::Greater | Self::Less | Self::AtLeast | Self::AtMost => 3,
            Self::Add | Self::Subtract => 4,
            Self::Multiply | Self::Divide | Self::Modulo => 5,
            Self::Power => 6,
        }
    }

    /// It takes sets of series, whatever their values are.
    #[must_use]
    pub fn is_of_sets(self) -> bool {
        matches!(self, Self::Or | Self::And | Self::Unless)
    }

    /// It compares values.
    #[must_use]
    pub fn compares(self) -> bool {
        self.binding() == 3
    }

    /// The number that it makes of two; a comparison says 1 or 0.
    #[must_use]
    pub fn apply(self, left: f64, right: f64) -> f64 {
        let truth = |holds: bool| if holds { 1.0 } else { 0.0 };
        match self {
            Self::Add => left + right,
            Self::Subtract => left - right,
            Self::Multiply => left * right,
            Self::Divide => left / right,
            Self::Modulo => left % right,
            Self::Power => left.powf(right),
            Self::Equal => truth(left == right),
            Self::Unequal => truth(left != right),
            Self::Greater => truth(left > right),
            Self::Less => truth(left < right),
            Self::AtLeast => truth(left >= right),
            Self::AtMost => truth(left <= right),
            Self::Or | Self::And | Self::Unless => f64::NAN,
        }
    }
}
