//! A recording of a reply in which text is taken back, as an animated SVG: `cargo xtask picture` makes docs/retraction.svg
//! anew.
//!
//! The program runs in a terminal of its own. Each time that it writes, what the screen then looks like is kept; the
//! picture shows these screens one after the other, slower than they came.

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::num::NonZeroU16;
use std::process::Command;

const WIDTH: NonZeroU16 = NonZeroU16::new(82).unwrap();
const HEIGHT: NonZeroU16 = NonZeroU16::new(14).unwrap();

/// What is typed behind the name of the program, if no other words are given.
const WORDS: &[&str] =
    &["--demo", "--seed=7", "--policy=policies/phrase-guard.rhai", "-n", "66", "-p", "Mia knocked at the old door."];

/// Seconds for which a screen stands: one with a further word, the first and one before text is taken back, one after it, the
/// last.
const WORD: f64 = 0.12;
const BEFORE: f64 = 0.8;
const AFTER: f64 = 1.6;
const LAST: f64 = 5.0;

/// Pixels.
const CELL: (f64, f64) = (8.4, 19.0);
const MARGIN: (f64, f64) = (18.0, 20.0);

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [program, picture, typed @ ..] = &words[..] else { panic!("usage: picture PROGRAM FILE.svg [WORDS]") };
    let typed = if typed.is_empty() { WORDS.iter().map(|word| word.to_string()).collect() } else { typed.to_vec() };
    let screens = record(program, &typed)?;
    let taken_back = (1..screens.len()).filter(|&index| is_shorter(&screens, index)).count();
    assert!(taken_back > 0, "nothing was taken back: take another seed or another policy");
    std::fs::write(picture, drawn(&screens))?;
    println!("{picture}: {taken_back} times text is taken back");
    Ok(())
}

/// A screen: of each row its cells, and which of them are dim.
#[derive(Clone, PartialEq)]
struct Screen {
    rows: Vec<Vec<(char, bool)>>,
}

impl Screen {
    fn of(screen: &vt100::Screen) -> Self {
        let cell = |row, column| {
            let cell = screen.cell(row, column)?;
            Some((cell.contents().chars().next().unwrap_or(' '), cell.dim()))
        };
        let row = |row| {
            let mut cells: Vec<(char, bool)> = (0..WIDTH.get()).filter_map(|column| cell(row, column)).collect();
            while cells.last().is_some_and(|(character, _)| *character == ' ') {
                cells.pop();
            }
            cells
        };
        Self { rows: (0..HEIGHT.get()).map(row).collect() }
    }

    /// The text, without what stands beside it.
    fn text(&self) -> String {
        let text = |row: &Vec<(char, bool)>| row.iter().filter(|(_, dim)| !dim).map(|(c, _)| c).collect::<String>();
        self.rows.iter().map(text).collect::<Vec<_>>().join("\n").trim_end().to_string()
    }
}

/// Whether text was taken back on the way to this screen.
fn is_shorter(screens: &[Screen], index: usize) -> bool {
    !screens[index].text().starts_with(&screens[index - 1].text())
}

/// Runs the program in a terminal, and keeps the screen as it was after each write that ended a word.
fn record(program: &str, typed: &[String]) -> io::Result<Vec<Screen>> {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    grantpt(&terminal)?;
    unlockpt(&terminal)?;
    tcsetwinsize(&terminal, Winsize { ws_row: HEIGHT.get(), ws_col: WIDTH.get(), ws_xpixel: 0, ws_ypixel: 0 })?;
    let name = ptsname(&terminal, Vec::new())?.into_string().map_err(io::Error::other)?;
    let side = File::options().read(true).write(true).open(name)?;
    let mut command = Command::new(program);
    command.args(typed).args(["--memory-file", "none"]).env("TERM", "xterm-256color");
    command.stdin(side.try_clone()?).stdout(side.try_clone()?).stderr(side);
    let mut child = command.spawn()?;
    // The terminal ends when nobody has the child's side of it open any more.
    drop(command);

    let mut parser = vt100::Parser::new(HEIGHT, WIDTH, 0);
    let typed: Vec<String> = typed.iter().map(|word| quoted(word)).collect();
    parser.process(format!("$ llama_selfmod {}\r\n", typed.join(" ")).as_bytes());
    let mut screens = vec![Screen::of(parser.screen())];
    let mut bytes = [0; 4096];
    let mut output = File::from(terminal);
    // Linux ends the reading with an error when the other end is closed.
    while let Ok(count @ 1..) = output.read(&mut bytes) {
        for write in writes(&bytes[..count]) {
            parser.process(write);
            keep(&mut screens, Screen::of(parser.screen()));
        }
    }
    let status = child.wait()?;
    assert!(status.success(), "the program ended with {status}");
    Ok(screens)
}

/// What was read may be several writes; one that says why text was taken back ends where the cursor goes back to.
fn writes(mut bytes: &[u8]) -> Vec<&[u8]> {
    const RESTORE_CURSOR: &[u8] = b"\x1b8";
    let mut writes = Vec::new();
    while let Some(at) = bytes.windows(RESTORE_CURSOR.len()).position(|window| window == RESTORE_CURSOR) {
        let (write, rest) = bytes.split_at(at + RESTORE_CURSOR.len());
        writes.push(write);
        bytes = rest;
    }
    writes.push(bytes);
    writes
}

/// Adds a screen, in place of the last one if that ends in the middle of a word.
fn keep(screens: &mut Vec<Screen>, screen: Screen) {
    let before = screens[screens.len() - 1].text();
    let now = screen.text();
    let goes_on = now.strip_prefix(&before).is_some_and(|new| !new.is_empty() && !new.starts_with([' ', '\n']));
    if goes_on && screens.len() > 1 {
        screens.pop();
    }
    if screens.last() != Some(&screen) {
        screens.push(screen);
    }
}

fn quoted(word: &str) -> String {
    if word.contains(' ') { format!("\"{word}\"") } else { word.to_string() }
}

/// For how long each screen stands.
fn seconds(screens: &[Screen]) -> Vec<f64> {
    let of = |index: usize| {
        if index + 1 == screens.len() {
            LAST
        } else if index > 0 && is_shorter(screens, index) {
            AFTER
        } else if index == 0 || is_shorter(screens, index + 1) {
            BEFORE
        } else {
            WORD
        }
    };
    (0..screens.len()).map(of).collect()
}

/// The screens as one picture that moves. Where nothing moves, the last screen is seen.
fn drawn(screens: &[Screen]) -> String {
    let seconds = seconds(screens);
    let whole: f64 = seconds.iter().sum();
    let starts: Vec<f64> = seconds.iter().scan(0.0, |sum, time| Some(std::mem::replace(sum, *sum + time))).collect();
    let size = (f64::from(WIDTH.get()) * CELL.0 + 2.0 * MARGIN.0, f64::from(HEIGHT.get()) * CELL.1 + 2.0 * MARGIN.1);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0} {1:.0}\" width=\"{0:.0}\" height=\"{1:.0}\" role=\"img\">\n\
         <title>A reply on a terminal: text appears word by word; a phrase disappears again, and the text goes on in another way.</title>\n\
         <style>text{{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,\"DejaVu Sans Mono\",monospace;fill:#d7dae0;white-space:pre}}\
         .d{{fill:#7f8693}}</style>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#1b1e24\"/>\n",
        size.0, size.1
    );
    for row in 0..usize::from(HEIGHT.get()) {
        let mut index = 0;
        while index < screens.len() {
            let cells = &screens[index].rows[row];
            let end = (index..screens.len()).find(|&other| screens[other].rows[row] != *cells).unwrap_or(screens.len());
            if !cells.is_empty() {
                let from = starts[index] / whole;
                let to = starts.get(end).map(|start| start / whole);
                row_of(&mut svg, row, cells, (from, to), whole);
            }
            index = end;
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// One row as it stands for a part of the time, which goes from 0 to 1.
fn row_of(svg: &mut String, row: usize, cells: &[(char, bool)], (from, to): (f64, Option<f64>), whole: f64) {
    let y = MARGIN.1 + (row as f64 + 0.75) * CELL.1;
    let hidden = if to.is_some() { " visibility=\"hidden\"" } else { "" };
    write!(svg, "<g{hidden}>").unwrap();
    let mut column = 0;
    for run in cells.chunk_by(|one, next| one.1 == next.1) {
        let text: String = run.iter().map(|(character, _)| *character).collect();
        let (start, text) = (text.len() - text.trim_start().len(), text.trim());
        if !text.is_empty() {
            let class = if run[0].1 { " class=\"d\"" } else { "" };
            let x = MARGIN.0 + (column + start) as f64 * CELL.0;
            let length = text.chars().count() as f64 * CELL.0;
            let text = text.replace('&', "&amp;").replace('<', "&lt;");
            write!(svg, "<text{class} x=\"{x:.1}\" y=\"{y:.1}\" textLength=\"{length:.1}\">{text}</text>").unwrap();
        }
        column += run.len();
    }
    let (values, times) = match to {
        Some(to) if from > 0.0 => ("hidden;visible;hidden", format!("0;{from:.4};{to:.4}")),
        Some(to) => ("visible;hidden", format!("0;{to:.4}")),
        None if from > 0.0 => ("hidden;visible", format!("0;{from:.4}")),
        // A row that always stands.
        None => return svg.push_str("</g>\n"),
    };
    writeln!(
        svg,
        "<animate attributeName=\"visibility\" calcMode=\"discrete\" dur=\"{whole:.2}s\" repeatCount=\"indefinite\" \
         values=\"{values}\" keyTimes=\"{times}\"/></g>"
    )
    .unwrap();
}
