//! Evaluates the expressions of a template.

use super::arguments::Arguments;
use super::arithmetic::{negative, too_large};
use super::interpreter::Interpreter;
use super::text::TextBuilder;
use super::value::{Function, Value, undefined};
use super::work::{Done, Fault, FaultKind, broken};
use super::{checks, filters, methods, show};
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
            Expr::BinOp(operation) if matches!(operation.op, BinOpKind::Concat) => self.concatenated(expression),
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

    /// `a ~ b ~ c` as one text: templates add to a long one at each message, which is not to be copied for each `~`.
    fn concatenated(&mut self, expression: &'t Expr<'t>) -> Done<Value> {
        let mut operands = Vec::new();
        let mut rest = expression;
        while let Expr::BinOp(operation) = rest
            && matches!(operation.op, BinOpKind::Concat)
        {
            operands.push(&operation.right);
            rest = &operation.left;
        }
        operands.push(rest);
        let values = operands.into_iter().rev().map(|operand| self.evaluate(operand)).collect::<Done<Vec<_>>>()?;
        let mut text = TextBuilder::new(self.work);
        values.iter().try_for_each(|value| show::push_string(self, &mut text, value))?;
        Ok(Value::Text(text.finish()?))
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
        f64::try_from(constant.clone())
            .map_or_else(|_| broken("an unknown constant"), |number| Ok(Value::Float(number)))
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
                    let Value::Dict(dict) = self.evaluate(expression)? else {
                        return broken("`**` needs a dictionary");
                    };
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
            _ => return self.arithmetic(operation, &left, &right),
        };
        Ok(Value::Bool(self.compare(compared, &left, &right)?))
    }
}
