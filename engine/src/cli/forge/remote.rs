//! The hub, for the stages that reach it.

use ::forge::{
    bench::{Failure, Watch},
    remote::{Remote, Upload},
};
use ::hub::{Address, Hub, HubError, Notice, PublishOptions, Settings};
use std::path::PathBuf;

/// The hub as the environment names it.
pub struct Net;

/// A stage's watch as that of a transfer.
struct Told<'a>(&'a dyn Watch);

impl ::hub::Watch for Told<'_> {
    fn progress(&mut self, _: &str, done: u64, total: Option<u64>) -> bool {
        self.0.progress(done, total.unwrap_or(done), "bytes");
        !self.0.cancelled()
    }

    fn notice(&mut self, notice: Notice) {
        self.0.log(&notice.to_string());
    }

    fn is_cancelled(&mut self) -> bool {
        self.0.cancelled()
    }
}

fn failure(error: HubError) -> Failure {
    match error {
        HubError::Cancelled => Failure::Cancelled,
        error => Failure::new(error.to_string()),
    }
}

impl Remote for Net {
    fn have(&self, address: &str) -> Option<PathBuf> {
        let settings = Settings { offline: true, ..Settings::from_env().ok()? };
        let address: Address = address.parse().ok()?;
        Some(Hub::new(settings).ok()?.fetch(&address, &mut ()).ok()?.path)
    }

    fn fetch(&self, address: &str, watch: &dyn Watch) -> Result<PathBuf, Failure> {
        let address: Address = address.parse().map_err(failure)?;
        let hub = Hub::from_env().map_err(failure)?;
        Ok(hub.fetch(&address, &mut Told(watch)).map_err(failure)?.path)
    }

    fn publish(&self, upload: &Upload, watch: &dyn Watch) -> Result<String, Failure> {
        let options = PublishOptions {
            private: upload.private,
            branch: upload.branch.unwrap_or("main").into(),
            ..PublishOptions::default()
        };
        let hub = Hub::from_env().map_err(failure)?;
        let files: Vec<(String, PathBuf)> =
            upload.files.iter().map(|(name, path)| (name.clone(), path.to_path_buf())).collect();
        let published = hub.publish_files(&files, upload.repo, &options, &mut Told(watch)).map_err(failure)?;
        Ok(format!("hf:{}@{}", upload.repo, published.commit.as_deref().unwrap_or(options.branch.as_str())))
    }
}
