//! Runs the statements of a template.
//!
//! The names and their scopes are those of Jinja2: a loop's body, a macro and a block see what is outside and keep what
//! they set to themselves.

use super::arguments::Arguments;
use super::show;
use super::text::{Text, TextBuilder};
use super::value::{Function, Items, Loop, Value, undefined};
use super::work::{Done, STEP, Work, broken};
use minijinja::machinery::ast::{self, Expr, Stmt};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

/// How deep expressions, statements and calls may be nested, all together. Real templates stay below 200.
const DEEPEST: usize = 2500;

pub struct Interpreter<'t, 'w> {
    pub work: &'w Work,
    /// The date for `strftime_now`.
    pub now: &'w jiff::ZonedDateTime,
    pub namespaces: Vec<Vec<(Rc<str>, Value)>>,
    scopes: Vec<Scope<'t>>,
    scope: usize,
    macros: Vec<Macro<'t>>,
    /// Recursive loops, with the scope each stands in.
    recursive_loops: Vec<(&'t ast::ForLoop<'t>, usize)>,
    depth: usize,
    /// The text so far; further ones are captured for a variable, a macro or a filter.
    out: Vec<TextBuilder<'w>>,
}

struct Scope<'t> {
    names: HashMap<&'t str, Value>,
    outer: Option<usize>,
}

#[derive(Clone, Copy)]
struct Macro<'t> {
    macro_: &'t ast::Macro<'t>,
    scope: usize,
}

/// How a statement ends.
#[derive(PartialEq)]
enum Flow {
    Next,
    Break,
    Continue,
}

impl<'t, 'w> Interpreter<'t, 'w> {
    pub fn new(work: &'w Work, now: &'w jiff::ZonedDateTime, names: Vec<(&'t str, Value)>) -> Self {
        let global = Scope { names: names.into_iter().collect(), outer: None };
        let top = Scope { names: HashMap::new(), outer: Some(0) };
        Self {
            work,
            now,
            namespaces: Vec::new(),
            scopes: vec![global, top],
            scope: 1,
            macros: Vec::new(),
            recursive_loops: Vec::new(),
            depth: 0,
            out: Vec::new(),
        }
    }

    /// The text of a whole template.
    pub fn render(mut self, template: &'t Stmt<'t>) -> Done<Text> {
        let Stmt::Template(template) = template else { return broken("it is no template") };
        self.capture(|run| run.statements(&template.children).map(|_| ()))
    }

    /// The text that `body` puts out.
    fn capture(&mut self, body: impl FnOnce(&mut Self) -> Done<()>) -> Done<Text> {
        self.out.push(TextBuilder::new(self.work));
        let done = body(self);
        let text = self.out.pop().map_or_else(|| broken("no text"), TextBuilder::finish);
        done.and(text)
    }

    fn put_out(&mut self, value: &Value) -> Done<()> {
        let Some(mut out) = self.out.pop() else { return Ok(()) };
        let done = show::push_string(self, &mut out, value);
        self.out.push(out);
        done
    }

    /// Goes one level deeper while `inner` runs.
    pub fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Done<T>) -> Done<T> {
        self.work.spend(STEP)?;
        if self.depth == DEEPEST {
            return broken("it calls itself without an end, or is nested too deeply");
        }
        self.depth += 1;
        let done = inner(self);
        self.depth -= 1;
        done
    }

    /// Runs `inner` in a new scope within `outer`.
    fn scoped<T>(&mut self, outer: usize, inner: impl FnOnce(&mut Self) -> Done<T>) -> Done<T> {
        self.work.spend(4 * STEP)?;
        let (before, macros, scope) = (self.scope, self.macros.len(), self.scopes.len());
        self.scopes.push(Scope { names: HashMap::new(), outer: Some(outer) });
        self.scope = scope;
        let done = inner(self);
        self.scope = before;
        // A macro of the scope may be called later, and then needs it.
        if self.macros.len() == macros {
            self.scopes.truncate(scope);
        }
        done
    }

    pub fn look_up(&self, name: &str) -> Done<Value> {
        let mut scope = Some(self.scope);
        while let Some(number) = scope {
            self.work.spend(STEP / 4 + name.len())?;
            if let Some(value) = self.scopes[number].names.get(name) {
                return Ok(value.clone());
            }
            scope = self.scopes[number].outer;
        }
        Ok(match name {
            "range" => Value::Function(Function::Range),
            "dict" => Value::Function(Function::Dict),
            "namespace" => Value::Function(Function::Namespace),
            "raise_exception" => Value::Function(Function::RaiseException),
            "strftime_now" => Value::Function(Function::StrftimeNow),
            _ => Value::Undefined(name.into()),
        })
    }

    fn set(&mut self, name: &'t str, value: Value) -> Done<()> {
        self.work.spend(2 * super::work::PLACE + name.len())?;
        self.scopes[self.scope].names.insert(name, value);
        Ok(())
    }

    fn assign(&mut self, target: &'t Expr<'t>, value: Value) -> Done<()> {
        match target {
            Expr::Var(name) => self.set(name.id, value),
            Expr::GetAttr(attribute) => match self.evaluate(&attribute.expr)? {
                Value::Namespace(number) => self.set_in_namespace(number, attribute.name, value),
                Value::Undefined(name) => undefined(&name),
                _ => broken("cannot assign attribute on non-namespace object"),
            },
            Expr::List(names) => {
                let values = value.items(self.work)?;
                let (wanted, got) = (names.items.len(), values.items.len());
                if wanted != got {
                    return broken(format!("{got} values cannot be unpacked into {wanted} names"));
                }
                names.items.iter().zip(&values.items).try_for_each(|(name, value)| self.assign(name, value.clone()))
            }
            _ => broken("nothing can be assigned there"),
        }
    }

    fn set_in_namespace(&mut self, number: usize, name: &str, value: Value) -> Done<()> {
        let namespace = &mut self.namespaces[number];
        self.work.spend(STEP + namespace.len() + name.len())?;
        match namespace.iter_mut().find(|(other, _)| **other == *name) {
            Some((_, place)) => *place = value,
            None => {
                self.work.spend_places(2)?;
                namespace.push((name.into(), value));
            }
        }
        Ok(())
    }

    pub fn new_namespace(&mut self, names: Vec<(Rc<str>, Value)>) -> Done<Value> {
        self.work.spend_places(2 * names.len() + 2)?;
        self.namespaces.push(names);
        Ok(Value::Namespace(self.namespaces.len() - 1))
    }

    fn statements(&mut self, statements: &'t [Stmt<'t>]) -> Done<Flow> {
        for statement in statements {
            let flow = self.deeper(|run| run.statement(statement))?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    /// Statements in a scope of their own.
    fn block(&mut self, statements: &'t [Stmt<'t>]) -> Done<Flow> {
        self.scoped(self.scope, |run| run.statements(statements))
    }

    fn statement(&mut self, statement: &'t Stmt<'t>) -> Done<Flow> {
        match statement {
            Stmt::Template(template) => return self.statements(&template.children),
            Stmt::EmitRaw(raw) => self.out.last_mut().map_or(Ok(()), |out| out.push_own(raw.raw))?,
            Stmt::EmitExpr(emit) => {
                let value = self.evaluate(&emit.expr)?;
                self.put_out(&value).map_err(|fault| fault.at(emit.expr.span().start_line.into()))?;
            }
            Stmt::ForLoop(statement) => return self.for_loop(statement),
            Stmt::IfCond(statement) => {
                let holds = self.evaluate(&statement.expr)?.is_true();
                return self.statements(if holds { &statement.true_body } else { &statement.false_body });
            }
            Stmt::WithBlock(statement) => {
                return self.scoped(self.scope, |run| {
                    for (target, expression) in &statement.assignments {
                        let value = run.evaluate(expression)?;
                        run.assign(target, value)?;
                    }
                    run.statements(&statement.body)
                });
            }
            Stmt::Set(statement) => {
                let value = self.evaluate(&statement.expr)?;
                self.assign(&statement.target, value).map_err(|fault| fault.at(statement.span().start_line.into()))?;
            }
            Stmt::SetBlock(statement) => {
                let text = self.capture(|run| run.block(&statement.body).map(|_| ()))?;
                let value = self.filtered(statement.filter.as_ref(), Value::Text(text))?;
                self.assign(&statement.target, value)?;
            }
            Stmt::FilterBlock(statement) => {
                let text = self.capture(|run| run.block(&statement.body).map(|_| ()))?;
                let value = self.filtered(Some(&statement.filter), Value::Text(text))?;
                self.put_out(&value)?;
            }
            Stmt::AutoEscape(statement) => return self.block(&statement.body),
            Stmt::Block(statement) => return self.block(&statement.body),
            Stmt::Macro(statement) => {
                let value = self.new_macro(statement)?;
                self.set(statement.name, value)?;
            }
            Stmt::CallBlock(statement) => {
                let caller = self.new_macro(&statement.macro_decl)?;
                let callee = self.evaluate(&statement.call.expr)?;
                let mut arguments = self.arguments(&statement.call.args)?;
                arguments.named.push(("caller".into(), caller));
                let value =
                    self.call(callee, arguments).map_err(|fault| fault.at(statement.span().start_line.into()))?;
                self.put_out(&value)?;
            }
            Stmt::Do(statement) => {
                let callee = self.evaluate(&statement.call.expr)?;
                let arguments = self.arguments(&statement.call.args)?;
                self.call(callee, arguments).map_err(|fault| fault.at(statement.span().start_line.into()))?;
            }
            Stmt::Continue(_) => return Ok(Flow::Continue),
            Stmt::Break(_) => return Ok(Flow::Break),
            Stmt::Import(_) | Stmt::FromImport(_) | Stmt::Extends(_) | Stmt::Include(_) => {
                return broken("it asks for another file");
            }
        }
        Ok(Flow::Next)
    }

    fn for_loop(&mut self, statement: &'t ast::ForLoop<'t>) -> Done<Flow> {
        let line = statement.iter.span().start_line.into();
        let items = self.evaluate(&statement.iter)?;
        let again = statement.recursive.then(|| {
            self.recursive_loops.push((statement, self.scope));
            self.recursive_loops.len() - 1
        });
        self.work.spend(STEP)?;
        self.run_loop(statement, items, again, 0).map_err(|fault| fault.at(line))?;
        Ok(Flow::Next)
    }

    fn run_loop(
        &mut self,
        statement: &'t ast::ForLoop<'t>,
        items: Value,
        again: Option<usize>,
        depth: usize,
    ) -> Done<()> {
        // Python refuses to go through `None`, as which `tools` comes; many a template asks it all the same.
        let mut items =
            if matches!(items, Value::None) { Items::new(self.work, vec![])? } else { items.items(self.work)? };
        if let Some(condition) = &statement.filter_expr {
            let mut kept = Vec::new();
            for item in &items.items {
                let keep = self.scoped(self.scope, |run| {
                    run.assign(&statement.target, item.clone())?;
                    Ok(run.evaluate(condition)?.is_true())
                })?;
                kept.extend(keep.then(|| item.clone()));
            }
            items = Items::new(self.work, kept)?;
        }
        if items.items.is_empty() {
            self.block(&statement.else_body)?;
            return Ok(());
        }
        let state =
            Rc::new(Loop { items: items.clone(), index: Cell::new(0), depth, again, changed: RefCell::new(None) });
        for (index, item) in items.items.iter().enumerate() {
            state.index.set(index);
            let flow = self.scoped(self.scope, |run| {
                run.set("loop", Value::Loop(state.clone()))?;
                run.assign(&statement.target, item.clone())?;
                run.statements(&statement.body)
            })?;
            if flow == Flow::Break {
                break;
            }
        }
        Ok(())
    }

    /// `loop(items)` in a recursive loop.
    pub fn loop_again(&mut self, state: &Loop, items: Value) -> Done<Value> {
        let Some((statement, scope)) = state.again.and_then(|again| self.recursive_loops.get(again)).copied() else {
            return broken("the loop is not recursive");
        };
        let text = self.in_scope(scope, |run| {
            run.capture(|run| run.deeper(|run| run.run_loop(statement, items, state.again, state.depth + 1)))
        })?;
        Ok(Value::Text(text))
    }

    /// Runs `inner` as if it stood in another scope.
    fn in_scope<T>(&mut self, scope: usize, inner: impl FnOnce(&mut Self) -> Done<T>) -> Done<T> {
        let before = std::mem::replace(&mut self.scope, scope);
        let done = inner(self);
        self.scope = before;
        done
    }

    fn new_macro(&mut self, macro_: &'t ast::Macro<'t>) -> Done<Value> {
        self.work.spend(4 * STEP)?;
        self.macros.push(Macro { macro_, scope: self.scope });
        Ok(Value::Macro(self.macros.len() - 1))
    }

    pub fn macro_name(&self, number: usize) -> &'t str {
        self.macros[number].macro_.name
    }

    pub fn call_macro(&mut self, number: usize, arguments: Arguments) -> Done<Value> {
        let Macro { macro_, scope } = self.macros[number];
        let Arguments { positional, mut named } = arguments;
        let text = self.deeper(|run| {
            run.scoped(scope, |run| {
                let mut positional = positional.into_iter();
                let without_default = macro_.args.len() - macro_.defaults.len().min(macro_.args.len());
                for (index, argument) in macro_.args.iter().enumerate() {
                    let Expr::Var(name) = argument else { return broken("a macro's argument has no name") };
                    let by_name = named.iter().position(|(other, _)| **other == *name.id);
                    let given = positional.next().or_else(|| by_name.map(|at| named.remove(at).1));
                    let default = index.checked_sub(without_default).and_then(|index| macro_.defaults.get(index));
                    let value = match (given, default) {
                        (Some(value), _) => value,
                        (None, Some(default)) => run.evaluate(default)?,
                        (None, None) => Value::Undefined(name.id.into()),
                    };
                    run.set(name.id, value)?;
                }
                if let Some(at) = named.iter().position(|(name, _)| **name == *"caller") {
                    let caller = named.remove(at).1;
                    run.set("caller", caller)?;
                }
                let rest = Value::tuple(run.work, positional.collect())?;
                run.set("varargs", rest)?;
                let mut rest = Vec::new();
                for (name, value) in named {
                    rest.push((Value::text(run.work, &name)?, value));
                }
                let rest = Value::dict(run.work, rest)?;
                run.set("kwargs", rest)?;
                run.capture(|run| run.statements(&macro_.body).map(|_| ()))
            })
        })?;
        Ok(Value::Text(text))
    }
}
