//! The values of a template, as Python has them.
//!
//! They cannot be changed once they are made, as in Jinja's immutable sandbox; only namespaces can, and these live in the
//! interpreter. So nothing can contain itself, and [`DEEPEST`] bounds what follows containers down.

use super::text::Text;
use super::work::{Done, STEP, Work, broken};
use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::rc::Rc;

/// How deep containers may be nested. Tools and their schemas are below 20.
const DEEPEST: usize = 100;

#[derive(Clone, Debug)]
pub enum Value {
    /// What a name stands for that nobody has set, with the name.
    Undefined(Rc<str>),
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Text),
    List(Rc<Items>),
    Tuple(Rc<Items>),
    Dict(Rc<Dict>),
    /// Its number in the interpreter.
    Namespace(usize),
    /// `loop`.
    Loop(Rc<Loop>),
    /// Its number in the interpreter.
    Macro(usize),
    Function(Function),
    /// A method that is not called yet, of this value.
    Method(Rc<(Value, String)>),
}

/// The functions that every template has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    Range,
    Dict,
    Namespace,
    RaiseException,
    StrftimeNow,
}

#[derive(Debug)]
pub struct Items {
    pub items: Vec<Value>,
    depth: usize,
}

#[derive(Debug)]
pub struct Dict {
    /// In the order of insertion; no key twice.
    pub pairs: Vec<(Value, Value)>,
    depth: usize,
}

/// A `for` loop that is running.
#[derive(Debug)]
pub struct Loop {
    pub items: Rc<Items>,
    pub index: Cell<usize>,
    /// How many recursive loops it runs in.
    pub depth: usize,
    /// Number of the loop's statement, for `loop(…)`; see the interpreter.
    pub again: Option<usize>,
    pub changed: RefCell<Option<Value>>,
}

impl Value {
    pub fn text(work: &Work, text: &str) -> Done<Self> {
        Ok(Self::Text(Text::new(work, text, super::text::TEMPLATE)?))
    }

    pub fn list(work: &Work, items: Vec<Value>) -> Done<Self> {
        Ok(Self::List(Items::new(work, items)?))
    }

    pub fn tuple(work: &Work, items: Vec<Value>) -> Done<Self> {
        Ok(Self::Tuple(Items::new(work, items)?))
    }

    /// A dictionary; of a key that comes twice the later value counts.
    pub fn dict(work: &Work, pairs: impl IntoIterator<Item = (Value, Value)>) -> Done<Self> {
        let mut dict = Dict { pairs: Vec::new(), depth: 1 };
        for (key, value) in pairs {
            work.spend_places(2)?;
            dict.depth = dict.depth.max(1 + value.depth().max(key.depth()));
            match dict.position(work, &key)? {
                Some(index) => dict.pairs[index].1 = value,
                None => dict.pairs.push((key, value)),
            }
        }
        check_depth(dict.depth)?;
        Ok(Self::Dict(Rc::new(dict)))
    }

    fn depth(&self) -> usize {
        match self {
            Self::List(items) | Self::Tuple(items) => items.depth,
            Self::Dict(dict) => dict.depth,
            Self::Loop(state) => 1 + state.items.depth,
            Self::Method(method) => 1 + method.0.depth(),
            _ => 0,
        }
    }

    pub fn is_true(&self) -> bool {
        match self {
            Self::Undefined(_) | Self::None => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(items) | Self::Tuple(items) => !items.items.is_empty(),
            Self::Dict(dict) => !dict.pairs.is_empty(),
            _ => true,
        }
    }

    /// What Python calls its type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Undefined(_) => "Undefined",
            Self::None => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Text(_) => "str",
            Self::List(_) => "list",
            Self::Tuple(_) => "tuple",
            Self::Dict(_) => "dict",
            Self::Namespace(_) => "Namespace",
            Self::Loop(_) => "LoopContext",
            Self::Macro(_) => "Macro",
            Self::Function(_) | Self::Method(_) => "function",
        }
    }

    /// The whole number that it is; `True` is 1, as in Python.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Bool(value) => Some((*value).into()),
            Self::Int(value) => Some(*value),
            _ => None,
        }
    }

    pub fn as_float(&self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(*value),
            _ => self.as_int().map(|value| value as f64),
        }
    }

    pub fn as_text(&self) -> Option<&Text> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// How many items it has.
    pub fn len(&self, work: &Work) -> Done<usize> {
        match self {
            Self::Undefined(_) => Ok(0),
            Self::Text(text) => {
                work.spend(text.len())?;
                Ok(text.as_str().chars().count())
            }
            Self::List(items) | Self::Tuple(items) => Ok(items.items.len()),
            Self::Dict(dict) => Ok(dict.pairs.len()),
            Self::Loop(state) => Ok(state.items.items.len()),
            _ => broken(format!("object of type '{}' has no len()", self.type_name())),
        }
    }

    pub fn is_iterable(&self) -> bool {
        matches!(
            self,
            Self::Undefined(_) | Self::Text(_) | Self::List(_) | Self::Tuple(_) | Self::Dict(_) | Self::Loop(_)
        )
    }

    /// Its items: characters of a text, keys of a dictionary.
    pub fn items(&self, work: &Work) -> Done<Rc<Items>> {
        let items = match self {
            Self::List(items) | Self::Tuple(items) => return Ok(items.clone()),
            Self::Loop(state) => return Ok(state.items.clone()),
            Self::Undefined(_) => Vec::new(),
            Self::Text(text) => {
                let mut characters = Vec::new();
                for (start, character) in text.as_str().char_indices() {
                    characters.push(Self::Text(text.slice(work, start..start + character.len_utf8())?));
                }
                characters
            }
            Self::Dict(dict) => dict.pairs.iter().map(|(key, _)| key.clone()).collect(),
            _ => return broken(format!("'{}' object is not iterable", self.type_name())),
        };
        Items::new(work, items)
    }

    pub fn equals(&self, work: &Work, other: &Self) -> Done<bool> {
        work.spend(STEP)?;
        Ok(match (self, other) {
            (Self::Undefined(_), Self::Undefined(_)) | (Self::None, Self::None) => true,
            (Self::Text(a), Self::Text(b)) => {
                work.spend(if a.len() == b.len() { a.len() } else { 0 })?;
                a.as_str() == b.as_str()
            }
            (Self::List(a), Self::List(b)) | (Self::Tuple(a), Self::Tuple(b)) => {
                if a.items.len() != b.items.len() {
                    return Ok(false);
                }
                for (a, b) in a.items.iter().zip(&b.items) {
                    if !a.equals(work, b)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Self::Dict(a), Self::Dict(b)) => {
                if a.pairs.len() != b.pairs.len() {
                    return Ok(false);
                }
                for (key, value) in &a.pairs {
                    match b.get(work, key)? {
                        Some(other) if value.equals(work, other)? => {}
                        _ => return Ok(false),
                    }
                }
                true
            }
            (Self::Namespace(a), Self::Namespace(b)) | (Self::Macro(a), Self::Macro(b)) => a == b,
            (Self::Function(a), Self::Function(b)) => a == b,
            (Self::Loop(a), Self::Loop(b)) => Rc::ptr_eq(a, b),
            _ => match (self.as_int(), other.as_int()) {
                (Some(a), Some(b)) => a == b,
                _ => self.as_float().zip(other.as_float()).is_some_and(|(a, b)| a == b),
            },
        })
    }

    /// Which comes first; only numbers, texts and lists of such have an order.
    pub fn order(&self, work: &Work, other: &Self) -> Done<Ordering> {
        work.spend(STEP)?;
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => {
                work.spend(a.len().min(b.len()))?;
                Ok(a.as_str().cmp(b.as_str()))
            }
            (Self::List(a), Self::List(b)) | (Self::Tuple(a), Self::Tuple(b)) => {
                for (a, b) in a.items.iter().zip(&b.items) {
                    if !a.equals(work, b)? {
                        return a.order(work, b);
                    }
                }
                Ok(a.items.len().cmp(&b.items.len()))
            }
            _ => match (self.as_int(), other.as_int(), self.as_float(), other.as_float()) {
                (Some(a), Some(b), ..) => Ok(a.cmp(&b)),
                (_, _, Some(a), Some(b)) => Ok(a.total_cmp(&b)),
                _ => match (self, other) {
                    (Self::Undefined(name), _) | (_, Self::Undefined(name)) => undefined(name),
                    _ => broken(format!("'{}' and '{}' have no order", self.type_name(), other.type_name())),
                },
            },
        }
    }

    /// `needle in self`.
    pub fn contains(&self, work: &Work, needle: &Self) -> Done<bool> {
        match (self, needle) {
            (Self::Text(text), Self::Text(needle)) => {
                work.spend(text.len())?;
                Ok(text.as_str().contains(needle.as_str()))
            }
            (Self::Text(_), Self::Undefined(name)) => undefined(name),
            (Self::Text(_), _) => {
                broken(format!("'in <string>' requires string as left operand, not {}", needle.type_name()))
            }
            (Self::Dict(dict), _) => Ok(dict.get(work, needle)?.is_some()),
            (Self::None, _) => Ok(false),
            _ => {
                for item in &self.items(work)?.items {
                    if item.equals(work, needle)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }
}

impl Items {
    pub fn new(work: &Work, items: Vec<Value>) -> Done<Rc<Self>> {
        work.spend(STEP)?;
        work.spend_places(items.len())?;
        let depth = 1 + items.iter().map(Value::depth).max().unwrap_or(0);
        check_depth(depth)?;
        Ok(Rc::new(Self { items, depth }))
    }
}

impl Dict {
    pub fn get(&self, work: &Work, key: &Value) -> Done<Option<&Value>> {
        Ok(self.position(work, key)?.map(|index| &self.pairs[index].1))
    }

    fn position(&self, work: &Work, key: &Value) -> Done<Option<usize>> {
        for (index, (other, _)) in self.pairs.iter().enumerate() {
            if other.equals(work, key)? {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }
}

fn check_depth(depth: usize) -> Done<()> {
    if depth > DEEPEST { broken(format!("lists in lists, more than {DEEPEST} deep")) } else { Ok(()) }
}

/// The error of touching what is not there.
pub fn undefined<T>(name: &str) -> Done<T> {
    broken(format!("`{name}` is undefined"))
}

/// Sorts without changing the order of equals. Unlike the standard library's it does not mind an order that contradicts
/// itself, which mixed numbers can make.
pub fn sort<T: Clone>(items: Vec<T>, before: &mut impl FnMut(&T, &T) -> Done<bool>) -> Done<Vec<T>> {
    if items.len() < 2 {
        return Ok(items);
    }
    let mut left = items;
    let right = left.split_off(left.len() / 2);
    let (left, right) = (sort(left, before)?, sort(right, before)?);
    let mut sorted = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let next = if before(b, a)? { right.next() } else { left.next() };
        sorted.extend(next);
    }
    sorted.extend(left);
    sorted.extend(right);
    Ok(sorted)
}
