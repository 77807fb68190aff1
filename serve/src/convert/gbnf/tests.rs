use super::to_lark;
use llama_selfmod_constrain::{Constraint, Units};
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// How many random grammars are tried; 400 were, once.
const GRAMMARS: usize = 40;

/// Units are bytes, and 256 is the end.
static UNITS: LazyLock<Units> = LazyLock::new(|| {
    let mut pieces: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
    pieces.push(Vec::new());
    Units::new(&pieces, 256).unwrap()
});

/// Whether a text fits, whole.
fn fits(lark: &str, text: &str) -> bool {
    let mut state = UNITS.open(&Constraint::Lark(lark.to_owned())).unwrap_or_else(|error| panic!("{error}\n{lark}"));
    text.bytes().all(|byte| state.push(u32::from(byte)).is_ok()) && state.may_end()
}

fn check(grammar: &str, fit: &[&str], unfit: &[&str]) {
    let lark = to_lark(grammar).unwrap();
    for text in fit {
        assert!(fits(&lark, text), "{text:?} must fit\n{lark}");
    }
    for text in unfit {
        assert!(!fits(&lark, text), "{text:?} must not fit\n{lark}");
    }
}

/// llama.cpp's grammars/json.gbnf.
const JSON: &str = r##"
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws

object ::=
  "{" ws (
            string ":" ws value
    ("," ws string ":" ws value)*
  )? "}" ws

array  ::=
  "[" ws (
            value
    ("," ws value)*
  )? "]" ws

string ::=
  "\"" (
    [^"\\\x7F\x00-\x1F] |
    "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) # escapes
  )* "\"" ws

number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws

# Optional space: by convention, applied in this grammar after literal chars when allowed
ws ::= | " " | "\n" [ \t]{0,20}
"##;

#[test]
fn json() {
    check(
        JSON,
        &["{}", "{ \"a\": [1, -2.5e3,\n\ttrue, null], \"ä\\u00e4\\\"\": {\"\": \"x\"}}\n", r#"{"a":"b"}"#],
        &["", "[]", "{", r#"{"a"}"#, r#"{"a": tru}"#, r#"{"a": "\x"}"#, r#"{"a":  1}"#, r#"{"a": 01}"#],
    );
    // A string is one lexeme: its mask costs a fraction.
    assert!(to_lark(JSON).unwrap().contains(r"/\x{22}(?:"), "{}", to_lark(JSON).unwrap());
}

#[test]
fn arithmetic() {
    check(
        r#"
root  ::= (expr "=" ws term "\n")+
expr  ::= term ([-+*/] term)*
term  ::= ident | num | "(" ws expr ")" ws
ident ::= [a-z] [a-z0-9_]* ws
num   ::= [0-9]+ ws
ws    ::= [ \t\n]*
"#,
        &["1+2=3\n", "( a_1 -2)*b =x\n1=1\n"],
        &["1+2=3", "1++2=3\n", "(1=1\n"],
    );
}

#[test]
fn a_list_and_a_chess_game_are_regular() {
    let list = "root ::= item+\n\n# Excludes various line break characters\nitem ::= \"- \" [^\\r\\n\\x0b\\x0c\\x85\\u2028\\u2029]+ \"\\n\"\n";
    check(list, &["- milk\n- Käse\n"], &["", "- \n", "- milk", "milk\n", "- a\u{2028}b\n"]);
    assert!(to_lark(list).unwrap().starts_with("start: /"));
    let chess = r#"
root   ::= "1. " move " " move "\n" ([1-9] [0-9]? ". " move " " move "\n")+
move   ::= (pawn | nonpawn | castle) [+#]?
nonpawn ::= [NBKQR] [a-h]? [1-8]? "x"? [a-h] [1-8]
pawn   ::= ([a-h] "x")? [a-h] [1-8] ("=" [NBKQR])?
castle ::= "O-O" "-O"?
"#;
    check(
        chess,
        &["1. e4 e5\n2. Nf3 Nc6\n", "1. e4 d5\n2. exd5 Qxd5+\n3. O-O O-O-O\n"],
        &["1. e4\n", "1. e9 e5\n2. a1 a1\n"],
    );
}

#[test]
fn the_longest_match_is_not_always_the_right_one() {
    // By lexemes that take all they can, none of these could end.
    check(r#"root ::= [a-z]+ "end""#, &["aend", "endend"], &["end", "en"]);
    let nested = "root ::= a | \"(\" root \")\"\na ::= [a-z]+ \"end\" b?\nb ::= \"e\"* \"en\"\n";
    check(nested, &["aend", "((endend))", "aenden", "(xendeeen)"], &["(end)", "(aend"]);
    check("root ::= \"(\" root \")\" | \"a\"* \"ab\"", &["ab", "(aaab)"], &["(aaa)", "b"]);
    check("root ::= \"<\" root \">\" | \"t\" | \"true\" | \"try\"", &["<t>", "<true>", "try"], &["<tr>"]);
    check("root ::= root \"+\" root | [0-9]+ | \"1\" \"x\"", &["12+1x+3", "1"], &["2x", "+"]);
}

#[test]
fn repetitions_escapes_and_comments() {
    check(
        "root ::= \"a\"{2} \"b\"{1,} [c-]{0,2} \"\\x41\\u00e4\\U0001F600\\\\\\\"\"? . # the rest\n",
        &["aab.", "aabbc-ä", "aabA\u{e4}\u{1F600}\\\"\n", "aabcc😀"],
        &["ab.", "aa.", "aabccc..", "aab"],
    );
    check("root ::= \"ab\"* (\"c\"\n | \"d\")?\n", &["", "ababd", "c"], &["aba", "cd"]);
    check("root ::= \"a\"{0} \"b\" | \"\"\n", &["", "b"], &["a", "ab"]);
    check("root ::= a-b c_d\n  | \"x\"\na-b ::= \"1\"\nc_d ::= \"2\"", &["12", "x"], &["1"]);
    check("root ::= \"[\" (root (\",\" root){0,2})? \"]\"", &["[]", "[[],[],[]]"], &["[[],[],[],[]]", "[,]"]);
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    for (grammar, message) in [
        ("", "The grammar has no rule `root`."),
        ("root ::= a", "The grammar has no rule `a`, which another one uses."),
        ("root ::= \"a\"\nroot ::= \"b\"", "Line 2 of the grammar: There are two rules `root`."),
        ("root ::= \"a", "Line 1 of the grammar: `\"` is missing at the end of a literal."),
        ("root ::= [a", "Line 1 of the grammar: `]` is missing at the end of a class."),
        ("root ::= (\"a\"\n\n", "Line 3 of the grammar: `)` is missing before `the end of the line`."),
        ("root = \"a\"", "Line 1 of the grammar: `::=` is missing after `root`."),
        ("\nroot ::= \"a\" }", "Line 2 of the grammar: `}` cannot stand here."),
        ("root ::= [z-a]", "Line 1 of the grammar: The range `z-a` is the wrong way round."),
        ("root ::= \"a\"{3,2}", "Line 1 of the grammar: `{3,2}` is no number of repetitions up to 2000."),
        ("root ::= \"\\q\"", "Line 1 of the grammar: `\\q` is no escape."),
        ("root ::= \"\\uD800\"", "Line 1 of the grammar: `\\uD800` is no character."),
        ("root ::= []", "Line 1 of the grammar: `[]` has no character, so nothing could stand there."),
        (
            "root ::= <think> x",
            "Line 1 of the grammar: `<think> x` names a token, and the members have different ones: write its text in quotes.",
        ),
        (
            "root ::= !<[1000]>",
            "Line 1 of the grammar: `!<[1000]>` names a token, and the members have different ones: write its text in quotes.",
        ),
    ] {
        assert_eq!(to_lark(grammar).unwrap_err(), message);
    }
    let deep = format!("root ::= {}\"a\"{}", "(".repeat(100), ")".repeat(100));
    assert!(to_lark(&deep).unwrap_err().contains("deeper than 40"));
}

#[test]
fn no_text_makes_the_reader_panic() {
    let signs: Vec<char> = "root::=\"[](){}|*+?.#\\xu^-,09aé\n <>!".chars().collect();
    let mut seed = 4_u64;
    for _ in 0..20_000 {
        let mut text = "root ::= ".to_owned();
        for _ in 0..20 {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            text.push(signs[(seed >> 33) as usize % signs.len()]);
        }
        let _ = to_lark(&text);
    }
}

/// Where a part that begins at `at` can end: the plainest reader there is, to compare with.
fn ends(node: &super::Node, rules: &[super::Node], text: &[char], at: usize) -> BTreeSet<usize> {
    use super::Node;
    match node {
        Node::Class(class) => {
            let is_in = |&next: &char| {
                class.ranges.iter().any(|(first, last)| (*first..=*last).contains(&next)) != class.is_negated
            };
            text.get(at).filter(|&next| is_in(next)).map(|_| at + 1).into_iter().collect()
        }
        Node::Rule(number) => ends(&rules[*number], rules, text, at),
        Node::Sequence(items) => items.iter().fold(BTreeSet::from([at]), |places, item| {
            places.into_iter().flat_map(|at| ends(item, rules, text, at)).collect()
        }),
        Node::Choice(items) => items.iter().flat_map(|item| ends(item, rules, text, at)).collect(),
        Node::Repeat(item, least, most) => {
            let mut all = BTreeSet::new();
            let mut places = BTreeSet::from([at]);
            // Longer than the text, nothing new comes.
            for round in 0..=most.unwrap_or(least + text.len() as u32 + 1) {
                if round >= *least {
                    if places.is_subset(&all) {
                        break;
                    }
                    all.extend(&places);
                }
                places = places.into_iter().flat_map(|at| ends(item, rules, text, at)).collect();
            }
            all
        }
    }
}

#[test]
fn random_grammars_have_the_texts_that_they_have() {
    let mut seed = 8_u64;
    let mut below = move |bound: usize| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 33) as usize % bound
    };
    fn part(below: &mut impl FnMut(usize) -> usize, depth: usize, rule: usize) -> String {
        match below(if depth > 2 { 4 } else { 8 }) {
            0 => ["\"a\"", "\"b\"", "\"ab\"", "\"ba\"", "\"aab\""][below(5)].to_owned(),
            1 => ["[ab]", "[^a]", "[c]"][below(3)].to_owned(),
            // Only what follows a character may come back: nothing then goes on for ever.
            2 => format!("\"c\" r{}", below(3)),
            3 if rule < 2 => format!("r{}", rule + 1 + below(2 - rule)),
            3 => "\"\"".to_owned(),
            4 | 5 => format!("{} {}", part(below, depth + 1, rule), part(below, depth + 1, rule)),
            6 => format!("({} | {})", part(below, depth + 1, rule), part(below, depth + 1, rule)),
            _ => format!("({}){}", part(below, depth + 1, rule), ["*", "+", "?", "{2}", "{1,2}"][below(5)]),
        }
    }
    let texts: Vec<String> = (0..4_usize.pow(5))
        .map(|number| (0..5).filter_map(|place| "abc".chars().nth(number / 4_usize.pow(place) % 4)).collect())
        .collect::<BTreeSet<String>>()
        .into_iter()
        .collect();
    let (mut fit, mut long) = (0, 0);
    for _ in 0..GRAMMARS {
        let grammar: String = (0..3).map(|rule| format!("r{rule} ::= {}\n", part(&mut below, 0, rule))).collect();
        let grammar = format!("root ::= r0\n{grammar}");
        let (rules, root) = super::read(&grammar).unwrap();
        let lark = to_lark(&grammar).unwrap();
        long += usize::from(lark.contains("start: rule"));
        let Ok(mut state) = UNITS.open(&Constraint::Lark(lark.clone())) else {
            // A rule without any text: llguidance says so.
            assert!(
                texts.iter().all(|text| ends(&rules[root], &rules, &text.chars().collect::<Vec<_>>(), 0).is_empty()),
                "{lark}"
            );
            continue;
        };
        for text in &texts {
            let characters: Vec<char> = text.chars().collect();
            let wanted = ends(&rules[root], &rules, &characters, 0).contains(&characters.len());
            let is_read = text.bytes().all(|byte| state.push(u32::from(byte)).is_ok()) && state.may_end();
            assert_eq!(is_read, wanted, "{text:?}\n{grammar}\n{lark}");
            fit += usize::from(wanted);
            state.truncate(0).unwrap();
        }
    }
    assert!(fit > 100 && long > 5, "{fit} {long}");
}
