use super::*;

const TOKENS: [&[u8]; 8] = [b"", b"a", b"ab", b"abc", b"b", b"abd", b"ab", b"xyz"];

#[test]
fn a_node_owns_the_tokens_that_begin_like_it() {
    let trie = Trie::new(&Vocabulary::from_pieces(&TOKENS, &[0]));
    let below = |bytes: &[u8]| -> Vec<u32> { trie.order()[trie.below(trie.find(bytes).unwrap())].to_vec() };
    assert_eq!(below(b"a"), [1, 2, 6, 3, 5]);
    assert_eq!(below(b"ab"), [2, 6, 3, 5]);
    assert_eq!(trie.own_tokens(trie.find(b"ab").unwrap()), [2, 6]);
    assert_eq!(trie.longer(trie.find(b"ab").unwrap()).len(), 2);
    assert_eq!(trie.find(b"ac"), None);
    let children: Vec<u8> = trie.children(ROOT).map(|(byte, _)| byte).collect();
    assert_eq!(children, b"abx");
    assert_eq!(trie.depth(trie.find(b"xyz").unwrap()), 3);
}

#[test]
fn bytes_are_written_in_the_longest_tokens_from_which_the_rest_can_be_written() {
    let trie = Trie::new(&Vocabulary::from_pieces(&[b"", b"a", b"ab", b"abc", b"cd", b"b"], &[0]));
    assert_eq!(trie.encode(b"abcd"), Some(vec![2, 4]));
    assert_eq!(trie.encode(b"abc"), Some(vec![3]));
    assert_eq!(trie.encode(b"abx"), None);
    assert_eq!(trie.encode(b""), Some(vec![]));
}

#[test]
fn byte_fallback_stands_behind_the_piece_with_the_same_byte() {
    let vocabulary = Vocabulary::from_pieces(&[b"", b"a", b"a", b"b"], &[0]).with_kinds(&[1], &[3]);
    let trie = Trie::new(&vocabulary);
    assert_eq!(trie.own_tokens(trie.find(b"a").unwrap()), [2, 1]);
    assert_eq!(trie.find(b"b"), None, "a masked token is nowhere");
}

#[test]
fn the_units_are_the_bytes_and_the_end() {
    let units = bytes();
    assert!(units.is_bytes());
    assert_eq!((units.len(), units.end(), units.bytes(65), units.bytes(256)), (257, 256, &b"A"[..], &b""[..]));
}

#[test]
fn what_vocabularies_share_is_counted_by_bytes() {
    let one = Vocabulary::from_pieces(&[b"", b"a", b"ab", b"abc"], &[0]);
    let other = Vocabulary::from_pieces(&[b"ab", b"", b"b", b"a"], &[1]);
    let Description { shared, members } = describe(&[&one, &other]);
    assert_eq!(shared, 2);
    assert_eq!((members[0].tokens, members[0].ends, members[0].missing_bytes, members[0].alone), (3, 1, 255, 1));
    assert_eq!(members[0].examples, [b"abc"]);
    assert_eq!(members[1].bytes_per_token, 4.0 / 3.0);
}
