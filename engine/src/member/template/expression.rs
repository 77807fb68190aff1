//! Evaluates the expressions of a template.

use super::arguments::Arguments;
use super::interpreter::Interpreter;
use super::text::TextBuilder;
use super::value::{Function, Loop, Value, undefined};
use super::work::{Done, Fault, FaultKind, broken};
use super::{checks, filters, format, methods, show};
use minijinja::machinery::ast::{BinOpKind, CallArg, CompareOpKind, Expr, UnaryOpKind};

/// Longest `range`, as in Jinja's sandbox.
const LONGEST_RANGE: usize = 100_000;

impl<'t> Interpreter<'t, '_> {
    pub fn evaluate(&mut self, expression: &'t Expr<'t>) -> Done<Value> {
        self.deeper(|run| run.evaluate_here(expression)).map_err(|fault| fault.at(expression.span().start_line.into()))
    }

    fn evaluate_all(&mut self, expressions: &'t [Expr<'t>]) -> Done<Vec<Value>> {
        expressions.iter().map(|expression| self.evaluate(expression)).collect()
    }

    fn evaluate_here(&mut self, expression: &'t Expr<'t>) -> Done<Value> {
        match expression {
            Expr::Var(name) => self.look_up(name.id),
            Expr::Const(constant) => self.constant(&constant.value),
            Expr::List(list) => {
                let items = self.evaluate_all(&list.items)?;
                Value::list(self.work, items)
            }
            Expr::Tuple(tuple) => {
                let items = self.evaluate_all(&tuple.items)?;
                Value::tuple(self.work, items)
            }
            Expr::Map(map) => {
                let keys = self.evaluate_all(&map.keys)?;
                let values = self.evaluate_all(&map.values)?;
                Value::dict(self.work, keys.into_iter().zip(values))
            }
            Expr::UnaryOp(operation) => {
                let value = self.evaluate(&operation.expr)?;
                match operation.op {
                    UnaryOpKind::Not => Ok(Value::Bool(!value.is_true())),
                    UnaryOpKind::Neg => negative(&value),
                }
            }
            Expr::BinOp(operation) => {
                let left = self.evaluate(&operation.left)?;
                match operation.op {
                    BinOpKind::ScAnd if !left.is_true() => return Ok(left),
                    BinOpKind::ScOr if left.is_true() => return Ok(left),
                    _ => {}
                }
                let right = self.evaluate(&operation.right)?;
                self.binary(operation.op, left, right)
            }
            Expr::Compare(comparison) => {
                let mut left = self.evaluate(&comparison.expr)?;
                for operation in &comparison.ops {
                    let right = self.evaluate(&operation.expr)?;
                    if !self.compare(operation.op, &left, &right)? {
                        return Ok(Value::Bool(false));
                    }
                    left = right;
                }
                Ok(Value::Bool(true))
            }
            Expr::IfExpr(choice) => match (self.evaluate(&choice.test_expr)?.is_true(), &choice.false_expr) {
                (true, _) => self.evaluate(&choice.true_expr),
                (false, Some(other)) => self.evaluate(other),
                (false, None) => Ok(Value::Undefined("the other value of an `if`".into())),
            },
            Expr::GetAttr(access) => {
                let value = self.evaluate(&access.expr)?;
                self.attribute(&value, access.name)
            }
            Expr::GetItem(access) => {
                let value = self.evaluate(&access.expr)?;
                let key = self.evaluate(&access.subscript_expr)?;
                self.item(&value, &key)
            }
            Expr::Slice(slice) => {
                let value = self.evaluate(&slice.expr)?;
                let mut bounds = [None; 3];
                for (bound, expression) in bounds.iter_mut().zip([&slice.start, &slice.stop, &slice.step]) {
                    let Some(expression) = expression else { continue };
                    let value = self.evaluate(expression)?;
                    *bound = match (value.as_int(), value) {
                        (Some(number), _) => Some(number),
                        (None, Value::None) => None,
                        (None, _) => return Ok(Value::Undefined("a slice".into())),
                    };
                }
                self.slice(&value, bounds)
            }
            Expr::Call(call) => {
                let callee = self.evaluate(&call.expr)?;
                let arguments = self.arguments(&call.args)?;
                self.call(callee, arguments)
            }
            Expr::Filter(_) => self.filtered(Some(expression), Value::Undefined("".into())),
            Expr::Test(test) => {
                let value = self.evaluate(&test.expr)?;
                let arguments = self.arguments(&test.args)?;
                Ok(Value::Bool(checks::check(self, test.name, &value, &arguments)?))
            }
        }
    }

    /// What a chain of filters makes of `start`, which stands where the chain has no expression of its own.
    pub fn filtered(&mut self, filters: Option<&'t Expr<'t>>, start: Value) -> Done<Value> {
        let Some(Expr::Filter(filter)) = filters else { return Ok(start) };
        let value = match &filter.expr {
            None => start,
            Some(chain @ Expr::Filter(_)) => self.deeper(|run| run.filtered(Some(chain), start))?,
            Some(expression) => self.evaluate(expression)?,
        };
        let arguments = self.arguments(&filter.args)?;
        filters::apply(self, filter.name, value, arguments)
    }

    fn constant(&self, constant: &minijinja::Value) -> Done<Value> {
        if let Some(text) = constant.as_str() {
            return Value::text(self.work, text);
        }
        if constant.is_none() {
            return Ok(Value::None);
        }
        if constant.kind() == minijinja::value::ValueKind::Bool {
            return Ok(Value::Bool(constant.is_true()));
        }
        if constant.is_integer() {
            return i64::try_from(constant.clone()).map_or_else(|_| too_large(), |number| Ok(Value::Int(number)));
        }
        f64::try_from(constant.clone()).map_or_else(|_| broken("an unknown constant"), |number| Ok(Value::Float(number)))
    }

    pub fn arguments(&mut self, arguments: &'t [CallArg<'t>]) -> Done<Arguments> {
        let mut evaluated = Arguments::default();
        for argument in arguments {
            match argument {
                CallArg::Pos(expression) => evaluated.positional.push(self.evaluate(expression)?),
                CallArg::Kwarg(name, expression) => {
                    self.work.spend(name.len() + super::work::PLACE)?;
                    evaluated.named.push(((*name).into(), self.evaluate(expression)?));
                }
                CallArg::PosSplat(expression) => {
                    let items = self.evaluate(expression)?.items(self.work)?;
                    self.work.spend_places(items.items.len())?;
                    evaluated.positional.extend(items.items.iter().cloned());
                }
                CallArg::KwargSplat(expression) => {
                    let Value::Dict(dict) = self.evaluate(expression)? else { return broken("`**` needs a dictionary") };
                    for (name, value) in &dict.pairs {
                        let Some(name) = name.as_text() else { return broken("a name must be text") };
                        self.work.spend(name.len() + super::work::PLACE)?;
                        evaluated.named.push((name.as_str().into(), value.clone()));
                    }
                }
            }
        }
        Ok(evaluated)
    }

    pub fn call(&mut self, callee: Value, arguments: Arguments) -> Done<Value> {
        match callee {
            Value::Macro(number) => self.call_macro(number, arguments),
            Value::Method(method) => methods::call(self, &method.0, &method.1, &arguments),
            Value::Function(function) => self.call_function(function, arguments),
            Value::Loop(state) => {
                let items = arguments.needed(0, "iterable")?.clone();
                self.loop_again(&state, items)
            }
            Value::Undefined(name) => undefined(&name),
            _ => broken(format!("'{}' object is not callable", callee.type_name())),
        }
    }

    fn call_function(&mut self, function: Function, arguments: Arguments) -> Done<Value> {
        match function {
            Function::Range => self.range(&arguments),
            Function::Namespace | Function::Dict => {
                let mut pairs = Vec::new();
                match arguments.positional.first() {
                    Some(Value::Dict(dict)) => {
                        self.work.spend_places(dict.pairs.len())?;
                        pairs.extend(dict.pairs.iter().cloned());
                    }
                    Some(items) => {
                        for pair in &items.items(self.work)?.items {
                            let pair = pair.items(self.work)?;
                            let [key, value] = pair.items.as_slice() else { return broken("a pair has two items") };
                            pairs.push((key.clone(), value.clone()));
                        }
                    }
                    None => {}
                }
                for (name, value) in arguments.named {
                    pairs.push((Value::text(self.work, &name)?, value));
                }
                let dict = Value::dict(self.work, pairs)?;
                let (Function::Namespace, Value::Dict(dict)) = (function, &dict) else { return Ok(dict) };
                let mut names = Vec::new();
                for (name, value) in &dict.pairs {
                    names.push((show::string(self, name)?.as_str().into(), value.clone()));
                }
                self.new_namespace(names)
            }
            Function::RaiseException => {
                let words = show::string(self, arguments.needed(0, "message")?)?;
                Err(Fault { line: None, kind: FaultKind::Refused(words.as_str().into()) })
            }
            Function::StrftimeNow => {
                let format = arguments.needed_text(0, "format")?;
                self.work.spend(format.len().saturating_mul(256))?;
                match jiff::fmt::strtime::format(format.as_str(), self.now) {
                    Ok(date) => Value::text(self.work, &date),
                    Err(error) => broken(error.to_string()),
                }
            }
        }
    }

    fn range(&self, arguments: &Arguments) -> Done<Value> {
        let first = arguments.int(0, "start")?;
        let second = arguments.int(1, "stop")?;
        let step = arguments.int(2, "step")?.unwrap_or(1);
        let (start, stop) = match (first, second) {
            (Some(start), Some(stop)) => (start, stop),
            (Some(stop), None) => (0, stop),
            _ => return broken("range needs a whole number"),
        };
        let step_size = usize::try_from(step.unsigned_abs()).unwrap_or(usize::MAX);
        let distance = if step > 0 { stop.checked_sub(start) } else { start.checked_sub(stop) };
        let distance = usize::try_from(distance.unwrap_or(i64::MAX)).unwrap_or(0);
        if step_size == 0 {
            return broken("range() arg 3 must not be zero");
        }
        let count = distance.div_ceil(step_size);
        if count > LONGEST_RANGE {
            return broken(format!("Range too big. The sandbox blocks ranges larger than {LONGEST_RANGE}."));
        }
        self.work.spend_places(count)?;
        Value::list(self.work, (0..count as i64).map(|index| Value::Int(start + index * step)).collect())
    }

    /// `value.name`.
    pub fn attribute(&mut self, value: &Value, name: &str) -> Done<Value> {
        self.work.spend(name.len())?;
        if methods::has(value, name) {
            self.work.spend(super::work::PLACE)?;
            return Ok(Value::Method(std::rc::Rc::new((value.clone(), name.into()))));
        }
        let found = match value {
            Value::Dict(dict) => {
                self.work.spend(super::work::STEP * dict.pairs.len())?;
                let is_it = |key: &Value| key.as_text().is_some_and(|text| text.as_str() == name);
                dict.pairs.iter().find(|(key, _)| is_it(key)).map(|(_, value)| value.clone())
            }
            Value::Namespace(number) => {
                let namespace = &self.namespaces[*number];
                self.work.spend(namespace.len())?;
                namespace.iter().find(|(other, _)| **other == *name).map(|(_, value)| value.clone())
            }
            Value::Loop(state) => self.loop_attribute(state, name)?,
            Value::Tuple(pair) => match (name, pair.items.as_slice()) {
                ("grouper", [grouper, _]) => Some(grouper.clone()),
                ("list", [_, list]) => Some(list.clone()),
                _ => None,
            },
            Value::Macro(number) if name == "name" => Some(Value::text(self.work, self.macro_name(*number))?),
            Value::Undefined(name) => return undefined(name),
            _ => None,
        };
        Ok(found.unwrap_or_else(|| Value::Undefined(name.into())))
    }

    fn loop_attribute(&self, state: &std::rc::Rc<Loop>, name: &str) -> Done<Option<Value>> {
        let (index, count) = (state.index.get() as i64, state.items.items.len() as i64);
        let neighbour = |index: Option<usize>| {
            let missing = || Value::Undefined(format!("loop.{name}").into());
            index.and_then(|index| state.items.items.get(index)).cloned().unwrap_or_else(missing)
        };
        Ok(Some(match name {
            "index" => Value::Int(index + 1),
            "index0" => Value::Int(index),
            "revindex" => Value::Int(count - index),
            "revindex0" => Value::Int(count - index - 1),
            "first" => Value::Bool(index == 0),
            "last" => Value::Bool(index + 1 == count),
            "length" => Value::Int(count),
            "previtem" => neighbour(state.index.get().checked_sub(1)),
            "nextitem" => neighbour(Some(state.index.get() + 1)),
            "depth" => Value::Int(state.depth as i64 + 1),
            "depth0" => Value::Int(state.depth as i64),
            _ => return Ok(None),
        }))
    }

    /// `value[key]`.
    pub fn item(&mut self, value: &Value, key: &Value) -> Done<Value> {
        let found = match (value, key.as_int()) {
            (Value::Dict(dict), _) => dict.get(self.work, key)?.cloned(),
            (Value::List(items) | Value::Tuple(items), Some(index)) => {
                place(index, items.items.len()).map(|index| items.items[index].clone())
            }
            (Value::Text(text), Some(index)) => {
                self.work.spend(text.len())?;
                let mut characters = text.as_str().char_indices();
                let back = |index: i64| usize::try_from(index.unsigned_abs() - 1).unwrap_or(usize::MAX);
                let found = match index {
                    0.. => characters.nth(usize::try_from(index).unwrap_or(usize::MAX)),
                    _ => characters.nth_back(back(index)),
                };
                let part = found.map(|(at, character)| text.slice(self.work, at..at + character.len_utf8()));
                part.transpose()?.map(Value::Text)
            }
            (Value::Undefined(name), _) => return undefined(name),
            _ => None,
        };
        match (found, key) {
            (Some(value), _) => Ok(value),
            (None, Value::Text(name)) => self.attribute(value, name.as_str()),
            (None, _) => Ok(Value::Undefined(show::repr(self, key)?.as_str().into())),
        }
    }

    fn slice(&self, value: &Value, bounds: [Option<i64>; 3]) -> Done<Value> {
        let length = match value {
            Value::Undefined(name) => return undefined(name),
            Value::Text(_) | Value::List(_) | Value::Tuple(_) => value.len(self.work)?,
            _ => return Ok(Value::Undefined(format!("a slice of {}", value.type_name()).into())),
        };
        let [_, _, step] = bounds;
        if let (Value::Text(text), 1) = (value, step.unwrap_or(1)) {
            self.work.spend(text.len())?;
            let (start, stop) = ends(bounds, length);
            let place_of = |index: i64| {
                let index = usize::try_from(index).unwrap_or(0);
                text.as_str().char_indices().nth(index).map_or(text.len(), |(at, _)| at)
            };
            let start = place_of(start);
            return Ok(Value::Text(text.slice(self.work, start..place_of(stop).max(start))?));
        }
        if step == Some(0) {
            return broken("slice step cannot be zero");
        }
        let indices = indices(bounds, length);
        let items = value.items(self.work)?;
        self.work.spend_places(indices.len())?;
        let chosen = indices.into_iter().map(|index| items.items[index].clone());
        match value {
            Value::Text(_) => {
                let mut text = TextBuilder::new(self.work);
                chosen.into_iter().try_for_each(|item| item.as_text().map_or(Ok(()), |item| text.push(item)))?;
                Ok(Value::Text(text.finish()?))
            }
            Value::Tuple(_) => Value::tuple(self.work, chosen.collect()),
            _ => Value::list(self.work, chosen.collect()),
        }
    }

    fn compare(&self, operation: CompareOpKind, left: &Value, right: &Value) -> Done<bool> {
        Ok(match operation {
            CompareOpKind::Eq => left.equals(self.work, right)?,
            CompareOpKind::Ne => !left.equals(self.work, right)?,
            CompareOpKind::Lt => left.order(self.work, right)?.is_lt(),
            CompareOpKind::Lte => left.order(self.work, right)?.is_le(),
            CompareOpKind::Gt => left.order(self.work, right)?.is_gt(),
            CompareOpKind::Gte => left.order(self.work, right)?.is_ge(),
            CompareOpKind::In => right.contains(self.work, left)?,
            CompareOpKind::NotIn => !right.contains(self.work, left)?,
        })
    }

    fn binary(&mut self, operation: BinOpKind, left: Value, right: Value) -> Done<Value> {
        let compared = match operation {
            BinOpKind::ScAnd | BinOpKind::ScOr => return Ok(right),
            BinOpKind::Eq => CompareOpKind::Eq,
            BinOpKind::Ne => CompareOpKind::Ne,
            BinOpKind::Lt => CompareOpKind::Lt,
            BinOpKind::Lte => CompareOpKind::Lte,
            BinOpKind::Gt => CompareOpKind::Gt,
            BinOpKind::Gte => CompareOpKind::Gte,
            BinOpKind::In => CompareOpKind::In,
            BinOpKind::Concat => {
                let mut text = TextBuilder::new(self.work);
                show::push_string(self, &mut text, &left)?;
                show::push_string(self, &mut text, &right)?;
                return Ok(Value::Text(text.finish()?));
            }
            _ => return self.arithmetic(operation, &left, &right),
        };
        Ok(Value::Bool(self.compare(compared, &left, &right)?))
    }

    fn arithmetic(&mut self, operation: BinOpKind, left: &Value, right: &Value) -> Done<Value> {
        if let (Value::Undefined(name), _) | (_, Value::Undefined(name)) = (left, right) {
            return undefined(name);
        }
        match (operation, left, right) {
            (BinOpKind::Rem, Value::Text(format), _) => Ok(Value::Text(format::percent(self, format, right)?)),
            (BinOpKind::Add, Value::Text(left), Value::Text(right)) => {
                let mut text = TextBuilder::new(self.work);
                text.push(left)?;
                text.push(right)?;
                Ok(Value::Text(text.finish()?))
            }
            (BinOpKind::Add, Value::List(a), Value::List(b)) | (BinOpKind::Add, Value::Tuple(a), Value::Tuple(b)) => {
                self.work.spend_places(a.items.len() + b.items.len())?;
                let items = a.items.iter().chain(&b.items).cloned().collect();
                if matches!(left, Value::List(_)) { Value::list(self.work, items) } else { Value::tuple(self.work, items) }
            }
            (BinOpKind::Mul, sequence @ (Value::Text(_) | Value::List(_) | Value::Tuple(_)), count)
            | (BinOpKind::Mul, count, sequence @ (Value::Text(_) | Value::List(_) | Value::Tuple(_))) => {
                let Some(count) = count.as_int() else {
                    return broken(format!("can't multiply sequence by non-int of type '{}'", count.type_name()));
                };
                self.repeat(sequence, usize::try_from(count).unwrap_or(0))
            }
            _ => match (left.as_int(), right.as_int(), left.as_float(), right.as_float()) {
                (Some(a), Some(b), ..) => whole(operation, a, b),
                (_, _, Some(a), Some(b)) => real(operation, a, b),
                _ => broken(format!(
                    "unsupported operands for {}: '{}' and '{}'",
                    sign(operation),
                    left.type_name(),
                    right.type_name()
                )),
            },
        }
    }

    fn repeat(&self, sequence: &Value, count: usize) -> Done<Value> {
        let items = match sequence {
            Value::Text(text) => {
                let mut repeated = TextBuilder::new(self.work);
                repeated.push_times(text, count)?;
                return Ok(Value::Text(repeated.finish()?));
            }
            _ => sequence.items(self.work)?,
        };
        self.work.spend_places(items.items.len().saturating_mul(count))?;
        let length = items.items.len() * count;
        let repeated = items.items.iter().cycle().take(length).cloned().collect();
        match sequence {
            Value::Tuple(_) => Value::tuple(self.work, repeated),
            _ => Value::list(self.work, repeated),
        }
    }
}

/// Where `index` is in a sequence of this length; negative ones count from the end.
pub fn place(index: i64, length: usize) -> Option<usize> {
    let index = if index < 0 { index.checked_add(length as i64)? } else { index };
    usize::try_from(index).ok().filter(|&index| index < length)
}

/// First and last place of a slice, as Python cuts them to the length.
fn ends([start, stop, step]: [Option<i64>; 3], length: usize) -> (i64, i64) {
    let length = length as i64;
    let forward = step.unwrap_or(1) > 0;
    let cut = |bound: i64| {
        let bound = if bound < 0 { bound.saturating_add(length) } else { bound };
        if forward { bound.clamp(0, length) } else { bound.clamp(-1, length - 1) }
    };
    let start = start.map_or(if forward { 0 } else { length - 1 }, cut);
    (start, stop.map_or(if forward { length } else { -1 }, cut))
}

fn indices(bounds: [Option<i64>; 3], length: usize) -> Vec<usize> {
    let (start, stop) = ends(bounds, length);
    let step = bounds[2].unwrap_or(1);
    let inside = move |&index: &i64| if step > 0 { index < stop } else { index > stop };
    std::iter::successors(Some(start), |index| index.checked_add(step))
        .take_while(inside)
        .filter_map(|index| usize::try_from(index).ok())
        .collect()
}

fn negative(value: &Value) -> Done<Value> {
    match value {
        Value::Float(number) => Ok(Value::Float(-number)),
        Value::Undefined(name) => undefined(name),
        _ => match value.as_int() {
            Some(number) => number.checked_neg().map_or_else(too_large, |number| Ok(Value::Int(number))),
            None => broken(format!("bad operand type for unary -: '{}'", value.type_name())),
        },
    }
}

fn whole(operation: BinOpKind, a: i64, b: i64) -> Done<Value> {
    let result = match operation {
        BinOpKind::Add => a.checked_add(b),
        BinOpKind::Sub => a.checked_sub(b),
        BinOpKind::Mul => a.checked_mul(b),
        BinOpKind::Pow if b >= 0 => match (a, u32::try_from(b)) {
            (0 | 1, _) => Some(if b == 0 { 1 } else { a }),
            (-1, _) => Some(if b % 2 == 0 { 1 } else { -1 }),
            (_, Ok(b)) => a.checked_pow(b),
            _ => None,
        },
        BinOpKind::Div | BinOpKind::FloorDiv | BinOpKind::Rem if b == 0 => return broken("division by zero"),
        BinOpKind::FloorDiv => a.checked_div_euclid(b).map(|quotient| {
            // Python rounds down, where Rust keeps the remainder positive.
            if b < 0 && a.rem_euclid(b) != 0 { quotient - 1 } else { quotient }
        }),
        BinOpKind::Rem => a.checked_rem_euclid(b).map(|rest| if b < 0 && rest != 0 { rest + b } else { rest }),
        _ => return real(operation, a as f64, b as f64),
    };
    result.map_or_else(too_large, |number| Ok(Value::Int(number)))
}

fn real(operation: BinOpKind, a: f64, b: f64) -> Done<Value> {
    let divides = matches!(operation, BinOpKind::Div | BinOpKind::FloorDiv | BinOpKind::Rem);
    if divides && b == 0.0 || matches!(operation, BinOpKind::Pow) && a == 0.0 && b < 0.0 {
        return broken("division by zero");
    }
    Ok(Value::Float(match operation {
        BinOpKind::Add => a + b,
        BinOpKind::Sub => a - b,
        BinOpKind::Mul => a * b,
        BinOpKind::Div => a / b,
        BinOpKind::FloorDiv => (a / b).floor(),
        BinOpKind::Rem => a - b * (a / b).floor(),
        BinOpKind::Pow => a.powf(b),
        _ => return broken("an unknown operator"),
    }))
}

fn sign(operation: BinOpKind) -> &'static str {
    match operation {
        BinOpKind::Add => "+",
        BinOpKind::Sub => "-",
        BinOpKind::Mul => "*",
        BinOpKind::Div => "/",
        BinOpKind::FloorDiv => "//",
        BinOpKind::Rem => "%",
        _ => "**",
    }
}

fn too_large<T>() -> Done<T> {
    broken("a number does not fit 64 bits")
}

