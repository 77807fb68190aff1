//! Serves a folder as a hub: `FOLDER/OWNER/REPO/…` becomes the repository `OWNER/REPO`. Its address is printed, for
//! `HF_ENDPOINT`, and then each request; it runs until it is killed.
//!
//! ```sh
//! cargo run -p llama_selfmod-hub --features mock --example mock -- FOLDER --port 0
//! ```

use llama_selfmod_hub::mock::Mock;
use std::error::Error;
use std::path::Path;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (folder, port) = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [folder] => (Some(Path::new(folder).to_owned()), 0),
        [folder, "--port", port] | ["--port", port, folder] => (Some(Path::new(folder).to_owned()), port.parse()?),
        ["--port", port] => (None, port.parse()?),
        _ => return Err("usage: mock [FOLDER] [--port PORT]".into()),
    };
    let mock = Mock::start_at(port)?;
    if let Some(folder) = folder {
        for owner in std::fs::read_dir(&folder)? {
            let owner = owner?;
            for name in std::fs::read_dir(owner.path())? {
                let name = name?;
                let repo = format!("{}/{}", owner.file_name().display(), name.file_name().display());
                mock.add_folder(&repo, &name.path())?;
            }
        }
    }
    println!("{}", mock.url());
    // A shell starts it in the background, without an input whose end could end it.
    loop {
        for seen in mock.take_seen() {
            let token = if seen.authorization.is_some() { " with a token" } else { "" };
            let range = seen.range.map(|range| format!(" {range}")).unwrap_or_default();
            eprintln!("{:?} {} {}{range}{token}, {} bytes", seen.place, seen.method, seen.target, seen.body);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
