//! Publishing to a hub on this machine.

#![allow(missing_docs, reason = "tests")]

use llama_selfmod_hub::mock::{Access, Fault, Mock, Place, READ_TOKEN, TOKEN};
use llama_selfmod_hub::{Hub, HubError, Notice, PublishOptions, Published, State, Watch};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const REPO: &str = "owner/new";

struct World {
    mock: Mock,
    folder: TempDir,
    cache: TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let world = Self { mock: Mock::start().unwrap(), folder, cache: tempfile::tempdir().unwrap() };
        world.write("README.md", b"# Model\n");
        world.write("empty.gguf", b"");
        world.write("weights/model.gguf", &[7; 300_000]);
        world.write(".secret", b"x");
        world
    }

    fn write(&self, path: &str, content: &[u8]) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn hub(&self, token: &str) -> Hub {
        Hub::new(self.mock.settings_with(self.cache.path(), token)).unwrap()
    }

    fn publish_with(&self, options: &PublishOptions) -> Result<Published, HubError> {
        self.hub(TOKEN).publish(self.folder.path(), REPO, options, &mut ())
    }

    fn publish(&self) -> Result<Published, HubError> {
        self.publish_with(&PublishOptions::default())
    }

    fn published(&self, branch: &str) -> Vec<(String, usize)> {
        self.mock.files(REPO, branch).into_iter().map(|(path, content)| (path, content.len())).collect()
    }

    /// Bytes that went to the storage, by request.
    fn uploads(&self) -> Vec<usize> {
        let seen = self.mock.take_seen().into_iter();
        seen.filter(|seen| seen.place == Place::Storage).map(|seen| seen.body).collect()
    }
}

fn states(published: &Published) -> Vec<(&str, State)> {
    published.files.iter().map(|file| (file.path.as_str(), file.state)).collect()
}

fn all() -> Vec<(String, usize)> {
    [("README.md", 8), ("empty.gguf", 0), ("weights/model.gguf", 300_000)]
        .map(|(path, size)| (path.into(), size))
        .into()
}

#[test]
fn a_folder_becomes_one_commit() {
    let world = World::new();
    let published = world.publish().unwrap();
    assert_eq!(published.url, format!("{}/{REPO}", world.mock.url()));
    assert_eq!(world.published("main"), all());
    assert_eq!(world.published(published.commit.as_ref().unwrap()), all());
    assert_eq!(world.mock.messages(REPO), ["Publish with llama_selfmod"]);
    assert_eq!(world.uploads(), [300_000]);
    // What was published can be fetched.
    let fetched = world.hub(TOKEN).fetch(&format!("hf:{REPO}/weights/model.gguf").parse().unwrap(), &mut ()).unwrap();
    assert_eq!(fs::read(fetched.path).unwrap(), [7; 300_000]);
}

#[test]
fn what_the_hub_has_is_not_sent_again() {
    let world = World::new();
    let first = world.publish().unwrap();
    world.uploads();
    let second = world.publish().unwrap();
    assert!(second.files.iter().all(|file| file.state == State::Unchanged), "{second:?}");
    assert_eq!((second.commit, world.mock.messages(REPO).len()), (first.commit, 1));

    world.write("copy.gguf", &[7; 300_000]);
    world.write("README.md", b"# Other\n");
    let third = world.publish().unwrap();
    let expected = [
        ("README.md", State::Sent),
        ("copy.gguf", State::Known),
        ("empty.gguf", State::Unchanged),
        ("weights/model.gguf", State::Unchanged),
    ];
    assert_eq!(states(&third), expected);
    assert!(world.uploads().is_empty());
}

#[test]
fn two_files_of_one_content_are_sent_once() {
    let world = World::new();
    world.write("copy.gguf", &[7; 300_000]);
    world.publish().unwrap();
    assert_eq!(world.uploads(), [300_000]);
    assert_eq!(world.published("main").len(), 4);
}

#[test]
fn a_large_file_goes_in_parts_if_the_hub_says_so() {
    let world = World::new();
    world.mock.take_parts_of(70_000);
    // A part whose answer is an error is sent again.
    world.mock.fault(Place::Storage, "/2?", Fault::Status(500, None), 1);
    world.publish().unwrap();
    assert_eq!(world.published("main"), all());
    assert_eq!(world.uploads(), [70_000, 70_000, 70_000, 70_000, 70_000, 20_000]);
}

#[test]
fn the_token_does_not_go_to_the_storage() {
    let world = World::new();
    world.mock.take_parts_of(70_000);
    world.publish().unwrap();
    for request in world.mock.seen() {
        let is_signed = request.place == Place::Storage || request.target.contains("signature");
        assert_eq!(request.authorization.is_none(), is_signed, "{request:?}");
    }
}

#[test]
fn a_dry_run_tells_the_sizes_and_asks_nothing() {
    let world = World::new();
    let options = PublishOptions { dry_run: true, ..PublishOptions::default() };
    let published = Hub::new(world.mock.settings(world.cache.path())).unwrap();
    let published = published.publish(world.folder.path(), REPO, &options, &mut ()).unwrap();
    assert_eq!(published.commit, None);
    let files: Vec<_> = published.files.iter().map(|file| (file.path.clone(), file.size as usize)).collect();
    assert_eq!(files, all());
    assert!(world.mock.seen().is_empty());
}

#[test]
fn a_branch_is_made_and_a_repository_can_be_private() {
    let world = World::new();
    let options = PublishOptions { branch: "run/7".into(), private: true, ..PublishOptions::default() };
    for _ in 0..2 {
        let published = world.publish_with(&options).unwrap();
        assert_eq!(published.url, format!("{}/{REPO}/tree/run/7", world.mock.url()));
    }
    assert_eq!(world.published("run/7"), all());
    assert!(world.published("main").is_empty());
    let hub = Hub::new(world.mock.settings(world.cache.path())).unwrap();
    assert!(matches!(hub.list(REPO, "main", &mut ()), Err(HubError::NoRepo { .. })));
}

#[test]
fn a_token_that_may_not_write_is_told() {
    let world = World::new();
    let sentence = format!(
        "Publishing to `{REPO}` needs a token that may write there. Make one at `{}/settings/tokens`",
        world.mock.url()
    );
    for token in [None, Some(READ_TOKEN)] {
        let mut settings = world.mock.settings(world.cache.path());
        if let Some(token) = token {
            settings = world.mock.settings_with(world.cache.path(), token);
        }
        let hub = Hub::new(settings).unwrap();
        let error =
            hub.publish(world.folder.path(), REPO, &PublishOptions::default(), &mut ()).unwrap_err().to_string();
        assert!(error.starts_with(&sentence), "{error}");
        assert!(!error.contains("hf_"), "{error}");
    }
    // A repository that can be read lets nobody in to write.
    world.mock.add(REPO, "x", b"x");
    world.mock.restrict(REPO, Access::Public);
    let error =
        world.hub(READ_TOKEN).publish(world.folder.path(), REPO, &PublishOptions::default(), &mut ()).unwrap_err();
    assert!(error.to_string().starts_with(&sentence), "{error}");
}

#[test]
fn an_upload_that_fails_names_the_file() {
    let world = World::new();
    world.mock.fault(Place::Storage, "/upload/", Fault::Status(500, None), 9);
    let error = world.publish().unwrap_err().to_string();
    assert!(error.starts_with("`weights/model.gguf` did not arrive: `localhost:"), "{error}");
    assert!(error.ends_with("Publish again; what has arrived is not sent again."), "{error}");
    assert!(world.mock.messages(REPO).is_empty());
}

#[test]
fn a_commit_whose_answer_is_lost_is_not_made_twice() {
    let world = World::new();
    world.mock.fault(Place::Hub, "/commit/", Fault::CutAfter(10), 1);
    let error = world.publish().unwrap_err().to_string();
    assert!(error.starts_with(&format!("`{REPO}` did not confirm the commit.")), "{error}");
    assert_eq!(world.mock.messages(REPO).len(), 1);
    world.mock.fault(Place::Hub, "/commit/", Fault::Status(429, Some(0)), 1);
    world.write("README.md", b"other");
    world.publish().unwrap();
    assert_eq!(world.mock.messages(REPO).len(), 2);
}

#[test]
fn a_publication_that_is_cancelled_makes_no_commit() {
    struct Cancel;
    impl Watch for Cancel {
        fn progress(&mut self, _: &str, done: u64, _: Option<u64>) -> bool {
            done < 100_000
        }
        fn notice(&mut self, notice: Notice) {
            panic!("{notice}");
        }
    }
    let world = World::new();
    let error =
        world.hub(TOKEN).publish(world.folder.path(), REPO, &PublishOptions::default(), &mut Cancel).unwrap_err();
    assert!(matches!(error, HubError::Cancelled), "{error}");
    assert!(world.mock.messages(REPO).is_empty());
}

#[test]
fn names_and_folders_are_checked_before_anything_is_asked() {
    let world = World::new();
    let publish = |folder: &Path, repo: &str| {
        world.hub(TOKEN).publish(folder, repo, &PublishOptions::default(), &mut ()).unwrap_err().to_string()
    };
    let error = publish(world.folder.path(), "new");
    assert!(error.contains("`new` is no name of a repository"), "{error}");
    let error = publish(&world.folder.path().join("none"), REPO);
    assert!(error.contains("cannot be read"), "{error}");
    assert!(world.mock.seen().is_empty());
}
