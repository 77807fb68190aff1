//! The writer: a grammar in Lark that has exactly the texts of the grammar that was read.
//!
//! GBNF knows characters alone, and llguidance has a lexer that takes the longest lexeme and never goes back: `[a-z]+ "end"`,
//! written as it stands, could never end. Characters as lexemes are always right, for no character begins another one. They
//! are also slow: on 32,000 units the mask inside a string takes milliseconds by characters, and 0.02 ms where the string is
//! one lexeme. So parts of rules are lexemes as well, wherever that changes nothing: where no text of such a part begins
//! another one of it, nor one of another lexeme that begins with the same byte.

use super::{Class, Node};
use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::util::primitives::StateID;
use regex_automata::{Anchored, MatchKind, util::start};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;

/// Longest regex of a lexeme, in bytes.
const LONGEST: usize = 4000;
/// Most automata that are built for a grammar: the time of a request is bounded by it.
const MOST_AUTOMATA: usize = 300;

pub(super) fn write(rules: &[Node], root: usize) -> String {
    let is_regular = regular(rules);
    let mut writer =
        Writer { rules, is_regular, automata: HashMap::new(), split: HashSet::new(), lexemes: BTreeMap::new() };
    if writer.is_regular[root]
        && let Some(regex) = writer.regex(&rules[root])
    {
        return format!("start: /{regex}/\n");
    }
    loop {
        let text = writer.grammar(root);
        let before = writer.split.len();
        writer.find_conflicts();
        if writer.split.len() == before {
            return text;
        }
    }
}

/// Which rules do not come back to themselves.
fn regular(rules: &[Node]) -> Vec<bool> {
    fn all_regular(node: &Node, is_regular: &[bool]) -> bool {
        match node {
            Node::Class(_) => true,
            Node::Rule(number) => is_regular[*number],
            Node::Sequence(items) | Node::Choice(items) => items.iter().all(|item| all_regular(item, is_regular)),
            Node::Repeat(item, ..) => all_regular(item, is_regular),
        }
    }
    let mut is_regular = vec![false; rules.len()];
    loop {
        let next: Vec<bool> = rules.iter().map(|rule| all_regular(rule, &is_regular)).collect();
        if next == is_regular {
            return is_regular;
        }
        is_regular = next;
    }
}

struct Writer<'a> {
    rules: &'a [Node],
    is_regular: Vec<bool>,
    /// What is known of regexes; `None` where the automaton was too large.
    automata: HashMap<String, Option<Known>>,
    /// Regexes that must be written by characters.
    split: HashSet<String>,
    /// Lexemes of the grammar, and whether they are more than a character.
    lexemes: BTreeMap<String, bool>,
}

/// A set of bytes, a bit each.
type Bytes = [u64; 4];

#[derive(Clone)]
struct Known {
    /// No text begins another one.
    is_prefix_free: bool,
    /// Bytes that a text can begin with.
    first: Bytes,
}

impl Writer<'_> {
    fn grammar(&mut self, root: usize) -> String {
        self.lexemes.clear();
        let mut text = format!("start: rule_{root}\n");
        let (mut wanted, mut written) = (vec![root], HashSet::from([root]));
        while let Some(number) = wanted.pop() {
            let mut uses = Vec::new();
            let rule = self.node(&self.rules[number], &mut uses);
            let _ = writeln!(text, "rule_{number}: {rule}");
            wanted.extend(uses.into_iter().filter(|&number| written.insert(number)));
        }
        text
    }

    fn node(&mut self, node: &Node, uses: &mut Vec<usize>) -> String {
        match node {
            Node::Class(class) => self.lexeme(regex_of_class(class), false),
            Node::Rule(number) => {
                uses.push(*number);
                format!("rule_{number}")
            }
            Node::Sequence(items) => self.sequence(items, uses),
            Node::Choice(items) => {
                let items: Vec<String> = items.iter().map(|item| self.node(item, uses)).collect();
                format!("({})", items.join(" | "))
            }
            Node::Repeat(_, _, Some(0)) => "\"\"".to_owned(),
            Node::Repeat(item, least, most) => {
                let item = self.node(item, uses);
                match (least, most) {
                    (0, None) => format!("({item})*"),
                    (1, None) => format!("({item})+"),
                    (0, Some(1)) => format!("({item})?"),
                    (least, None) => format!("({item}){{{least},}}"),
                    (least, Some(most)) => format!("({item}){{{least},{most}}}"),
                }
            }
        }
    }

    /// A sequence, in which the longest runs that can be lexemes are.
    fn sequence(&mut self, items: &[Node], uses: &mut Vec<usize>) -> String {
        let items = flat(items);
        let mut parts = Vec::new();
        let mut at = 0;
        while at < items.len() {
            let run = self.run(&items[at..]);
            if let Some((length, regex)) = run {
                parts.push(self.lexeme(regex, true));
                at += length;
            } else {
                parts.push(self.node(items[at], uses));
                at += 1;
            }
        }
        if parts.is_empty() { "\"\"".to_owned() } else { parts.join(" ") }
    }

    /// How many items make the longest lexeme from here on, if there is one of more than a character.
    fn run(&mut self, items: &[&Node]) -> Option<(usize, String)> {
        let mut whole = String::new();
        let mut best = None;
        for (index, item) in items.iter().enumerate() {
            let Some(regex) = self.regex(item).filter(|regex| whole.len() + regex.len() <= LONGEST) else { break };
            whole.push_str(&regex);
            if (index > 0 || !matches!(item, Node::Class(_))) && !self.split.contains(&whole) {
                let known = self.known(&whole);
                // A lexeme that may be empty is none.
                if known.is_some_and(|known| known.is_prefix_free && known.first != Bytes::default()) {
                    best = Some((index + 1, whole.clone()));
                }
            }
        }
        best
    }

    fn lexeme(&mut self, regex: String, is_long: bool) -> String {
        let text = format!("/{regex}/");
        *self.lexemes.entry(regex).or_default() |= is_long;
        text
    }

    /// Finds long lexemes that another lexeme could be the beginning of, or the other way round.
    fn find_conflicts(&mut self) {
        let lexemes: Vec<(String, bool)> = self.lexemes.clone().into_iter().collect();
        for (index, (one, one_is_long)) in lexemes.iter().enumerate() {
            for (other, other_is_long) in &lexemes[index + 1..] {
                if !one_is_long && !other_is_long {
                    continue;
                }
                let apart = match (self.known(one), self.known(other)) {
                    (Some(one), Some(other)) => one.first.iter().zip(other.first).all(|(one, other)| one & other == 0),
                    _ => false,
                };
                if !apart && !self.known(&format!("(?:{one}|{other})")).is_some_and(|both| both.is_prefix_free) {
                    // The longer one: what is left of it may then be the other one.
                    let first_goes = *one_is_long && (!other_is_long || one.len() > other.len());
                    self.split.insert(if first_goes { one.clone() } else { other.clone() });
                }
            }
        }
    }

    fn known(&mut self, regex: &str) -> Option<Known> {
        if let Some(known) = self.automata.get(regex) {
            return known.clone();
        }
        let known =
            if self.automata.len() < MOST_AUTOMATA { automaton(regex).and_then(|dfa| know(&dfa)) } else { None };
        self.automata.insert(regex.to_owned(), known.clone());
        known
    }

    /// The regex of a part, if it comes back to no rule and is not too long.
    fn regex(&self, node: &Node) -> Option<String> {
        let regex = match node {
            Node::Class(class) => regex_of_class(class),
            Node::Rule(number) if self.is_regular[*number] => self.regex(&self.rules[*number])?,
            Node::Rule(_) => return None,
            Node::Sequence(items) => {
                let mut whole = String::new();
                for item in items {
                    whole.push_str(&self.regex(item)?);
                    if whole.len() > LONGEST {
                        return None;
                    }
                }
                whole
            }
            Node::Choice(items) => {
                let items: Option<Vec<String>> = items.iter().map(|item| self.regex(item)).collect();
                format!("(?:{})", items?.join("|"))
            }
            Node::Repeat(_, _, Some(0)) => String::new(),
            Node::Repeat(item, least, most) => {
                let item = self.regex(item)?;
                match most {
                    // What is empty can be repeated for ever, and no automaton needs that.
                    _ if item.is_empty() => String::new(),
                    None => format!("(?:{item}){{{least},}}"),
                    Some(most) => format!("(?:{item}){{{least},{most}}}"),
                }
            }
        };
        (regex.len() <= LONGEST).then_some(regex)
    }
}

/// The items, with sequences in it taken apart: literals are such.
fn flat(items: &[Node]) -> Vec<&Node> {
    let mut flattened = Vec::new();
    for item in items {
        match item {
            Node::Sequence(inner) => flattened.extend(flat(inner)),
            other => flattened.push(other),
        }
    }
    flattened
}

/// A class in the syntax of regexes, without a sign that Lark or regexes could take for another.
fn regex_of_class(class: &Class) -> String {
    let sign = |character: char| match character {
        'a'..='z' | 'A'..='Z' | '0'..='9' => character.to_string(),
        other => format!("\\x{{{:x}}}", u32::from(other)),
    };
    match (&class.ranges[..], class.is_negated) {
        ([], _) => "[\\x{0}-\\x{10ffff}]".to_owned(),
        ([(first, last)], false) if first == last => sign(*first),
        (ranges, is_negated) => {
            let ranges: String = ranges
                .iter()
                .map(
                    |(first, last)| {
                        if first == last { sign(*first) } else { format!("{}-{}", sign(*first), sign(*last)) }
                    },
                )
                .collect();
            format!("[{}{ranges}]", if is_negated { "^" } else { "" })
        }
    }
}

fn automaton(regex: &str) -> Option<dense::DFA<Vec<u32>>> {
    let config = dense::Config::new()
        .start_kind(StartKind::Anchored)
        .match_kind(MatchKind::All)
        .dfa_size_limit(Some(1 << 21))
        .determinize_size_limit(Some(1 << 21));
    dense::Builder::new().configure(config).build(regex).ok()
}

fn know(dfa: &dense::DFA<Vec<u32>>) -> Option<Known> {
    let start = dfa.start_state(&start::Config::new().anchored(Anchored::Yes)).ok()?;
    // The automaton's states, and from where each is reached.
    let mut edges: HashMap<StateID, Vec<StateID>> = HashMap::new();
    let mut wanted = vec![start];
    while let Some(state) = wanted.pop() {
        if edges.contains_key(&state) {
            continue;
        }
        let next: Vec<StateID> = (0..=255).map(|byte| dfa.next_state(state, byte)).collect();
        wanted.extend(&next);
        edges.insert(state, next);
    }
    // A text ends in a state whose step to the end of the input is a match: matches are told one byte late.
    let ends = |state: &StateID| dfa.is_match_state(dfa.next_eoi_state(*state));
    let mut live: HashSet<StateID> = edges.keys().copied().filter(ends).collect();
    loop {
        let before = live.len();
        live.extend(
            edges
                .iter()
                .filter(|(_, next)| next.iter().any(|state| live.contains(state)))
                .map(|(&state, _)| state)
                .collect::<Vec<_>>(),
        );
        if live.len() == before {
            break;
        }
    }
    let goes_on = |state: &StateID| edges[state].iter().any(|next| live.contains(next));
    let mut first = Bytes::default();
    for (byte, next) in edges[&start].iter().enumerate() {
        first[byte / 64] |= u64::from(live.contains(next)) << (byte % 64);
    }
    Some(Known { is_prefix_free: !edges.keys().any(|state| ends(state) && goes_on(state)), first })
}
