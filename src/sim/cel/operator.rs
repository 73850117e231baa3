//! Comparisons and arithmetic.

use std::cmp::Ordering;

use crate::sim::cel::tree::Operator;
use crate::sim::cel::value::{Fault, Outcome, Val};

pub(super) fn apply<'a>(operator: Operator, left: &Val<'a>, right: &Val<'a>) -> Outcome<'a> {
    match operator {
        Operator::Equal => Ok(Val::Bool(left == right)),
        Operator::Differs => Ok(Val::Bool(left != right)),
        Operator::Less => compared(left, right, Ordering::is_lt),
        Operator::AtMost => compared(left, right, Ordering::is_le),
        Operator::Greater => compared(left, right, Ordering::is_gt),
        Operator::AtLeast => compared(left, right, Ordering::is_ge),
        Operator::In => contains(left, right),
        Operator::Add => add(left, right),
        Operator::Subtract => subtract(left, right),
        Operator::Multiply | Operator::Divide | Operator::Remainder => {
            multiply(operator, left, right)
        }
    }
}

fn compared<'a>(left: &Val<'a>, right: &Val<'a>, is: fn(Ordering) -> bool) -> Outcome<'a> {
    // Nothing is less or greater than what is not a number.
    let is_number = |value: &Val<'_>| matches!(value, Val::Int(_) | Val::Uint(_) | Val::Double(_));
    if is_number(left) && is_number(right) {
        return Ok(Val::Bool(left.order_of_numbers(right).is_some_and(is)));
    }
    order(left, right).map(|order| Val::Bool(is(order)))
}

/// Which of two values is greater, of those that have an order.
pub(super) fn order(left: &Val<'_>, right: &Val<'_>) -> Result<Ordering, Fault> {
    match (left, right) {
        (Val::Text(a), Val::Text(b)) => Ok(a.cmp(b)),
        (Val::Bool(a), Val::Bool(b)) => Ok(a.cmp(b)),
        (Val::Bytes(a), Val::Bytes(b)) => Ok(a.cmp(b)),
        (Val::Duration(a), Val::Duration(b)) => Ok(a.cmp(b)),
        (Val::Moment(a), Val::Moment(b)) => Ok(a.cmp(b)),
        (a, b) => a.order_of_numbers(b).ok_or_else(Fault::no_overload),
    }
}

fn contains<'a>(item: &Val<'a>, of: &Val<'a>) -> Outcome<'a> {
    match of {
        Val::List(list) => Ok(Val::Bool(list.iter().any(|found| found == *item))),
        Val::Dict(dict) => Ok(Val::Bool(dict.get(item).is_some())),
        _ => Err(Fault::no_overload()),
    }
}

pub(super) fn negate<'a>(value: &Val<'a>) -> Outcome<'a> {
    match value {
        Val::Int(value) => value.checked_neg().map(Val::Int).ok_or_else(overflow),
        Val::Double(value) => Ok(Val::Double(-value)),
        _ => Err(Fault::no_overload()),
    }
}

fn overflow() -> Fault {
    Fault::new("integer overflow")
}

fn add<'a>(left: &Val<'a>, right: &Val<'a>) -> Outcome<'a> {
    match (left, right) {
        (Val::Int(a), Val::Int(b)) => a.checked_add(*b).map(Val::Int).ok_or_else(overflow),
        (Val::Uint(a), Val::Uint(b)) => a.checked_add(*b).map(Val::Uint).ok_or_else(overflow),
        (Val::Double(a), Val::Double(b)) => Ok(Val::Double(a + b)),
        (Val::Text(a), Val::Text(b)) => Ok(Val::text([a.as_ref(), b.as_ref()].concat())),
        (Val::Bytes(a), Val::Bytes(b)) => Ok(Val::Bytes([a.as_ref(), b.as_ref()].concat().into())),
        (Val::List(a), Val::List(b)) => Ok(Val::list(a.iter().chain(b.iter()).collect())),
        (Val::Duration(a), Val::Duration(b)) => {
            a.checked_add(*b).map(Val::Duration).ok_or_else(overflow)
        }
        (Val::Moment(moment), Val::Duration(duration))
        | (Val::Duration(duration), Val::Moment(moment)) => moment
            .checked_add(*duration)
            .map(Val::Moment)
            .map_err(|_| overflow()),
        _ => Err(Fault::no_overload()),
    }
}

fn subtract<'a>(left: &Val<'a>, right: &Val<'a>) -> Outcome<'a> {
    match (left, right) {
        (Val::Int(a), Val::Int(b)) => a.checked_sub(*b).map(Val::Int).ok_or_else(overflow),
        (Val::Uint(a), Val::Uint(b)) => a.checked_sub(*b).map(Val::Uint).ok_or_else(overflow),
        (Val::Double(a), Val::Double(b)) => Ok(Val::Double(a - b)),
        (Val::Duration(a), Val::Duration(b)) => {
            a.checked_sub(*b).map(Val::Duration).ok_or_else(overflow)
        }
        (Val::Moment(a), Val::Moment(b)) => Ok(Val::Duration(a.duration_since(*b))),
        (Val::Moment(moment), Val::Duration(duration)) => moment
            .checked_sub(*duration)
            .map(Val::Moment)
            .map_err(|_| overflow()),
        _ => Err(Fault::no_overload()),
    }
}

fn multiply<'a>(operator: Operator, left: &Val<'a>, right: &Val<'a>) -> Outcome<'a> {
    let by_zero = matches!(right, Val::Int(0) | Val::Uint(0));
    match (operator, left, right) {
        (Operator::Divide, ..) if by_zero => Err(Fault::new("division by zero")),
        (Operator::Remainder, ..) if by_zero => Err(Fault::new("modulus by zero")),
        (Operator::Multiply, Val::Int(a), Val::Int(b)) => {
            a.checked_mul(*b).map(Val::Int).ok_or_else(overflow)
        }
        (Operator::Multiply, Val::Uint(a), Val::Uint(b)) => {
            a.checked_mul(*b).map(Val::Uint).ok_or_else(overflow)
        }
        (Operator::Multiply, Val::Double(a), Val::Double(b)) => Ok(Val::Double(a * b)),
        (Operator::Divide, Val::Int(a), Val::Int(b)) => {
            a.checked_div(*b).map(Val::Int).ok_or_else(overflow)
        }
        (Operator::Divide, Val::Uint(a), Val::Uint(b)) => Ok(Val::Uint(a / b)),
        (Operator::Divide, Val::Double(a), Val::Double(b)) => Ok(Val::Double(a / b)),
        (Operator::Remainder, Val::Int(a), Val::Int(b)) => {
            a.checked_rem(*b).map(Val::Int).ok_or_else(overflow)
        }
        (Operator::Remainder, Val::Uint(a), Val::Uint(b)) => Ok(Val::Uint(a % b)),
        _ => Err(Fault::no_overload()),
    }
}
