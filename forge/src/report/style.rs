//! How the page looks.

/// The style sheet. Lines differ in their dashes and shades in their strength, so that no meaning hangs on colours alone.
pub(super) const SHEET: &str = "
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1f24; --soft: #667079; --line: #d5dadf; --box: #f5f7f9;
  --a: #2f6db5; --b: #c9701a; --c: #3f7f5f; --d: #8a4fa8; }
@media (prefers-color-scheme: dark) { :root { --paper: #15181c; --ink: #e4e8ec; --soft: #9aa4ae; --line: #3a424a;
  --box: #1d2227; --a: #6ea6e8; --b: #e59a4f; --c: #74b894; --d: #bf8fd8; } }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 2.5rem; } h3 { font-size: 1.05rem; }
small, .note { color: var(--soft); font-size: .9rem; font-weight: 400; } .wrong { white-space: pre-wrap; border-left: 4px solid var(--b); padding-left: .6rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; } .facts { width: auto; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border: 1px solid var(--line); overflow-wrap: anywhere; }
th { background: var(--box); font-weight: 600; } a { color: inherit; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font: .85rem/1.4 ui-monospace, monospace; background: var(--box); padding: .5rem; }
code { font: .85em ui-monospace, monospace; overflow-wrap: anywhere; } details { margin: .8rem 0; } summary { cursor: pointer; }
.wide { overflow-x: auto; } svg { display: block; font: 13px system-ui, sans-serif; margin: .5rem 0; }
svg text { fill: var(--ink); } svg .soft { fill: var(--soft); font-size: 11px; }
svg .grid { stroke: var(--line); } svg .zero { stroke: var(--soft); stroke-width: 1.5; }
svg .whisker { stroke: var(--ink); stroke-width: 1.5; }
svg .shown { fill: var(--ink); stroke: var(--ink); } svg .hollow { fill: var(--paper); stroke: var(--ink); stroke-width: 1.5; }
svg .curve { fill: none; stroke-width: 1.6; stroke-linejoin: round; } svg .cell { fill: var(--a); }
svg .frame { fill: none; stroke: var(--line); }
svg .l0 { stroke: var(--a); } svg .l1 { stroke: var(--b); stroke-dasharray: 7 3; } svg .l2 { stroke: var(--c); stroke-dasharray: 2 3; }
svg .l3 { stroke: var(--d); stroke-dasharray: 9 3 2 3; }
";
