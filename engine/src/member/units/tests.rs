//! What the reduction promises, on vocabularies of a few tokens and on random ones.

use super::*;
use crate::member::{Unit, Vocabulary};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn vocabulary(pieces: &[&[u8]], ends: &[Unit]) -> Vocabulary {
    Vocabulary::from_pieces(pieces, ends)
}

fn texts(pieces: &[&str]) -> Vocabulary {
    let pieces: Vec<&[u8]> = pieces.iter().map(|piece| piece.as_bytes()).collect();
    vocabulary(&pieces, &[])
}

/// The strings of the units that are longer than a byte.
fn shared(common: &Common) -> Vec<&[u8]> {
    (256..common.units.end()).map(|unit| common.units.bytes(unit)).collect()
}

fn unit(common: &Common, bytes: &[u8]) -> Unit {
    (0..common.units.end()).find(|&unit| common.units.bytes(unit) == bytes).unwrap()
}

fn units(common: &Common, strings: &[&[u8]]) -> Vec<Unit> {
    strings.iter().map(|string| unit(common, string)).collect()
}

fn bytes(common: &Common, units: &[Unit]) -> Vec<u8> {
    units.iter().flat_map(|&unit| common.units.bytes(unit)).copied().collect()
}

fn nodes(map: &TokenMap) -> Vec<Node> {
    let mut all = vec![ROOT];
    let mut at = 0;
    while at < all.len() {
        all.extend(map.children(all[at]).map(|(_, node)| node));
        at += 1;
    }
    all
}

#[test]
fn units_are_the_bytes_what_all_have_in_the_order_of_bytes_and_the_end() {
    let one = texts(&["the", " cat", "sat", "ab", "abc"]);
    let two = texts(&["ab", "sat", "dog", "the"]);
    let common = reduce(&[&one, &two]);
    assert_eq!(shared(&common), [b"ab".as_slice(), b"sat", b"the"]);
    assert!((0..=255u8).all(|byte| common.units.bytes(byte.into()) == [byte]));
    assert_eq!((common.units.len(), common.units.end()), (260, 259));
    assert!(common.units.can_emit(259) && common.units.bytes(259).is_empty());
    assert_eq!(common.members[0].units(), 260);
}

#[test]
fn neither_the_order_of_members_nor_that_of_tokens_changes_the_units() {
    let one = texts(&["the", "cat", "sat", " ", "x"]);
    let two = texts(&["sat", "x", "the", "dog", "cat"]);
    let (here, there) = (reduce(&[&one, &two]), reduce(&[&two, &one]));
    assert_eq!(here.units, there.units);
    assert_eq!(here.members[0], there.members[1]);
    for token in 0..2 {
        assert_eq!(here.units.bytes(here.members[0].units_of(token)[0]), one.bytes(token));
    }
}

#[test]
fn tokens_are_cut_into_the_longest_units() {
    let one = texts(&["abcde", "ab", "abcd", "bcd", "e", "abx", "a"]);
    let two = texts(&["ab", "bcd", "abcd", "a"]);
    let common = reduce(&[&one, &two]);
    let map = &common.members[0];
    assert_eq!(map.units_of(0), units(&common, &[b"abcd", b"e"]));
    assert_eq!(map.units_of(1), units(&common, &[b"ab"]));
    assert_eq!(map.units_of(5), units(&common, &[b"ab", b"x"]));
    assert_eq!(map.path(map.find(map.units_of(0)).unwrap()), map.units_of(0));
    assert_eq!(map.depth(map.find(map.units_of(0)).unwrap()), 2);
    assert_eq!((map.depth(ROOT), map.path(ROOT)), (0, [].as_slice()));
}

#[test]
fn a_leading_space_is_a_byte_like_any_other() {
    let one = texts(&[" the", "the", " ", "  "]);
    let two = texts(&["the", " cat", " the"]);
    let common = reduce(&[&one, &two]);
    assert_eq!(shared(&common), [b" the".as_slice(), b"the"]);
    assert_eq!(common.members[1].units_of(1), units(&common, &[b" ", b"c", b"a", b"t"]));
}

#[test]
fn tokens_that_are_no_text_are_cut_like_others() {
    let one = vocabulary(&[b"\xe2\x82", b"\xac", b"\xe2\x82\xac", b"\xff\xff"], &[]);
    let two = vocabulary(&[b"\xe2\x82", b"\xff"], &[]);
    let common = reduce(&[&one, &two]);
    assert_eq!(shared(&common), [b"\xe2\x82"]);
    assert_eq!(common.members[0].units_of(2), units(&common, &[b"\xe2\x82", b"\xac"]));
    assert_eq!(common.members[0].units_of(3), [255, 255]);
}

#[test]
fn masked_and_empty_tokens_are_nowhere_and_all_ends_are_one() {
    let one = vocabulary(&[b"ab", b"", b"<s>", b"</s>", b"<eot>", b"c"], &[3, 4]).with_kinds(&[], &[2]);
    let two = texts(&["ab", "<s>", "</s>"]);
    let common = reduce(&[&one, &two]);
    assert_eq!(shared(&common), [b"ab"]);
    let [map, endless] = common.members.as_slice() else { panic!("two members") };
    assert_eq!((map.ends(), endless.ends()), ([3, 4].as_slice(), [].as_slice()));
    assert!(map.units_of(1).is_empty() && map.units_of(2).is_empty());
    assert_eq!(map.units_of(4), [common.units.end()]);
    let mut masses = vec![9.0; common.units.len()];
    // What a row holds for masked tokens does not count.
    map.root_masses(&[0.25, 9.0, 9.0, 0.125, 0.25, 0.375], &mut masses);
    assert_eq!(masses[common.units.end() as usize], 0.375);
    assert_eq!(masses[unit(&common, b"ab") as usize], 0.25);
    assert_eq!(masses.iter().sum::<f32>(), 1.0);
    endless.root_masses(&[0.5, 0.25, 0.25], &mut masses);
    assert_eq!(masses[common.units.end() as usize], 0.0);
}

#[test]
fn a_token_beyond_the_vocabulary_is_nothing() {
    let common = reduce(&[&texts(&["a", "b"])]);
    for token in [2, 3, u32::MAX] {
        assert!(common.members[0].units_of(token).is_empty());
    }
}

#[test]
fn many_small_masses_are_summed_with_care() {
    let pieces: Vec<String> = (0..20_000).map(|number| format!("x{number}")).collect();
    let one = texts(&pieces.iter().map(String::as_str).collect::<Vec<_>>());
    let map = &reduce(&[&one, &texts(&[])]).members[0];
    let mut masses = vec![0.0; map.units()];
    let mut p = vec![1e-8; 20_000];
    p[0] = 0.9998;
    map.root_masses(&p, &mut masses);
    assert!((masses[usize::from(b'x')] - 0.99999999).abs() < 1e-7, "{}", masses[usize::from(b'x')]);
}

#[test]
fn tokens_with_the_same_bytes_share_a_node_and_the_piece_comes_first() {
    let one = vocabulary(&[b"\n", b"a", b"ab", b"ab", b"a"], &[]).with_kinds(&[0, 1], &[]);
    let two = texts(&["ab"]);
    let common = reduce(&[&one, &two]);
    let map = &common.members[0];
    let own = |bytes: &[u8]| map.own_tokens(map.child(ROOT, unit(&common, bytes)).unwrap()).to_vec();
    assert_eq!((own(b"a"), own(b"ab"), own(b"\n")), (vec![4, 1], vec![2, 3], vec![0]));
    assert_eq!(map.encode(&units(&common, &[b"\n", b"ab", b"a"])), Some(vec![0, 2, 4]));
    let two_as_mass = map.mass(map.child(ROOT, unit(&common, b"ab")).unwrap(), &[0.0, 0.0, 0.5, 0.25, 0.25]);
    assert_eq!(two_as_mass, 0.75);
}

#[test]
fn encoding_takes_the_longest_token_from_which_the_rest_can_be_written() {
    // "aab" would be the longest beginning of "aabc", but nothing writes the "c" alone.
    let one = vocabulary(&[b"aab", b"a", b"abc", b"b", b"ab", b"</s>"], &[5]);
    let common = reduce(&[&one, &texts(&[])]);
    let map = &common.members[0];
    assert_eq!(map.encode(&units(&common, &[b"a", b"a", b"b", b"c"])), Some(vec![1, 2]));
    assert_eq!(map.encode(&units(&common, &[b"a", b"a", b"b", b"b"])), Some(vec![0, 3]));
    assert_eq!(map.encode(&[]), Some(vec![]));
    assert_eq!(map.encode(&units(&common, &[b"a", b"c"])), None);
    assert_eq!(map.encode(&[common.units.end()]), Some(vec![5]));
    assert_eq!(common.members[1].encode(&[common.units.end()]), None);
}

#[test]
fn a_node_owns_its_own_tokens_and_then_its_childrens() {
    let one = texts(&["abc", "ab", "a", "abd", "b"]);
    let common = reduce(&[&one, &texts(&[])]);
    let map = &common.members[0];
    let node = map.find(&units(&common, &[b"a"])).unwrap();
    assert_eq!((map.own_tokens(node), map.tokens_below(node)), ([2].as_slice(), [2, 1, 0, 3].as_slice()));
    assert_eq!(map.tokens_below(ROOT), [2, 1, 0, 3, 4]);
    let p = [0.125, 0.25, 0.5, 0.0625, 0.0625];
    let mut masses = Vec::new();
    map.child_masses(map.find(&units(&common, &[b"a", b"b"])).unwrap(), &p, |unit, mass| masses.push((unit, mass)));
    assert_eq!(masses, [(b'c'.into(), 0.125), (b'd'.into(), 0.0625)]);
    assert_eq!((map.mass(node, &p), map.own_mass(node, &p)), (0.9375, 0.5));
    assert_eq!((map.child(node, b'x'.into()), map.child(ROOT, 9999), map.child(ROOT, b'x'.into())), (None, None, None));
}

#[test]
fn the_description_counts_what_is_shared() {
    let one = vocabulary(&[b"the", b"cat", b"a", b"b", b"</s>", b"cats"], &[4]);
    let two = texts(&["the", "cat", "dog"]);
    let description = reduce(&[&one, &two]).describe();
    assert_eq!((description.units, description.shared), (259, 2));
    let [here, there] = description.members.as_slice() else { panic!("two members") };
    assert_eq!((here.tokens, here.ends, here.single, here.whole_units, here.missing_bytes), (5, 1, 4, 4, 254));
    assert_eq!(
        (here.alone, here.examples.as_slice()),
        (3, [b"a".to_vec(), b"b".to_vec(), b"cats".to_vec()].as_slice())
    );
    assert_eq!((here.units_per_token, here.bytes_per_token), (6.0 / 5.0, 12.0 / 5.0));
    assert_eq!((there.tokens, there.ends, there.alone, there.units_per_token), (3, 0, 1, 5.0 / 3.0));
    assert_eq!(description.bytes_per_unit, 262.0 / 258.0);
}

#[test]
fn no_members_and_no_tokens_are_no_special_case() {
    assert_eq!(reduce(&[]).units.len(), 257);
    let common = reduce(&[&texts(&[])]);
    assert_eq!(common.members[0].tokens_below(ROOT), [0u32; 0]);
    assert_eq!(common.describe().members[0].tokens, 0);
}

#[test]
fn units_on_disk_are_the_same_units() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("new");
    let one = vocabulary(&[b"\n", b"a", b"the", b"cats", b"a", b"</s>"], &[5]).with_kinds(&[0, 1], &[2]);
    let two = texts(&["the", "cat", "cats"]);
    let (first, known) = reduce_cached(&[&one, &two], Some(&cache));
    assert!(!known);
    assert_eq!(reduce_cached(&[&one, &two], Some(&cache)), (first.clone(), true));
    assert_eq!(reduce_cached(&[&one, &two], None), (first, false));
    // Members in another order, another kind of a token, other bytes: other files.
    assert!(!reduce_cached(&[&two, &one], Some(&cache)).1);
    assert!(!reduce_cached(&[&one.clone().with_kinds(&[], &[1]), &two], Some(&cache)).1);
    assert!(!reduce_cached(&[&one, &texts(&["the", "cat", "catz"])], Some(&cache)).1);
    assert_eq!(std::fs::read_dir(&cache).unwrap().count(), 4);
}

#[test]
fn a_damaged_file_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (texts(&["the", "cats"]), texts(&["the", "cat"]));
    let (common, _) = reduce_cached(&[&one, &two], Some(folder.path()));
    let path = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let whole = std::fs::read(&path).unwrap();
    let mut damaged: Vec<Vec<u8>> = (0..whole.len()).step_by(7).map(|length| whole[..length].to_vec()).collect();
    damaged.push([whole.as_slice(), b"more"].concat());
    for at in (0..whole.len()).step_by(5) {
        let mut file = whole.clone();
        file[at] ^= 1;
        damaged.push(file);
    }
    for file in damaged {
        std::fs::write(&path, file).unwrap();
        assert_eq!(reduce_cached(&[&one, &two], Some(folder.path())), (common.clone(), false));
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    }
    assert!(reduce_cached(&[&one, &two], Some(folder.path())).1);
}

#[test]
fn a_folder_that_cannot_be_written_costs_time_alone() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let one = texts(&["the", "cats"]);
    assert_eq!(reduce_cached(&[&one], Some(file.path())), (reduce(&[&one]), false));
}

/// Two or three vocabularies of few different bytes, with every kind of token.
fn vocabularies() -> impl Strategy<Value = Vec<Vocabulary>> {
    let token = (prop::collection::vec(prop::sample::select(b"ab \xc3".to_vec()), 0..6), 0..10u8);
    let one = prop::collection::vec(token, 0..40).prop_map(|tokens| {
        let pieces: Vec<&[u8]> = tokens.iter().map(|(bytes, _)| bytes.as_slice()).collect();
        let of_kind =
            |kind| (0..tokens.len() as Unit).filter(|&token| tokens[token as usize].1 == kind).collect::<Vec<_>>();
        let one_byte = |token: &Unit| pieces[*token as usize].len() == 1;
        let fallback: Vec<Unit> = of_kind(2).into_iter().filter(one_byte).collect();
        vocabulary(&pieces, &of_kind(0)).with_kinds(&fallback, &of_kind(1))
    });
    prop::collection::vec(one, 2..4)
}

/// A distribution over the tokens that can be emitted, uneven and the same every time.
fn probabilities(map: &TokenMap) -> Vec<f32> {
    let weight = |token: u32| if map.units_of(token).is_empty() { 0.0 } else { f64::from(token * 7919 % 97 + 1) };
    let sum: f64 = (0..map.tokens() as u32).map(weight).sum();
    (0..map.tokens() as u32).map(|token| (weight(token) / sum) as f32).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn every_token_that_writes_text_is_its_bytes_in_units(vocabularies in vocabularies()) {
        let common = reduce(&vocabularies.iter().collect::<Vec<_>>());
        let strings: BTreeSet<&[u8]> = (0..common.units.end()).map(|unit| common.units.bytes(unit)).collect();
        for (vocabulary, map) in vocabularies.iter().zip(&common.members) {
            let mut emitted: Vec<u32> = map.tokens_below(ROOT).to_vec();
            emitted.sort_unstable();
            let expected: Vec<u32> = (0..map.tokens() as u32).filter(|&token| !map.units_of(token).is_empty()).collect();
            prop_assert_eq!(emitted, expected);
            for token in (0..map.tokens() as u32).filter(|token| !map.ends().contains(token)) {
                let mut rest = if map.units_of(token).is_empty() { &[] } else { vocabulary.bytes(token) };
                for &unit in map.units_of(token) {
                    let longest = (1..=rest.len()).rev().map(|length| &rest[..length]).find(|cut| strings.contains(cut));
                    prop_assert_eq!(Some(common.units.bytes(unit)), longest);
                    rest = &rest[common.units.bytes(unit).len()..];
                }
                prop_assert!(rest.is_empty());
            }
        }
    }

    #[test]
    fn a_units_string_is_one_token_of_every_member_or_one_byte(vocabularies in vocabularies()) {
        let common = reduce(&vocabularies.iter().collect::<Vec<_>>());
        for unit in 256..common.units.end() {
            for map in &common.members {
                prop_assert!(!map.own_tokens(map.child(ROOT, unit).unwrap()).is_empty());
            }
        }
        for (vocabulary, map) in vocabularies.iter().zip(&common.members) {
            for token in (0..map.tokens() as u32).filter(|&token| map.units_of(token).len() > 1) {
                let bytes = vocabulary.bytes(token);
                let has = |other: &Vocabulary, map: &TokenMap| (0..map.tokens() as u32)
                    .any(|token| !map.units_of(token).is_empty() && other.bytes(token) == bytes);
                prop_assert!(!vocabularies.iter().zip(&common.members).all(|(other, map)| has(other, map)));
            }
        }
    }

    #[test]
    fn ranges_partition_and_masses_add_up(vocabularies in vocabularies()) {
        let common = reduce(&vocabularies.iter().collect::<Vec<_>>());
        for map in common.members.iter().filter(|map| !map.tokens_below(ROOT).is_empty()) {
            let p = probabilities(map);
            for node in nodes(map) {
                let mut parts = map.own_tokens(node).to_vec();
                parts.extend(map.children(node).flat_map(|(_, child)| map.tokens_below(child)));
                prop_assert_eq!(map.tokens_below(node), parts);
                prop_assert!(map.children(node).is_sorted_by(|one, other| one.0 < other.0));
                let path = map.path(node);
                prop_assert_eq!(path.len(), map.depth(node));
                prop_assert_eq!(map.find(path), Some(node));
                for (place, &token) in map.tokens_below(node).iter().enumerate() {
                    prop_assert!(map.units_of(token).starts_with(path));
                    prop_assert_eq!(map.units_of(token) == path, place < map.own_tokens(node).len());
                }
                let mut sum = map.own_mass(node, &p);
                map.child_masses(node, &p, |unit, mass| {
                    sum += f64::from(mass);
                    assert_eq!(mass, map.mass(map.child(node, unit).unwrap(), &p) as f32);
                });
                prop_assert!((sum - map.mass(node, &p)).abs() < 1e-6);
            }
            let mut masses = vec![f32::NAN; map.units()];
            map.root_masses(&p, &mut masses);
            prop_assert!((masses.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            map.child_masses(ROOT, &p, |unit, mass| assert!((mass - masses[unit as usize]).abs() <= 1e-6 * mass));
        }
    }

    #[test]
    fn tokens_of_encoded_units_are_these_units(vocabularies in vocabularies(), picks in prop::collection::vec(any::<u32>(), 0..12)) {
        let common = reduce(&vocabularies.iter().collect::<Vec<_>>());
        for (vocabulary, map) in vocabularies.iter().zip(&common.members) {
            let all = map.tokens_below(ROOT);
            let written: Vec<Unit> = picks
                .iter()
                .filter(|_| !all.is_empty())
                .flat_map(|&pick| map.units_of(all[pick as usize % all.len()]))
                .copied()
                .collect();
            let tokens = map.encode(&written).expect("tokens wrote it");
            let read: Vec<Unit> = tokens.iter().flat_map(|&token| map.units_of(token as u32)).copied().collect();
            prop_assert_eq!(&read, &written);
            let of_tokens: Vec<u8> = tokens.iter().flat_map(|&token| vocabulary.bytes(token as Unit)).copied().collect();
            prop_assert_eq!(of_tokens, bytes(&common, &written));
        }
    }

    #[test]
    fn what_is_read_from_disk_is_what_was_computed(vocabularies in vocabularies()) {
        let folder = tempfile::tempdir().unwrap();
        let vocabularies: Vec<&Vocabulary> = vocabularies.iter().collect();
        let (computed, _) = reduce_cached(&vocabularies, Some(folder.path()));
        prop_assert_eq!(reduce_cached(&vocabularies, Some(folder.path())), (computed, true));
    }
}

/// What the reduction costs, on vocabularies of today's sizes. Run by hand, on an idle machine:
/// `cargo test --release --lib units::tests::measurements -- --ignored --nocapture`
mod measurements {
    use super::*;
    use crate::timing::assert_within;
    use std::collections::HashSet;
    use std::hint::black_box;
    use std::time::{Duration, Instant};

    /// Distinct strings that grow out of each other as merges do: the bytes, then pairs of earlier ones, up to 100 bytes.
    fn grown(count: usize) -> Vec<Vec<u8>> {
        let mut state = 1u64;
        let mut below = move |limit: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % limit
        };
        let mut strings: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
        let mut known: HashSet<Vec<u8>> = strings.iter().cloned().collect();
        while strings.len() < count {
            // What came early is used often.
            let (one, other) = (below(strings.len()), below(strings.len()));
            let (one, other) = (below(one + 1), below(other + 1));
            let merged = [strings[one].as_slice(), &strings[other]].concat();
            if merged.len() <= 100 && known.insert(merged.clone()) {
                strings.push(merged);
            }
        }
        strings
    }

    /// The fastest of some runs.
    fn fastest(runs: usize, mut work: impl FnMut()) -> Duration {
        let times = (0..runs).map(|_| {
            let start = Instant::now();
            work();
            start.elapsed()
        });
        times.min().unwrap_or_default()
    }

    #[test]
    #[ignore = "a measurement"]
    fn vocabularies_of_128k_and_152k_tokens_are_reduced_in_time() {
        let strings = grown(180_000);
        let of = |pieces: &[Vec<u8>]| {
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).chain([b"".as_slice()]).collect();
            Vocabulary::from_pieces(&pieces, &[pieces.len() as u32 - 1])
        };
        // Both have the first 100,000; of the rest each has its own.
        let one = of(&strings[..128_000]);
        let two = of(&[&strings[..100_000], &strings[128_000..]].concat());
        let vocabularies = [&one, &two];
        let folder = tempfile::tempdir().unwrap();

        let start = Instant::now();
        let (common, known) = reduce_cached(&vocabularies, Some(folder.path()));
        let first = start.elapsed();
        assert!(!known);
        let cached = fastest(5, || assert!(black_box(reduce_cached(&vocabularies, Some(folder.path()))).1));
        let computed = fastest(3, || drop(black_box(reduce(&vocabularies))));
        let described = fastest(3, || drop(black_box(common.describe())));
        let size = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().metadata().unwrap().len();
        println!("first time {first:?}, computed {computed:?}, from the cache {cached:?}, described {described:?}");
        println!("{} bytes in the file; {} units", size, common.units.len());

        let map = &common.members[1];
        let p = vec![1.0 / map.tokens() as f32; map.tokens()];
        let mut masses = vec![0.0; map.units()];
        let masses_time = fastest(200, || map.root_masses(black_box(&p), black_box(&mut masses)));
        println!("masses at the root, {} tokens: {masses_time:?}", map.tokens());
        assert_within(Duration::from_secs(2), first, "the first time");
        assert_within(Duration::from_millis(100), cached, "the cache");
    }
}
