//! What a page is made of.

/// The tags of a page with their attributes, and whether each opens or closes: a small strict parser, which refuses what
/// `maud` cannot have written.
pub fn tags(page: &str) -> Vec<String> {
    let mut rest = page;
    let mut found = Vec::new();
    while let Some(start) = rest.find('<') {
        let text = &rest[..start];
        assert!(
            !text.contains('>') || found.last().is_some_and(|tag: &String| tag == "style"),
            "an open `>` in {text:?}"
        );
        let mut quoted = false;
        let end = rest[start..].char_indices().find(|(_, character)| {
            quoted ^= *character == '"';
            *character == '>' && !quoted
        });
        let (end, _) = end.expect("a tag ends");
        found.push(rest[start + 1..start + end].to_string());
        rest = &rest[start + end + 1..];
    }
    found
}

/// Fails unless every tag that opens is closed, the last one first.
pub fn assert_closed_in_order(page: &str) {
    const VOID: [&str; 3] = ["meta", "!DOCTYPE", "br"];
    let mut open: Vec<String> = Vec::new();
    for tag in tags(page) {
        let name = tag.split(' ').next().unwrap_or_default();
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop().as_deref(), Some(name)),
            None if VOID.contains(&name) => {}
            None => open.push(name.into()),
        }
    }
    assert!(open.is_empty(), "{open:?}");
}
