//! What a template must not be able to do: take all memory, all time, or the stack.

use super::*;

/// Everything that must be refused, as a template engine without bounds would try it.
fn greedy() -> Vec<(&'static str, String)> {
    let nested = |open: &str, inner: &str, close: &str, times: usize| {
        format!("{{{{ {}{inner}{} }}}}", open.repeat(times), close.repeat(times))
    };
    let blocks = |open: &str, close: &str, times: usize| format!("{}{}", open.repeat(times), close.repeat(times));
    let doubling = |start: &str, step: &str, end: &str| {
        format!(
            "{{% set ns = namespace(x={start}) %}}{{% for i in range(100000) %}}{{% set ns.x = {step} %}}{{% endfor %}}{end}"
        )
    };
    let mut all: Vec<(&str, String)> = [
        ("list times a number", "{{ [1] * 2000000000 }}"),
        ("tuple times a number", "{{ (1,) * 2000000000 }}"),
        ("list times a number, unpacked", "{% set a, b = [1] * 2000000000 %}"),
        ("text times a number", "{{ 'a' * 2000000000 }}"),
        ("number times a text", "{{ 2000000000 * 'ab' }}"),
        ("a hundred million", "{{ 'a' * 200000000 }}"),
        ("format", "{{ '%2000000000d' | format(1) }}"),
        ("format with a star", "{{ '%*d' % (2000000000, 1) }}"),
        ("format from the left", "{{ '%-2000000000s' % 'a' }}"),
        ("format with a precision", "{{ '%.2000000000f' % 1 }}"),
        ("str.format", "{{ '{:>2000000000}'.format(1) }}"),
        ("str.format with a precision", "{{ '{:.2000000000f}'.format(1.5) }}"),
        ("str.format of zeros", "{{ '{:02000000000d}'.format(1) }}"),
        ("str.format in str.format", "{{ '{:{}}'.format('a', 2000000000) }}"),
        ("center", "{{ 'a'.center(2000000000) }}"),
        ("center filter", "{{ 'a' | center(2000000000) }}"),
        ("ljust", "{{ 'a'.ljust(2000000000, 'ä') }}"),
        ("rjust", "{{ 'a'.rjust(2000000000) }}"),
        ("zfill", "{{ '-1'.zfill(2000000000) }}"),
        ("expandtabs", "{{ '\t'.expandtabs(2000000000) }}"),
        ("indent", "{{ ('a\n' * 1000) | indent(2000000) }}"),
        ("indent of JSON", "{{ [1] | tojson(indent=2000000000) }}"),
        ("separators of JSON", "{{ ([1] * 10000) | tojson(separators=('a' * 100000, ':')) }}"),
        ("replace", "{{ ('a' * 100000) | replace('a', 'a' * 100000) }}"),
        ("replace method", "{{ ('a' * 100000).replace('', 'a' * 100000) }}"),
        ("join", "{{ (['a' * 1000000] * 10000) | join('') }}"),
        ("join method", "{{ ('a' * 100000).join('b' * 100000) }}"),
        ("slice", "{{ range(1) | slice(1000000000) | list }}"),
        ("batch", "{{ range(1000) | batch(1000000000, 1) }}"),
        ("wordwrap", "{{ ('a ' * 100000) | wordwrap(1, true, 'b' * 100000) }}"),
        ("urlencode", "{{ ('ä' * 40000000) | urlencode }}"),
        ("a long range", "{% for i in range(2000000000) %}{{ i }}{% endfor %}"),
        ("loops in loops", "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"),
        ("loops in loops that put out", "{% for a in range(99999) %}{% for b in range(99999) %}abcdefgh{% endfor %}{% endfor %}"),
        ("searching", "{% set x = 'a' * 10000000 %}{% for a in range(99999) %}{{ 'b' in x }}{% endfor %}"),
        ("comparing", "{% set x = [1] * 100000 %}{% set y = [1] * 100000 %}{% for a in range(99999) %}{{ x == y }}{% endfor %}"),
        ("sorting", "{% for a in range(99999) %}{{ range(99999) | sort }}{% endfor %}"),
        ("looking up", "{% set x = range(99999) | batch(2) | map('list') | list %}{% for a in range(99999) %}{{ x | unique }}{% endfor %}"),
        ("a macro that calls itself", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"),
        ("macros that call each other", "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{{ a() }}{% endmacro %}{{ a() }}"),
        ("a macro that doubles", "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}"),
        ("callers that call", "{% macro m() %}{% call m() %}{{ caller() }}{% endcall %}{% endmacro %}{{ m() }}"),
        ("a loop that calls itself", "{% for x in [[1]] recursive %}{{ loop([[1]]) }}{% endfor %}"),
        ("a namespace in itself", "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}"),
        ("a namespace in itself, joined", "{% set ns = namespace() %}{% set ns.x = [ns] %}{{ ns ~ 'a' }}"),
        ("a large number", "{{ 10 ** 1000000000 }}"),
        ("a large number that grows", "{% set ns = namespace(x=3) %}{% for i in range(99) %}{% set ns.x = ns.x * ns.x %}{% endfor %}"),
        ("counting", "{% set x = 'a' * 20000000 %}{% for a in range(99999) %}{% for b in range(99) %}{{ x | length }}{% endfor %}{% endfor %}"),
        ("numbers", "{% set x = '1' * 20000000 %}{% for a in range(99999) %}{{ x | int }}{{ x | float }}{% endfor %}"),
        ("rounding", "{% for a in range(99999) %}{% for b in range(99) %}{{ 0.1 | round(300) }}{% endfor %}{% endfor %}"),
        ("a long key", "{% set x = 'a' * 20000000 %}{% for a in range(99999) %}{{ {}[x] is defined }}{% endfor %}"),
        ("a character", "{% set x = 'ä' * 9000000 %}{% for a in range(99999) %}{{ x[-8000000] }}{% endfor %}"),
        ("stripping", "{% set x = 'a' * 9000000 %}{% set y = 'ä' * 1000 ~ 'a' %}{% for a in range(99999) %}{{ x.strip(y) }}{% endfor %}"),
        ("tabs", "{% set x = '\t' * 9000000 %}{% for a in range(99999) %}{{ x.expandtabs(0) | length }}{% endfor %}"),
        ("titles", "{% set x = 'a ' * 9000000 %}{{ x.title() }}{{ x | title }}{{ x | wordwrap(1) }}"),
        ("characters", "{% set x = 'ab' * 9000000 %}{% for a in x %}{{ a }}{% endfor %}"),
        ("backwards", "{{ ('ab' * 9000000) | reverse }}{{ ('ab' * 9000000)[::-1] }}"),
        ("lines", "{{ ('\n' * 9000000).splitlines() }}"),
        ("words", "{{ ('a ' * 9000000).split() }}"),
        ("times of day", "{% for a in range(99999) %}{{ strftime_now('%c' * 1000) }}{% endfor %}"),
        ("digits", "{% for a in range(99999) %}{% for b in range(99) %}{{ '%.1000f' % 1e300 }}{% endfor %}{% endfor %}"),
        ("arguments", "{% macro m() %}{{ varargs }}{% endmacro %}{{ m(*[1] * 2000000000) }}"),
    ]
    .into_iter()
    .map(|(name, source)| (name, source.to_string()))
    .collect();
    all.extend([
        ("doubled text", doubling("'aaaaaaaa'", "ns.x ~ ns.x", "")),
        ("doubled text with plus", doubling("'aaaaaaaa'", "ns.x + ns.x", "")),
        ("doubled list", doubling("[1]", "ns.x + ns.x", "")),
        ("doubled by format", doubling("'a'", "'%s%s' % (ns.x, ns.x)", "")),
        ("doubled by braces", doubling("'a'", "'{0}{0}'.format(ns.x)", "")),
        ("doubled by join", doubling("'a'", "[ns.x, ns.x] | join", "")),
        ("doubled by JSON", doubling("'\"'", "ns.x | tojson", "")),
        ("doubled by quoting", doubling("['\\'\"']", "[ns.x | string]", "")),
        ("a list in a list", doubling("[]", "[ns.x]", "{{ ns.x }}")),
        ("a dictionary in a dictionary", doubling("{}", "{'a': ns.x}", "{{ ns.x }}")),
        ("a tuple in a tuple", doubling("()", "(ns.x,)", "{{ ns.x }}")),
        ("namespaces in namespaces", doubling("1", "namespace(x=ns.x)", "{{ ns }}")),
        ("a list twice in a list", doubling("[1]", "[ns.x, ns.x]", "{{ ns.x }}")),
        ("set blocks", blocks("{% set x %}", "{% endset %}", 1000)),
        ("brackets", nested("[", "", "]", 50_000)),
        ("parentheses", nested("(", "1", ")", 50_000)),
        ("braces", nested("{1:", "1", "}", 20_000)),
        ("minus", nested("-", "1", "", 50_000)),
        ("not", nested("not ", "1", "", 50_000)),
        ("sum", nested("1+", "1", "", 50_000)),
        ("tildes", nested("1~", "1", "", 50_000)),
        ("filters", nested("", "1", "|trim", 40_000)),
        ("attributes", nested("", "a", ".a", 50_000)),
        ("places", nested("", "a", "[0]", 50_000)),
        ("calls", nested("", "a", "()", 50_000)),
        ("calls in calls", nested("a(", "1", ")", 50_000)),
        ("tests", nested("", "1", " is true", 20_000)),
        ("ifs in expressions", nested("", "1", " if 1 else 1", 10_000)),
        ("powers", nested("1**", "1", "", 50_000)),
        ("comparisons", nested("1<", "1", "", 50_000)),
        ("ifs", blocks("{% if 1 %}", "{% endif %}", 10_000)),
        ("elifs", format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 0 %}".repeat(15_000))),
        ("fors", blocks("{% for a in b %}", "{% endfor %}", 6_000)),
        (
            "a long name",
            format!(
                "{{% for a in range(99999) %}}{{% for b in range(999) %}}{{{{ {0} }}}}{{% endfor %}}{{% endfor %}}",
                "a".repeat(200_000)
            ),
        ),
        ("long words", format!("{{{{ raise_exception('{}') }}}}", "a".repeat(200_000))),
        ("a long source", "a".repeat(300_000)),
    ]);
    all
}

#[test]
fn a_template_without_measure_is_refused() {
    for (name, source) in greedy() {
        let rendered = ChatTemplate::jinja(&source, "", "").and_then(|template| template.render(&[user("q")]));
        let error = rendered.err().unwrap_or_else(|| panic!("{name} is not refused")).to_string();
        assert!(error.starts_with("it ") && error.len() < 1100, "{name}: {error}");
    }
}

#[test]
fn what_a_template_may_do_does_not_depend_on_the_machine() {
    let fits = "{{ 'a' * 4000000 }}";
    assert_eq!(
        template("{{ 'a' * 5000000 }}").render(&[user("q")]).unwrap_err(),
        TemplateError::TooMuch { line: None },
        "it can be made and is no prompt"
    );
    assert!(template(fits).render(&[user("q")]).is_ok());
    let error = template("{{ 'a' * 100000000 }}").render(&[user("q")]).unwrap_err();
    assert_eq!(error, TemplateError::TooMuch { line: Some(1) });
    assert_eq!(error.to_string(), "it takes more time or memory than any prompt can need (line 1)");
}

#[test]
fn a_long_conversation_fits_into_the_bounds() {
    let messages: Vec<_> =
        (0..2000)
            .map(|index| {
                if index % 2 == 0 { user(&"word ".repeat(200)) } else { assistant(&"<think>a</think> word".repeat(40)) }
            })
            .collect();
    for (name, source) in REAL_LIFE {
        let rendered = template(source).render(&messages);
        assert!(rendered.is_ok(), "{name}: {:?}", rendered.err());
    }
}
