//! The GGUF that llama.cpp takes from a repository (`find_best_model` in its `common/download.cpp`), and the parts of one
//! that is split.

/// Words in the name of a GGUF that is no model of its own: a projector, an importance matrix, a draft for speculation.
const OTHERS: [&str; 6] = ["mmproj", "imatrix", "mtp-", "eagle3-", "dflash-", "dspark-"];

/// The first GGUF of the listing with `tag` before a `.` or `-`, in capital or small letters. Without a tag: `Q4_K_M`, else
/// `Q8_0`, else the first GGUF. Of a split model, its first part.
pub(crate) fn choose<'a>(files: &[&'a str], tag: Option<&str>) -> Option<&'a str> {
    let models =
        || files.iter().copied().filter(|path| is_model(path) && Split::of(path).is_none_or(|split| split.index == 1));
    let with = |tag: &str| models().find(|path| has_tag(path, tag));
    match tag {
        Some(tag) => with(tag),
        None => with("Q4_K_M").or_else(|| with("Q8_0")).or_else(|| models().next()),
    }
}

fn is_model(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    path.ends_with(".gguf") && !OTHERS.iter().any(|other| name.contains(other))
}

fn has_tag(path: &str, tag: &str) -> bool {
    let (path, tag) = (path.to_ascii_lowercase(), tag.to_ascii_lowercase());
    path.match_indices(&tag).any(|(at, _)| path[at + tag.len()..].starts_with(['.', '-']))
}

/// The paths of all parts of the model that `path` is a part of; of a whole one, the path itself.
pub(crate) fn parts(path: &str) -> Vec<String> {
    match Split::of(path) {
        Some(Split { prefix, count, .. }) => {
            (1..=count).map(|index| format!("{prefix}-{index:05}-of-{count:05}.gguf")).collect()
        }
        None => vec![path.into()],
    }
}

/// `prefix-00001-of-00003.gguf`.
struct Split<'a> {
    prefix: &'a str,
    index: u32,
    count: u32,
}

impl<'a> Split<'a> {
    fn of(path: &'a str) -> Option<Self> {
        let (rest, count) = path.strip_suffix(".gguf")?.rsplit_once("-of-")?;
        let (prefix, index) = rest.rsplit_once('-')?;
        let number = |digits: &str| {
            let is_number = digits.len() == 5 && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|_| is_number)
        };
        let (index, count) = (number(index)?, number(count)?);
        (!prefix.is_empty() && 1 <= index && index <= count && count > 1).then_some(Self { prefix, index, count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: [&str; 8] = [
        "README.md",
        "mmproj-Q4_K_M.gguf",
        "m-F16.gguf",
        "m-Q4_K_M.gguf",
        "m-Q8_0.gguf",
        "Q2_K/m-Q2_K-00002-of-00002.gguf",
        "Q2_K/m-Q2_K-00001-of-00002.gguf",
        "m-imatrix.gguf",
    ];

    #[test]
    fn a_tag_chooses_as_llama_cpp_does() {
        assert_eq!(choose(&FILES, Some("q8_0")), Some("m-Q8_0.gguf"));
        assert_eq!(choose(&FILES, Some("Q2_K")), Some("Q2_K/m-Q2_K-00001-of-00002.gguf"));
        assert_eq!(choose(&FILES, Some("Q4_K")), None);
        assert_eq!(choose(&FILES, Some("Q6_K")), None);
    }

    #[test]
    fn without_a_tag_q4_k_m_is_taken_then_q8_0_then_the_first() {
        assert_eq!(choose(&FILES, None), Some("m-Q4_K_M.gguf"));
        assert_eq!(choose(&["a-F16.gguf", "a-q8_0.gguf"], None), Some("a-q8_0.gguf"));
        assert_eq!(choose(&["mmproj.gguf", "a-F16.gguf", "b.gguf"], None), Some("a-F16.gguf"));
        assert_eq!(choose(&["README.md", "mmproj.gguf"], None), None);
    }

    #[test]
    fn a_part_names_all_parts() {
        assert_eq!(parts("d/m-00002-of-00002.gguf"), ["d/m-00001-of-00002.gguf", "d/m-00002-of-00002.gguf"]);
        for whole in
            ["m.gguf", "m-00001-of-00001.gguf", "m-1-of-2.gguf", "m-00003-of-00002.gguf", "-00001-of-00002.gguf"]
        {
            assert_eq!(parts(whole), [whole]);
        }
    }
}
