//! What a file is, before the system's linker opens it: the linker's words help nobody with a text file, and it ends the
//! program with SIGBUS where a library was cut off.

/// What a file is, by its first 256 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// It can be a shared library.
    Library,
    /// It can be a script.
    Text,
    /// Something else, in words.
    Other(&'static str),
}

/// Tells plugins and scripts apart by their content, whatever they are called.
pub fn file_kind(start: &[u8]) -> FileKind {
    match other_kind(start) {
        None => FileKind::Library,
        Some(_) if !start.is_empty() && is_text(start) && !start.starts_with(b"GGUF") => FileKind::Text,
        Some(found) => FileKind::Other(found),
    }
}

/// What a file is that cannot be a shared library, by its first bytes; `None` for one that can.
pub(super) fn other_kind(start: &[u8]) -> Option<&'static str> {
    const LIBRARIES: [&[u8]; 4] = [b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf"];
    match start {
        [] => Some("an empty file"),
        _ if LIBRARIES.iter().any(|magic| start.starts_with(magic)) => None,
        _ if start.starts_with(b"GGUF") => Some("a GGUF model, which goes to `--model`"),
        _ if start.starts_with(b"!<arch>") => Some("a static library; build it as a `cdylib`"),
        _ if start.starts_with(b"MZ") => Some("a file for Windows"),
        _ if is_text(start) => Some("a text file; a Rhai script goes to `--policy`"),
        _ => Some("a file of another kind"),
    }
}

fn is_text(start: &[u8]) -> bool {
    // The last character may be cut in the middle.
    let whole = std::str::from_utf8(start).map_or_else(|error| error.valid_up_to(), |text| text.len());
    !start.contains(&0) && start.len() - whole < 4
}

/// True for a 64-bit ELF library with a segment or its table of sections beyond the end of the file. Other formats are left
/// to the linker.
pub(super) fn is_cut_off(library: &[u8]) -> bool {
    is_elf(library) && extent(library).is_none_or(|extent| extent.end > library.len() as u64)
}

/// How much memory a library takes when it is loaded, in bytes.
pub(super) fn mapped_size(library: &[u8]) -> u64 {
    let segments = if is_elf(library) { extent(library).map(|extent| extent.mapped) } else { None };
    segments.unwrap_or(library.len() as u64)
}

fn is_elf(library: &[u8]) -> bool {
    const ELF_64_LITTLE_ENDIAN: &[u8] = b"\x7fELF\x02\x01";
    library.starts_with(ELF_64_LITTLE_ENDIAN)
}

/// What the headers of an ELF library say about its size.
struct Extent {
    /// Where the last segment or the table of sections ends in the file.
    end: u64,
    /// The segments in memory.
    mapped: u64,
}

/// `None` where the headers themselves are cut off or impossible.
fn extent(library: &[u8]) -> Option<Extent> {
    const PT_LOAD: u64 = 1;
    let number = |start: usize, bytes: usize| {
        let field = library.get(start..start.checked_add(bytes)?)?;
        Some(field.iter().rev().fold(0u64, |number, byte| number << 8 | u64::from(*byte)))
    };
    // Offsets in `Elf64_Ehdr` and `Elf64_Phdr`.
    let (headers, header_size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    let (sections, section_size, section_count) = (number(40, 8)?, number(58, 2)?, number(60, 2)?);
    let mut extent = Extent { end: sections.checked_add(section_size * section_count)?, mapped: 0 };
    for index in 0..count {
        let header = usize::try_from(headers.checked_add(index * header_size)?).ok()?;
        let (kind, offset, size) = (number(header, 4)?, number(header + 8, 8)?, number(header + 32, 8)?);
        if kind == PT_LOAD {
            extent.end = extent.end.max(offset.checked_add(size)?);
            extent.mapped = extent.mapped.saturating_add(number(header + 40, 8)?);
        }
    }
    Some(extent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_other_kinds_are_recognised() {
        assert_eq!(other_kind(b"\x7fELF\x02\x01"), None);
        assert_eq!(other_kind(b""), Some("an empty file"));
        assert!(other_kind(b"GGUF\x03\0\0\0").unwrap().contains("--model"));
        assert!(other_kind("fn on_assessment(step, a) { } // é".as_bytes()).unwrap().contains("text"));
        assert!(other_kind("cut in a character: é".as_bytes().split_last().unwrap().1).unwrap().contains("text"));
        assert_eq!(other_kind(&[0x89, 0, 1, 2, 3, 4]), Some("a file of another kind"));
    }

    /// A header and one segment of 100 bytes from byte 120 on.
    fn library(length: usize) -> Vec<u8> {
        let mut bytes = vec![0; 220];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        (bytes[32], bytes[54], bytes[56]) = (64, 56, 1);
        (bytes[64], bytes[64 + 8], bytes[64 + 32], bytes[64 + 40]) = (1, 120, 100, 200);
        bytes.truncate(length);
        bytes
    }

    #[test]
    fn a_library_is_whole_with_its_last_segment() {
        assert!(!is_cut_off(&library(220)));
        for length in [219, 121, 100, 63, 10] {
            assert!(is_cut_off(&library(length)), "{length}");
        }
    }

    #[test]
    fn a_library_takes_what_its_segments_take_in_memory() {
        assert_eq!(mapped_size(&library(220)), 200);
        assert_eq!(mapped_size(b"\xcf\xfa\xed\xfe of another format"), 22);
    }

    #[test]
    fn a_library_is_whole_with_its_sections() {
        let mut bytes = library(220);
        (bytes[40], bytes[58], bytes[60]) = (200, 64, 1);
        assert!(is_cut_off(&bytes));
        bytes.resize(264, 0);
        assert!(!is_cut_off(&bytes));
    }

    #[test]
    fn impossible_headers_are_no_library() {
        let mut bytes = library(220);
        bytes[32..40].fill(0xff);
        assert!(is_cut_off(&bytes));
    }
}
