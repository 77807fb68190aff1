//! JSON lines and lines of text, packed with gzip or not, with limits for what no such file has.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use serde_json::{Map, Value};

use super::error::{LineProblem, TaskError};
use super::template::kind;

/// Bytes that a line may have. HumanEval+'s longest tests have a few million.
const LINE_MIB: usize = 64;
/// Bytes that a whole file may unpack to.
const FILE_BYTES: u64 = 4 << 30;

/// An object and the line it stands in, from 1.
pub type Line = (usize, Map<String, Value>);

/// The object of one line; `None` for an empty one.
type Parsed = Result<Option<Map<String, Value>>, LineProblem>;

/// Opens a file, unpacked if its first bytes are gzip's, whatever its name.
pub fn open(path: &Path) -> Result<Box<dyn BufRead>, TaskError> {
    let fail = |source| TaskError::Read { path: path.to_owned(), source };
    if path.is_dir() {
        return Err(TaskError::Folder { path: path.to_owned() });
    }
    let mut file = BufReader::new(File::open(path).map_err(fail)?);
    if file.fill_buf().map_err(fail)?.starts_with(&[0x1f, 0x8b]) {
        Ok(Box::new(BufReader::new(MultiGzDecoder::new(file).take(FILE_BYTES))))
    } else {
        Ok(Box::new(file))
    }
}

/// Reads one object a line. Empty lines count, and are no items.
pub fn read(source: impl BufRead, path: &Path) -> Result<Vec<Line>, TaskError> {
    read_by(object, source, path)
}

/// Reads one prompt a line, as an object with this field. Empty lines count, and are no items.
pub fn read_prompts(source: impl BufRead, path: &Path) -> Result<Vec<Line>, TaskError> {
    read_by(|bytes| Ok(text(bytes)?.map(|prompt| Map::from_iter([("prompt".into(), prompt.into())]))), source, path)
}

fn read_by(one_of: fn(&[u8]) -> Parsed, mut source: impl BufRead, path: &Path) -> Result<Vec<Line>, TaskError> {
    let file = path.display().to_string();
    let mut objects = Vec::new();
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        let most = LINE_MIB << 20;
        let mut one = (&mut source).take(most as u64 + 1);
        one.read_until(b'\n', &mut bytes).map_err(|source| TaskError::Read { path: path.to_owned(), source })?;
        if bytes.is_empty() {
            break;
        }
        let object = if bytes.len() > most { Err(LineProblem::TooLong { most: LINE_MIB }) } else { one_of(&bytes) };
        let object = object.map_err(|problem| TaskError::Line { file: file.clone(), line, problem })?;
        objects.extend(object.map(|object| (line, object)));
    }
    if objects.is_empty() { Err(TaskError::NoItems { file }) } else { Ok(objects) }
}

/// A line without the white space around it, if anything is left.
fn text(bytes: &[u8]) -> Result<Option<&str>, LineProblem> {
    let text = std::str::from_utf8(bytes).map_err(|error| LineProblem::NotUtf8 { at: error.valid_up_to() })?;
    // Some editors begin a file so.
    let text = text.trim_start_matches('\u{feff}').trim();
    Ok((!text.is_empty()).then_some(text))
}

fn object(bytes: &[u8]) -> Parsed {
    let Some(text) = text(bytes)? else { return Ok(None) };
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(Some(object)),
        Ok(other) => Err(LineProblem::NotAnObject(kind(&other))),
        // The parser counts lines of what it was given, which is always the first.
        Err(error) => Err(LineProblem::NotJson(error.to_string().replace(" at line 1 column ", " at character "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(bytes: &[u8]) -> String {
        read(bytes, Path::new("x.jsonl")).unwrap_err().to_string()
    }

    #[test]
    fn empty_lines_count_and_are_no_items() {
        let lines = read(&b"\xef\xbb\xbf{\"a\": 1}\r\n\n  \n{\"a\": 2}"[..], Path::new("x")).unwrap();
        assert_eq!(lines.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 4]);
    }

    #[test]
    fn what_is_no_object_is_named_with_its_line() {
        assert_eq!(problem(b""), "`x.jsonl` has no items");
        assert_eq!(problem(b"\n\n"), "`x.jsonl` has no items");
        assert_eq!(problem(b"{}\n[1]\n"), "`x.jsonl`, line 2: not an object `{…}` but a list");
        assert_eq!(problem(b"{}\n{\"a\": \"\xff\"}"), "`x.jsonl`, line 2: not UTF-8 from byte 7 on");
        assert!(problem(b"{}\n{\"a\": }\n").starts_with("`x.jsonl`, line 2: not JSON: expected value at character 7"));
        assert!(problem(b"{\"a\": 1} {").contains("line 1: not JSON: trailing characters"));
    }

    #[test]
    fn each_line_of_a_text_is_a_prompt() {
        let lines = read_prompts(&b"\xef\xbb\xbfOnce upon\r\n\n{\"a\": 1}\n  Es war "[..], Path::new("x.txt")).unwrap();
        let prompts: Vec<_> = lines.iter().map(|(line, fields)| (*line, fields["prompt"].as_str().unwrap())).collect();
        assert_eq!(prompts, [(1, "Once upon"), (3, "{\"a\": 1}"), (4, "Es war")]);
        let problem = |bytes: &[u8]| read_prompts(bytes, Path::new("x.txt")).unwrap_err().to_string();
        assert_eq!(problem(b" \n\n"), "`x.txt` has no items");
        assert_eq!(problem(b"a\n\xff"), "`x.txt`, line 2: not UTF-8 from byte 0 on");
    }

    #[test]
    fn an_endless_line_is_refused_before_it_fills_the_memory() {
        let endless = BufReader::new(std::io::repeat(b'x'));
        let error = read(endless, Path::new("x.jsonl")).unwrap_err();
        assert_eq!(error.to_string(), "`x.jsonl`, line 1: longer than 64 MiB, which no item is");
    }
}
