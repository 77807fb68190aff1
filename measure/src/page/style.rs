//! How the page looks.

/// The style sheet. Blue and orange are told apart with every kind of colour blindness, and no meaning hangs on them alone:
/// signs, hatching and hollow points say the same.
pub(super) const SHEET: &str = "
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1f24; --soft: #667079; --line: #d5dadf; --bar: #9db8d9;
  --plus: #2f6db5; --minus: #c9701a; --box: #f5f7f9; }
@media (prefers-color-scheme: dark) { :root { --paper: #15181c; --ink: #e4e8ec; --soft: #9aa4ae; --line: #3a424a;
  --bar: #3f608c; --plus: #6ea6e8; --minus: #e59a4f; --box: #1d2227; } }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 2.5rem; } h3 { font-size: 1.05rem; }
h1, h2, h3, td, th, p, li { overflow-wrap: anywhere; }
svg { display: block; max-width: 100%; height: auto; font: 13px system-ui, sans-serif; }
svg text { fill: var(--ink); } svg .soft { fill: var(--soft); font-size: 11px; }
svg .small { font-size: 11px; }
svg .bar { fill: var(--bar); } svg .grid { stroke: var(--line); } svg .zero { stroke: var(--soft); stroke-width: 1.5; }
svg .whisker { stroke: var(--ink); stroke-width: 1.5; } svg .shown { fill: var(--ink); stroke: var(--ink); }
svg .hollow { fill: var(--paper); stroke: var(--ink); stroke-width: 1.5; }
svg .plus { fill: var(--plus); } svg .minus { fill: var(--minus); } svg .frame { fill: none; stroke: var(--line); }
svg .hatch { stroke: var(--soft); stroke-width: 1; } svg .bold { font-weight: 600; }
.wide { overflow-x: auto; } .wide svg { max-width: none; }
table { border-collapse: collapse; width: 100%; table-layout: fixed; font-size: .9rem; }
.facts { table-layout: auto; width: auto; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border: 1px solid var(--line); }
th { background: var(--box); font-weight: 600; }
pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; font: .85rem/1.4 ui-monospace, monospace; }
details { margin: .8rem 0; } summary { cursor: pointer; } .question { background: var(--box); padding: .5rem; }
code { font: .85em ui-monospace, monospace; } footer, .note { color: var(--soft); font-size: .9rem; }
.reply { white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.9; background: var(--box); padding: .8rem; }
.reply a, .tokens a, sup a { color: inherit; text-decoration: none; } sup a { font-size: .8em; padding: 0 .15em; font-weight: 600; }
.reply del, .tokens del { color: var(--soft); text-decoration: line-through; }
.break::before { content: '\u{21b5}'; color: var(--soft); } .empty::before { content: '\u{2205}'; color: var(--soft); }
.c1 { border-bottom: 1px dotted; background: rgb(201 112 26 / .08); } .c2 { border-bottom: 1px dashed; background: rgb(201 112 26 / .17); }
.c3 { border-bottom: 2px solid; background: rgb(201 112 26 / .28); } .c4 { border-bottom: 4px double; background: rgb(201 112 26 / .4); }
a:focus-visible, tr:target, details:target, .notes p:target { outline: 2px solid var(--plus); }
.notes p, .notes details { margin: .3rem 0; overflow-wrap: anywhere; } .lists { display: flex; flex-wrap: wrap; gap: 1rem; }
.tokens { table-layout: auto; font-size: .8rem; } .tokens td { padding: .15rem .4rem; white-space: pre-wrap; overflow-wrap: normal; }
bdi { font-family: ui-monospace, monospace; white-space: pre-wrap; }
svg .curve { fill: none; stroke: var(--ink); stroke-width: 1.3; stroke-linecap: round; stroke-linejoin: round; }
svg .band { fill: var(--bar); fill-opacity: .5; } svg .act { fill: none; stroke: var(--plus); stroke-width: 1.5; }
svg .refusal { fill: none; stroke: var(--minus); stroke-width: 1; stroke-dasharray: 3 3; }
svg .retraction { fill: none; stroke: var(--minus); stroke-width: 2; }
";
