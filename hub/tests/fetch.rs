//! Fetching from a hub on this machine.

#![allow(missing_docs, reason = "tests")]

use llama_selfmod_hub::mock::{Access, Fault, Mock, Place, READ_TOKEN, TOKEN};
use llama_selfmod_hub::{Address, Fetched, Hub, HubError, Notice, Settings, Watch};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const REPO: &str = "owner/repo";
const MODEL: &str = "hf:owner/repo/model.gguf";

/// A hub with a large file and a small one, and an empty cache.
struct World {
    mock: Mock,
    cache: TempDir,
    commit: String,
}

#[derive(Default)]
struct Record {
    notices: Vec<Notice>,
    last: u64,
    total: Option<u64>,
    /// Bytes after which to end.
    limit: Option<u64>,
}

impl Watch for Record {
    fn progress(&mut self, _: &str, done: u64, total: Option<u64>) -> bool {
        (self.last, self.total) = (done, total);
        self.limit.is_none_or(|limit| done < limit)
    }

    fn notice(&mut self, notice: Notice) {
        self.notices.push(notice);
    }
}

impl World {
    fn new() -> Self {
        let mock = Mock::start().unwrap();
        mock.add(REPO, "config.json", b"{}\n");
        mock.add(REPO, "empty.txt", b"");
        let commit = mock.add(REPO, "model.gguf", &content(3 << 20));
        Self { mock, cache: tempfile::tempdir().unwrap(), commit }
    }

    fn settings(&self) -> Settings {
        self.mock.settings(self.cache.path())
    }

    fn hub(&self) -> Hub {
        Hub::new(self.settings()).unwrap()
    }

    fn fetch(&self, address: &str) -> Result<Fetched, HubError> {
        self.hub().fetch(&address.parse().unwrap(), &mut ())
    }

    fn error(&self, address: &str) -> String {
        self.fetch(address).unwrap_err().to_string()
    }

    fn folder(&self) -> PathBuf {
        self.cache.path().join("models--owner--repo")
    }

    /// The bytes that are kept of a file that is not whole.
    fn kept(&self) -> Option<usize> {
        let blobs = fs::read_dir(self.folder().join("blobs")).ok()?;
        let part = blobs.flatten().map(|entry| entry.path()).find(|path| path.extension().is_some())?;
        Some(fs::read(part).unwrap().len())
    }

    fn requests(&self) -> usize {
        self.mock.seen().len()
    }

    /// What was asked of the storage.
    fn ranges(&self) -> Vec<Option<String>> {
        let seen = self.mock.seen().into_iter();
        seen.filter(|seen| seen.place == Place::Storage).map(|seen| seen.range).collect()
    }
}

/// Bytes that do not repeat within a piece.
fn content(length: usize) -> Vec<u8> {
    (0..length as u64).map(|at| (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u8).collect()
}

fn sha256(path: &Path) -> String {
    let output = std::process::Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().into()
}

#[test]
fn a_file_is_fetched_once_and_then_taken_from_the_cache() {
    let world = World::new();
    let fetched = world.fetch(MODEL).unwrap();
    assert_eq!(fs::read(&fetched.path).unwrap(), content(3 << 20));
    assert_eq!(fetched.path, world.folder().join("snapshots").join(&world.commit).join("model.gguf"));
    assert_eq!((fetched.size, &fetched.commit), (3 << 20, &world.commit));
    assert_eq!(fetched.sha256, sha256(&fetched.path));
    assert_eq!(fs::read_to_string(world.folder().join("refs/main")).unwrap(), world.commit);
    assert!(world.folder().join("blobs").join(&fetched.sha256).is_file());
    assert_eq!(world.kept(), None);

    world.mock.take_seen();
    assert_eq!(world.fetch(MODEL).unwrap(), fetched);
    let seen = world.mock.take_seen();
    assert_eq!(seen.iter().map(|seen| seen.method.as_str()).collect::<Vec<_>>(), ["HEAD"]);

    // A commit does not move: nothing is asked.
    world.fetch(&format!("{MODEL}@{}", world.commit)).unwrap();
    assert_eq!(world.requests(), 0);
}

#[test]
fn small_and_empty_files_are_fetched_too() {
    let world = World::new();
    let fetched = world.fetch("hf:owner/repo/config.json").unwrap();
    assert_eq!(fs::read(&fetched.path).unwrap(), b"{}\n");
    assert_eq!(fetched.sha256, sha256(&fetched.path));
    // The blob has the name that Git gives it: `printf '{}\n' | git hash-object --stdin`.
    assert!(world.folder().join("blobs/0967ef424bce6791893e9a57bb952f80fd536e93").is_file());
    assert_eq!(world.fetch("hf:owner/repo/empty.txt").unwrap().size, 0);
}

#[test]
fn a_branch_that_moved_is_followed() {
    let world = World::new();
    let old = world.fetch(MODEL).unwrap();
    let commit = world.mock.add(REPO, "model.gguf", b"GGUF new");
    let new = world.fetch(MODEL).unwrap();
    assert_eq!((new.commit.as_str(), fs::read(&new.path).unwrap().as_slice()), (commit.as_str(), &b"GGUF new"[..]));
    assert_eq!(fs::read(&old.path).unwrap(), content(3 << 20));
}

#[test]
fn what_another_commit_has_already_is_linked() {
    let world = World::new();
    world.fetch(MODEL).unwrap();
    let commit = world.mock.add(REPO, "other.txt", b"x");
    world.mock.take_seen();
    let fetched = world.fetch(MODEL).unwrap();
    assert_eq!(fetched.commit, commit);
    assert!(world.ranges().is_empty());
}

#[test]
fn a_connection_that_breaks_is_resumed_within_one_fetch() {
    let world = World::new();
    world.mock.fault(Place::Storage, "model.gguf", Fault::CutAfter(1 << 20), 2);
    let mut record = Record::default();
    let fetched = world.hub().fetch(&MODEL.parse().unwrap(), &mut record).unwrap();
    assert_eq!(fs::read(fetched.path).unwrap(), content(3 << 20));
    assert_eq!(world.ranges(), [None, Some("bytes=1048576-".into()), Some("bytes=2097152-".into())]);
    assert_eq!((record.last, record.total), (3 << 20, Some(3 << 20)));
    assert!(matches!(record.notices[0], Notice::Retry { .. }), "{:?}", record.notices);
}

#[test]
fn a_download_that_keeps_gaining_is_not_given_up() {
    let world = World::new();
    world.mock.add(REPO, "large.gguf", &content(8 << 20));
    // Seven breaks, and three tries in a row at most.
    world.mock.fault(Place::Storage, "large.gguf", Fault::CutAfter(1 << 20), 7);
    world.fetch("hf:owner/repo/large.gguf").unwrap();
    assert_eq!(world.ranges().len(), 8);
}

#[test]
fn a_broken_download_is_kept_and_the_next_fetch_goes_on() {
    let world = World::new();
    world.mock.fault(Place::Storage, "model.gguf", Fault::CutAfter(1000), 3);
    let error = world.error(MODEL);
    assert!(error.starts_with("The download of `model.gguf` broke off"), "{error}");
    assert!(error.ends_with("3000 of 3145728 bytes are kept, and the next try goes on there."), "{error}");
    assert_eq!(world.kept(), Some(3000));

    world.mock.take_seen();
    let mut record = Record::default();
    let fetched = world.hub().fetch(&MODEL.parse().unwrap(), &mut record).unwrap();
    assert_eq!(fs::read(fetched.path).unwrap(), content(3 << 20));
    assert_eq!(world.ranges(), [Some("bytes=3000-".into())]);
    assert_eq!(record.notices, [Notice::Resumed { file: "model.gguf".into(), bytes: 3000 }]);
    assert_eq!(world.kept(), None);
}

#[test]
fn a_server_that_ignores_the_range_gives_the_file_from_its_start() {
    let world = World::new();
    world.mock.fault(Place::Storage, "model.gguf", Fault::CutAfter(1000), 1);
    world.mock.fault(Place::Storage, "model.gguf", Fault::IgnoreRange, 1);
    let fetched = world.fetch(MODEL).unwrap();
    assert_eq!(fs::read(fetched.path).unwrap(), content(3 << 20));
}

#[test]
fn leftovers_that_cannot_be_right_are_not_kept() {
    let world = World::new();
    let whole = world.fetch(MODEL).unwrap();
    let blob = world.folder().join("blobs").join(&whole.sha256);
    let part = blob.with_extension("incomplete");

    // Longer than the file: from the start.
    fs::rename(&blob, &part).unwrap();
    fs::OpenOptions::new()
        .append(true)
        .open(&part)
        .and_then(|mut file| std::io::Write::write_all(&mut file, b"x"))
        .unwrap();
    world.mock.take_seen();
    world.fetch(MODEL).unwrap();
    assert_eq!(world.ranges(), [None]);

    // As long as the file: its hash is enough.
    fs::rename(&blob, &part).unwrap();
    world.mock.take_seen();
    world.fetch(MODEL).unwrap();
    assert!(world.ranges().is_empty());

    // Of another content: the hash tells, and the next fetch starts anew.
    fs::remove_file(&blob).unwrap();
    fs::write(&part, b"not the file").unwrap();
    let error = world.error(MODEL);
    assert!(error.contains("is not what the hub has") && error.contains(&whole.sha256), "{error}");
    assert_eq!(world.kept(), None);
    world.fetch(MODEL).unwrap();

    // A blob of another length is no blob.
    fs::write(&blob, b"short").unwrap();
    assert_eq!(fs::read(world.fetch(MODEL).unwrap().path).unwrap(), content(3 << 20));
}

#[test]
fn wrong_bytes_are_removed_and_both_hashes_named() {
    let world = World::new();
    for (file, place) in [("model.gguf", Place::Storage), ("resolve-cache", Place::Hub)] {
        // Of a small file the first request to that place asks only for what the hub says of it.
        world.mock.fault(place, file, Fault::WrongBytes, if place == Place::Hub { 2 } else { 1 });
    }
    for path in ["model.gguf", "config.json"] {
        let Err(HubError::Mismatch { expected, found, .. }) = world.fetch(&format!("hf:owner/repo/{path}")) else {
            panic!("{path} was taken");
        };
        assert_ne!(expected, found);
        assert_eq!(world.kept(), None);
    }
    assert!(world.folder().join("snapshots").read_dir().is_err());
}

#[test]
fn statuses_that_pass_are_waited_for() {
    let world = World::new();
    world.mock.fault(Place::Hub, "model.gguf", Fault::Status(500, None), 2);
    world.mock.fault(Place::Storage, "model.gguf", Fault::Status(429, Some(1)), 1);
    world.mock.fault(Place::Storage, "model.gguf", Fault::Status(503, Some(0)), 1);
    let start = Instant::now();
    world.fetch(MODEL).unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[test]
fn statuses_that_stay_have_a_sentence_each() {
    for (status, retry_after, sentence) in [
        (500, None, "has an error of its own (status 500), after several tries. Try again later."),
        (429, Some(0), "takes no more requests for now. Try again in 0 s, or set `HF_TOKEN` for a higher limit."),
        (429, Some(3600), "Try again in 3600 s"),
        (429, None, "Try again later"),
        (418, None, "refuses (status 418): as the script says"),
    ] {
        for place in [Place::Hub, Place::Storage] {
            let world = World::new();
            world.mock.fault(place, "model.gguf", Fault::Status(status, retry_after), 9);
            let start = Instant::now();
            let error = world.error(MODEL);
            assert!(error.contains(sentence), "{error}");
            assert!(start.elapsed() < Duration::from_secs(5));
        }
    }
}

#[test]
fn what_does_not_exist_is_told_apart() {
    let world = World::new();
    let error = world.error("hf:owner/repo/modle.gguf");
    assert_eq!(error, "`owner/repo` has no file `modle.gguf` at `main`. It has `model.gguf`.");
    let error = world.error("hf:owner/repo/model.gguf@v9");
    assert!(error.starts_with("`owner/repo` has no revision `v9`."), "{error}");
    let error = world.error("hf:owner/none/model.gguf");
    assert!(error.starts_with("`owner/none` does not exist or is private."), "{error}");
    assert!(error.contains("put a token of an account that has access in `HF_TOKEN`"), "{error}");
}

#[test]
fn private_and_gated_repositories_say_what_opens_them() {
    let world = World::new();
    let fetch = |token: Option<&str>| {
        let cache = tempfile::tempdir().unwrap();
        let settings = match token {
            Some(token) => world.mock.settings_with(cache.path(), token),
            None => world.mock.settings(cache.path()),
        };
        let fetched = Hub::new(settings).unwrap().fetch(&MODEL.parse().unwrap(), &mut ());
        fetched.map(|_| ()).map_err(|error| error.to_string())
    };
    world.mock.restrict(REPO, Access::Private);
    assert!(fetch(None).unwrap_err().contains("does not exist or is private"));
    fetch(Some(READ_TOKEN)).unwrap();

    world.mock.restrict(REPO, Access::Gated { accepted: false });
    let error = fetch(None).unwrap_err();
    let page = format!("Accept them at `{}/owner/repo`, and put a token", world.mock.url());
    assert!(error.contains(&page), "{error}");
    let error = fetch(Some(READ_TOKEN)).unwrap_err();
    assert!(error.contains("check that the token from `HF_TOKEN` is one of an account that has access"), "{error}");
    world.mock.restrict(REPO, Access::Gated { accepted: true });
    fetch(Some(READ_TOKEN)).unwrap();

    let error = fetch(Some("hf_wrong")).unwrap_err();
    assert!(error.starts_with("The token from `HF_TOKEN` is not valid"), "{error}");
    assert!(!error.contains("hf_wrong"), "{error}");
}

#[test]
fn the_token_stays_at_the_hub() {
    let world = World::new();
    let hub = Hub::new(world.mock.settings_with(world.cache.path(), TOKEN)).unwrap();
    hub.fetch(&MODEL.parse().unwrap(), &mut ()).unwrap();
    let seen = world.mock.seen();
    for request in &seen {
        assert_eq!(request.authorization.is_some(), request.place == Place::Hub, "{request:?}");
    }
    assert!(seen.iter().any(|request| request.place == Place::Storage));
    assert!(!format!("{hub:?}").contains(TOKEN));
}

#[test]
fn the_token_is_not_sent_over_plain_http_to_another_machine() {
    let cache = tempfile::tempdir().unwrap();
    let mock = Mock::start().unwrap();
    // A name that leads nowhere: the sentence of a refusal is what is looked at elsewhere, here that nothing is sent.
    let settings = Settings { endpoint: "http://hub.invalid".into(), ..mock.settings_with(cache.path(), TOKEN) };
    let error = Hub::new(settings).unwrap().publish(cache.path(), REPO, &Default::default(), &mut ()).unwrap_err();
    assert!(error.to_string().contains("has no file to publish"), "{error}");
    fs::write(cache.path().join("README.md"), "x").unwrap();
    let settings = Settings { endpoint: "http://hub.invalid".into(), ..mock.settings_with(cache.path(), TOKEN) };
    let error = Hub::new(settings).unwrap().publish(cache.path(), REPO, &Default::default(), &mut ()).unwrap_err();
    assert!(error.to_string().contains("the token is not sent over plain HTTP"), "{error}");
}

#[test]
fn without_a_network_the_cache_is_used_and_said_so() {
    let world = World::new();
    let fetched = world.fetch(MODEL).unwrap();
    let (settings, mut record) = (world.settings(), Record::default());
    world.mock.fault(Place::Hub, "model.gguf", Fault::Status(503, None), 1);
    assert_eq!(world.hub().fetch(&MODEL.parse().unwrap(), &mut record).unwrap(), fetched);
    assert!(record.notices[0].to_string().contains("answered with status 503; "), "{:?}", record.notices);

    drop(world.mock);
    let hub = Hub::new(settings.clone()).unwrap();
    assert_eq!(hub.fetch(&MODEL.parse().unwrap(), &mut record).unwrap(), fetched);
    assert!(record.notices[1].to_string().contains("nothing listens there; "), "{:?}", record.notices);

    let error = hub.fetch(&"hf:owner/repo/config.json".parse().unwrap(), &mut ()).unwrap_err().to_string();
    assert!(error.contains("cannot be reached: nothing listens there. Check the connection"), "{error}");
    let settings = Settings { endpoint: "http://hub.invalid".into(), ..settings };
    let error = Hub::new(settings).unwrap().fetch(&"hf:owner/repo/config.json".parse().unwrap(), &mut ()).unwrap_err();
    assert!(error.to_string().contains("`hub.invalid` cannot be reached"), "{error}");
}

#[test]
fn offline_the_cache_alone_answers() {
    let world = World::new();
    let fetched = world.fetch(MODEL).unwrap();
    world.mock.take_seen();
    let hub = Hub::new(Settings { offline: true, ..world.settings() }).unwrap();
    assert_eq!(hub.fetch(&MODEL.parse().unwrap(), &mut ()).unwrap(), fetched);
    let chosen = hub.fetch(&Address::from_hf(REPO).unwrap(), &mut ()).unwrap();
    assert_eq!(chosen, fetched);
    let error = hub.fetch(&"hf:owner/repo/config.json".parse().unwrap(), &mut ()).unwrap_err().to_string();
    assert!(error.starts_with("`hf:owner/repo/config.json` is not in the cache at `/"), "{error}");
    assert!(error.contains("`HF_HUB_OFFLINE`"), "{error}");
    assert!(matches!(hub.list(REPO, "main", &mut ()), Err(HubError::Offline { .. })));
    assert_eq!(world.requests(), 0);
}

#[test]
fn a_choice_falls_as_llama_cpp_has_it() {
    let world = World::new();
    let file = |hf: &str| {
        let fetched = world.hub().fetch(&Address::from_hf(hf).unwrap(), &mut ());
        fetched.map(|fetched| fetched.address.to_string()).map_err(|error| error.to_string())
    };
    for path in ["m-Q2_K.gguf", "mmproj-Q4_K_M.gguf", "m-Q4_K_M.gguf"] {
        world.mock.add("o/r", path, path.as_bytes());
    }
    assert_eq!(file("o/r").unwrap(), "hf:o/r/m-Q4_K_M.gguf");
    assert_eq!(file("o/r:q2_k").unwrap(), "hf:o/r/m-Q2_K.gguf");
    assert_eq!(file("o/r:m-Q2_K.gguf").unwrap(), "hf:o/r/m-Q2_K.gguf");
    let error = file("o/r:Q6_K").unwrap_err();
    assert!(error.starts_with("`o/r` has no GGUF with `Q6_K` in its name. It has `m-Q2_K.gguf`"), "{error}");
    world.mock.add("o/none", "README.md", b"x");
    assert_eq!(file("o/none").unwrap_err(), "`o/none` has no GGUF. Choose a repository with GGUF files.");
}

#[test]
fn all_parts_of_a_split_model_lie_beside_each_other() {
    let world = World::new();
    for part in 1..=3 {
        world.mock.add("o/r", &format!("d/m-Q8_0-{part:05}-of-00003.gguf"), format!("part {part}").as_bytes());
    }
    for address in ["hf:o/r", "hf:o/r/d/m-Q8_0-00002-of-00003.gguf"] {
        let fetched = world.fetch(address).unwrap();
        assert!(fetched.path.ends_with("d/m-Q8_0-00001-of-00003.gguf"));
        let rest: Vec<_> = fetched.rest.iter().map(|part| fs::read_to_string(&part.path).unwrap()).collect();
        assert_eq!(rest, ["part 2", "part 3"]);
        assert!(fetched.rest.iter().all(|part| part.path.parent() == fetched.path.parent()));
    }
}

#[test]
fn a_fetch_that_is_cancelled_keeps_what_it_has() {
    let world = World::new();
    let mut record = Record { limit: Some(1 << 20), ..Record::default() };
    let error = world.hub().fetch(&MODEL.parse().unwrap(), &mut record).unwrap_err();
    assert!(matches!(error, HubError::Cancelled), "{error}");
    assert!(world.kept().is_some_and(|kept| (1 << 20..3 << 20).contains(&kept)));
    world.fetch(MODEL).unwrap();
}

#[test]
fn two_at_once_download_a_file_once() {
    let world = World::new();
    world.mock.fault(Place::Storage, "model.gguf", Fault::Slow(Duration::from_millis(5)), 9);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(fs::read(world.fetch(MODEL).unwrap().path).unwrap(), content(3 << 20)));
        }
    });
    assert_eq!(world.ranges(), [None]);
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let world = World::new();
    world.mock.fault(Place::Storage, "model.gguf", Fault::Slow(Duration::from_millis(500)), 9);
    let mut settings = world.settings();
    settings.patience.silence = Duration::from_millis(100);
    let error = Hub::new(settings).unwrap().fetch(&MODEL.parse().unwrap(), &mut ()).unwrap_err().to_string();
    assert!(error.contains("it did not answer in time"), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named_with_what_is_needed() {
    let world = World::new();
    let whole = world.fetch(MODEL).unwrap();
    let blob = world.folder().join("blobs").join(&whole.sha256);
    fs::remove_file(&blob).unwrap();
    let part = blob.with_extension("incomplete");
    std::os::unix::fs::symlink("/dev/full", &part).unwrap();
    let error = world.error(MODEL);
    assert!(error.starts_with(&format!("There is no room for `{}`: 3145728 more bytes", part.display())), "{error}");
}

#[test]
fn a_listing_has_sizes_and_hashes() {
    let world = World::new();
    let listing = world.hub().list(REPO, "main", &mut ()).unwrap();
    assert_eq!(listing.commit, world.commit);
    let files: Vec<_> =
        listing.files.iter().map(|file| (file.path.as_str(), file.size, file.sha256.is_some())).collect();
    assert_eq!(
        files,
        [("config.json", Some(3), false), ("empty.txt", Some(0), false), ("model.gguf", Some(3 << 20), true)]
    );
}

#[test]
fn what_is_no_hub_is_told() {
    let world = World::new();
    world.mock.fault(Place::Hub, "model.gguf", Fault::Status(200, None), 1);
    let error = world.error(MODEL);
    assert!(error.contains("does not answer as the hub does: its answer has no usable `X-Repo-Commit`"), "{error}");
    let settings = Settings { endpoint: "hub.example".into(), ..world.settings() };
    assert!(Hub::new(settings).unwrap_err().to_string().starts_with("`HF_ENDPOINT` cannot be used"));
}
