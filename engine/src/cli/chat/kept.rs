//! Conversations on the disk as they go on, for the case that the program is ended: each in a file of its own, so that two
//! chats at once, or a new one, take nothing from the one that somebody wants back. `last-chat.json` leads to the newest.

use super::saved::Saved;
use crate::Error;
use std::{
    fs,
    path::{Path, PathBuf},
    process,
    time::SystemTime,
};

/// Conversations that stay; older ones are deleted.
const MOST: usize = 20;
/// Their folder in the one for the user's state.
const FOLDER: &str = "chats";
/// Leads to the newest, in the folder for the user's state.
const LAST: &str = "last-chat.json";

/// Where a conversation is kept.
#[derive(Debug, Default)]
pub struct Kept {
    state: Option<PathBuf>,
    file: Option<PathBuf>,
    /// Conversations that this process began.
    count: usize,
    newest: Option<Saved>,
    has_failed: bool,
}

impl Kept {
    /// Nothing is kept without a folder.
    pub fn in_folder(state: Option<PathBuf>) -> Self {
        Self { state, ..Self::default() }
    }

    /// The next one is another conversation: what is kept of this one stays.
    pub fn begin_another(&mut self) {
        self.file = None;
    }

    /// Writes a conversation with something in it, unless it is there already. An error is told once.
    pub fn keep(&mut self, chat: &Saved) -> Result<(), Error> {
        let Some(state) = &self.state else { return Ok(()) };
        if chat.is_empty() || self.newest.as_ref() == Some(chat) {
            return Ok(());
        }
        let file = self.file.clone().unwrap_or_else(|| {
            self.count += 1;
            let time = jiff::Timestamp::now().strftime("%Y-%m-%d-%H%M%S");
            state.join(FOLDER).join(format!("{time}-{}-{}.json", process::id(), self.count))
        });
        let written = write(state, &file, chat);
        self.file = Some(file);
        self.newest = Some(chat.clone());
        match written {
            Err(error) if !std::mem::replace(&mut self.has_failed, true) => Err(error),
            _ => Ok(()),
        }
    }

    /// The newest conversation but the one that is being kept.
    pub fn last(&self) -> Option<PathBuf> {
        let state = self.state.as_deref()?;
        let own = self.file.as_deref();
        let other = |path: &PathBuf| own.is_none_or(|own| !same_file::is_same_file(path, own).unwrap_or(false));
        let mut files = conversations(&state.join(FOLDER));
        // Where another program put it there.
        files.extend(dated(state.join(LAST)));
        files.sort();
        files.into_iter().rev().map(|(_, path)| path).filter(other).find(|path| Saved::read(path).is_ok())
    }
}

fn write(state: &Path, file: &Path, chat: &Saved) -> Result<(), Error> {
    let failed = |error: std::io::Error| Error::Failure(format!("`{}` cannot be written: {error}", state.display()));
    let folder = state.join(FOLDER);
    fs::create_dir_all(&folder).map_err(failed)?;
    let is_new = !file.exists();
    chat.write(file)?;
    if is_new {
        let mut files = conversations(&folder);
        files.sort();
        for (_, path) in files.iter().rev().skip(MOST) {
            // Another process may have done so.
            let _ = fs::remove_file(path);
        }
    }
    lead_to(file, &state.join(LAST)).map_err(failed)
}

/// Makes a link in the place of another, at once.
fn lead_to(file: &Path, link: &Path) -> std::io::Result<()> {
    let target = Path::new(FOLDER).join(file.file_name().unwrap_or_default());
    if fs::read_link(link).is_ok_and(|old| old == target) {
        return Ok(());
    }
    let new = link.with_extension(format!("{}.new", process::id()));
    let _ = fs::remove_file(&new);
    std::os::unix::fs::symlink(target, &new)?;
    fs::rename(&new, link)
}

fn conversations(folder: &Path) -> Vec<(SystemTime, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "json")).filter_map(dated).collect()
}

fn dated(path: PathBuf) -> Option<(SystemTime, PathBuf)> {
    let changed = fs::metadata(&path).and_then(|data| data.modified()).ok()?;
    Some((changed, path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Message, Settings, Speaker};

    fn chat(said: &[&str]) -> Saved {
        let speakers = [Speaker::User, Speaker::Assistant].into_iter().cycle();
        let messages = said.iter().zip(speakers).map(|(text, role)| Message { role, content: (*text).into() });
        Saved::new(vec!["a".into()], &Settings::default(), 7, &messages.collect::<Vec<_>>())
    }

    fn last(kept: &Kept) -> Option<Saved> {
        kept.last().map(|path| Saved::read(&path).unwrap())
    }

    #[test]
    fn a_new_chat_leaves_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        // Names are told apart by the process and this count.
        let open = |count| Kept { count, ..Kept::in_folder(Some(folder.path().to_path_buf())) };
        let mut first = open(0);
        assert_eq!(last(&first), None);
        first.keep(&chat(&["one", "reply one"])).unwrap();
        first.keep(&chat(&["one", "reply one", "two", "reply two"])).unwrap();
        assert_eq!(last(&first), None, "its own is no other");
        let mut second = open(7);
        second.keep(&chat(&[])).unwrap();
        let long = chat(&["one", "reply one", "two", "reply two"]);
        assert_eq!(last(&second).as_ref(), Some(&long));
        second.keep(&chat(&["hi", "ho"])).unwrap();
        assert_eq!(last(&second).as_ref(), Some(&long));
        assert_eq!(Saved::read(&folder.path().join(LAST)).unwrap(), chat(&["hi", "ho"]));
        second.begin_another();
        assert_eq!(last(&second), Some(chat(&["hi", "ho"])));
    }

    #[test]
    fn two_chats_at_once_keep_both() {
        let folder = tempfile::tempdir().unwrap();
        let open = |count| Kept { count, ..Kept::in_folder(Some(folder.path().to_path_buf())) };
        let (mut first, mut second) = (open(0), open(7));
        for turn in 1..4 {
            first.keep(&chat(&["first", &"a".repeat(turn)])).unwrap();
            second.keep(&chat(&["second", &"b".repeat(turn)])).unwrap();
        }
        let folder = folder.path().join(FOLDER);
        let kept: Vec<_> = conversations(&folder).into_iter().map(|(_, path)| Saved::read(&path).unwrap()).collect();
        assert!(kept.contains(&chat(&["first", "aaa"])) && kept.contains(&chat(&["second", "bbb"])), "{kept:?}");
    }

    #[test]
    fn old_ones_go() {
        let folder = tempfile::tempdir().unwrap();
        let mut kept = Kept::in_folder(Some(folder.path().to_path_buf()));
        for turn in 0..MOST + 5 {
            kept.begin_another();
            kept.keep(&chat(&["one", &turn.to_string()])).unwrap();
        }
        assert_eq!(conversations(&folder.path().join(FOLDER)).len(), MOST);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_told_once() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut kept = Kept::in_folder(Some(file.path().to_path_buf()));
        assert!(kept.keep(&chat(&["one", "two"])).is_err());
        assert!(kept.keep(&chat(&["one", "three"])).is_ok());
    }
}
