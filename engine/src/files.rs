//! Files that a person names, or that lie where anybody can put something. Whatever stands there, reading it comes to an end:
//! a pipe would wait for its writer, and a device such as `/dev/zero` gives bytes without end.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

/// As much as any text has that is read as a whole: settings, templates, conversations. In bytes.
pub(crate) const LARGEST: u64 = 64 << 20;

/// Why a file cannot be read, in a sentence for the user.
#[derive(Debug)]
pub struct FileError {
    path: PathBuf,
    /// For those who tell it in other words.
    pub(crate) why: Why,
}

/// What is in the way.
#[derive(Debug)]
pub enum Why {
    Missing,
    Directory,
    /// It is no regular file, but this.
    Special(&'static str),
    /// It has more than so many bytes.
    TooLarge(u64),
    /// It is no UTF-8 from this byte on.
    NotText(usize),
    /// The system refuses.
    Unreadable(io::Error),
}

impl std::fmt::Display for FileError {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let path = self.path.display();
        match &self.why {
            Why::Missing => write!(f, "there is no file `{path}`; check the path"),
            Why::Directory => write!(f, "`{path}` is a directory; name a file in it"),
            Why::Special(what) => write!(f, "`{path}` is {what}; name a file"),
            Why::TooLarge(largest) => write!(f, "`{path}` is larger than {}, which is too large", size(*largest)),
            Why::NotText(byte) => write!(
                f,
                "`{path}` is not valid UTF-8 at byte {byte} (counted from 0); name a text, or convert it first, for \
                 example with `iconv -t utf-8`"
            ),
            Why::Unreadable(error) => write!(f, "`{path}` cannot be read: {error}"),
        }
    }
}

impl std::error::Error for FileError {}

/// "256 KiB".
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..0x10_0000 => format!("{} KiB", bytes >> 10),
        0x10_0000..0x4000_0000 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}

/// Opens a regular file for reading.
pub(crate) fn open(path: &Path) -> Result<File, FileError> {
    let refused = |why| FileError { path: path.into(), why };
    let unreadable = |error: io::Error| match error.kind() {
        ErrorKind::NotFound => refused(Why::Missing),
        ErrorKind::IsADirectory => refused(Why::Directory),
        _ => refused(Why::Unreadable(error)),
    };
    let is_file = |metadata: Metadata| match special(&metadata) {
        _ if metadata.is_dir() => Err(refused(Why::Directory)),
        Some(what) => Err(refused(Why::Special(what))),
        None => Ok(()),
    };
    // Before it is opened: opening a device may already do something.
    is_file(std::fs::metadata(path).map_err(unreadable)?)?;
    let mut options = OpenOptions::new();
    options.read(true);
    without_waiting(&mut options);
    let file = options.open(path).map_err(unreadable)?;
    // And after: another thing may have been put there.
    is_file(file.metadata().map_err(unreadable)?)?;
    Ok(file)
}

/// The content of a regular file of at most `largest` bytes.
pub(crate) fn read(path: &Path, largest: u64) -> Result<Vec<u8>, FileError> {
    let refused = |why| FileError { path: path.into(), why };
    let mut content = Vec::new();
    // What is still being written grows, and some files of the system say that they are empty.
    let read = open(path)?.take(largest.saturating_add(1)).read_to_end(&mut content);
    read.map_err(|error| refused(Why::Unreadable(error)))?;
    if content.len() as u64 > largest {
        return Err(refused(Why::TooLarge(largest)));
    }
    Ok(content)
}

/// The same, as text.
pub(crate) fn read_text(path: &Path, largest: u64) -> Result<String, FileError> {
    String::from_utf8(read(path, largest)?)
        .map_err(|error| FileError { path: path.into(), why: Why::NotText(error.utf8_error().valid_up_to()) })
}

const PIPE: &str = "a pipe";
pub(crate) const DEVICE: &str = "a device";

/// What is neither a regular file nor a directory.
#[cfg(unix)]
pub(crate) fn special(metadata: &Metadata) -> Option<&'static str> {
    use std::os::unix::fs::FileTypeExt;
    let kind = metadata.file_type();
    match () {
        () if kind.is_file() || kind.is_dir() => None,
        () if kind.is_fifo() => Some(PIPE),
        () if kind.is_socket() => Some("a socket"),
        () => Some(DEVICE),
    }
}

#[cfg(not(unix))]
pub(crate) fn special(_metadata: &Metadata) -> Option<&'static str> {
    None
}

/// Puts `content` in the place of a file in one step, with the permissions that it had.
#[cfg(feature = "serve")]
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    use std::io::Write;
    let path = path.canonicalize()?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(content)?;
    file.as_file().set_permissions(path.metadata()?.permissions())?;
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|error| error.error)?;
    Ok(())
}

/// Opens a file for writing from its beginning, and makes it where there is none. A device takes it, too, and a pipe that
/// somebody reads.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    if std::fs::metadata(path).is_ok_and(|metadata| special(&metadata) == Some(PIPE)) {
        use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
        without_waiting(&mut options);
        let nobody = rustix::io::Errno::NXIO.raw_os_error();
        let pipe = options.open(path).map_err(|error| match error.raw_os_error() {
            Some(code) if code == nobody => io::Error::other("it is a pipe that nobody reads"),
            _ => error,
        })?;
        // Who reads slowly is waited for.
        fcntl_setfl(&pipe, fcntl_getfl(&pipe)? - OFlags::NONBLOCK)?;
        return Ok(pipe);
    }
    options.open(path)
}

/// Neither for the other end of a pipe nor for what it writes later.
fn without_waiting(options: &mut OpenOptions) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32);
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn said(path: &Path, largest: u64) -> String {
        read_text(path, largest).unwrap_err().to_string()
    }

    #[test]
    fn a_file_is_read_up_to_a_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "four").unwrap();
        assert_eq!(read_text(&path, 4).unwrap(), "four");
        assert!(said(&path, 3).ends_with("is larger than 3 bytes, which is too large"));
        std::fs::write(&path, b"ab\xff").unwrap();
        assert!(said(&path, 4).contains("not valid UTF-8 at byte 2"));
    }

    #[test]
    fn what_is_no_file_is_named_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        assert!(said(folder.path(), 9).contains("is a directory"));
        assert!(said(&folder.path().join("absent"), 9).starts_with("there is no file `"));
        assert_eq!(said(Path::new("/dev/zero"), 9), "`/dev/zero` is a device; name a file");
        let (socket, pipe, link) = (folder.path().join("s"), folder.path().join("p"), folder.path().join("l"));
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(said(&socket, 9).contains("is a socket"));
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(said(&pipe, 9).contains("is a pipe"));
        std::os::unix::fs::symlink(&link, &link).unwrap();
        assert!(said(&link, 9).contains("cannot be read: Too many levels of symbolic links"));
    }

    /// It says that it is empty.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_of_the_system_is_bounded() {
        assert!(said(Path::new("/proc/self/maps"), 16).contains("is larger than 16 bytes"));
    }
}
