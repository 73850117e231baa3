//! What an expression is once it is read.

/// A constant.
#[derive(Debug)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
}

/// What stands between two operands that are both evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    Differs,
    Less,
    AtMost,
    Greater,
    AtLeast,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// A value in a list, map or object; an optional one is left out if it is none.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) optional: bool,
    pub(super) value: Expr,
}

/// An expression.
#[derive(Debug)]
pub(super) enum Expr {
    Literal(Literal),
    Name(String),
    Select {
        of: Box<Self>,
        field: String,
        optional: bool,
    },
    Has {
        of: Box<Self>,
        field: String,
    },
    Index {
        of: Box<Self>,
        key: Box<Self>,
        optional: bool,
    },
    Call {
        name: String,
        arguments: Vec<Self>,
    },
    Method {
        of: Box<Self>,
        name: String,
        arguments: Vec<Self>,
    },
    List(Vec<Item>),
    Map(Vec<(Self, Item)>),
    /// `JSONPatch{op: "add"}`, `Object.spec{…}`.
    Object(Vec<(String, Item)>),
    Not(Box<Self>),
    Negate(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Binary(Operator, Box<Self>, Box<Self>),
    Choose {
        condition: Box<Self>,
        then: Box<Self>,
        otherwise: Box<Self>,
    },
    Fold(Box<Fold>),
}

/// Which macro a fold is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Macro {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
    TransformList,
    TransformMap,
    SortBy,
    OptMap,
    OptFlatMap,
}

impl Macro {
    /// The macro that is called like that behind a value.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "all" => Self::All,
            "exists" => Self::Exists,
            "exists_one" | "existsOne" => Self::ExistsOne,
            "map" => Self::Map,
            "filter" => Self::Filter,
            "transformList" => Self::TransformList,
            "transformMap" => Self::TransformMap,
            "sortBy" => Self::SortBy,
            "optMap" => Self::OptMap,
            "optFlatMap" => Self::OptFlatMap,
            _ => return None,
        })
    }
}

/// A macro: what it runs over, the names that it binds, and what it evaluates for each entry.
#[derive(Debug)]
pub(super) struct Fold {
    pub(super) how: Macro,
    pub(super) of: Expr,
    /// One name, or two: of the index or key, and of the value.
    pub(super) names: Vec<String>,
    /// Of a `map` with three arguments and of the transformations: which entries are taken.
    pub(super) only: Option<Expr>,
    pub(super) body: Expr,
}
