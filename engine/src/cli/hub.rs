//! Files on the hub, where a file is named: fetched before anything else is done, with a bar where a person is watching.

use super::{
    args::{CommandLine, Named},
    output::visible,
    progress,
    render::Look,
    spec::Spec,
};
use crate::Error;
use ::hub::{Address, Hub, HubError, Notice, Watch};
use std::path::{Path, PathBuf};

/// What an address begins with.
pub const SCHEME: &str = "hf:";

impl From<HubError> for Error {
    fn from(error: HubError) -> Self {
        Self::Failure(error.to_string())
    }
}

/// Puts files on this machine in the place of addresses, and those of `-hf` among the models.
pub fn fetch(line: &mut CommandLine, look: Look) -> Result<(), Error> {
    let mut files = Files { hub: None, look };
    for ensemble in line.ensembles() {
        for given in std::mem::take(&mut ensemble.hf_repo) {
            ensemble.model.push(files.fetch(&Address::from_hf(&given).map_err(wrong)?)?);
        }
    }
    for word in line.named() {
        match word {
            Named::File(path) => {
                if let Some(address) = path.to_str().filter(|path| path.starts_with(SCHEME)) {
                    *path = files.fetch(&address.parse().map_err(wrong)?)?;
                }
            }
            Named::Spec(spec) if spec.starts_with(SCHEME) => {
                let address = Spec::parse(spec)?.file.to_string_lossy().into_owned();
                let local = files.fetch(&address.parse().map_err(wrong)?)?;
                *spec = spec.replacen(&address, &local.to_string_lossy(), 1);
            }
            Named::Spec(_) => {}
        }
    }
    Ok(())
}

fn wrong(error: HubError) -> Error {
    Error::Input(error.to_string())
}

/// The file of an address, or a path as it stands.
pub fn local(path: &Path, look: Look) -> Result<PathBuf, Error> {
    match path.to_str().filter(|path| path.starts_with(SCHEME)) {
        Some(address) => Files { hub: None, look }.fetch(&address.parse().map_err(wrong)?),
        None => Ok(path.into()),
    }
}

/// The hub, once an address was met.
struct Files {
    hub: Option<Hub>,
    look: Look,
}

impl Files {
    fn fetch(&mut self, address: &Address) -> Result<PathBuf, Error> {
        let hub = match &mut self.hub {
            Some(hub) => hub,
            none => none.insert(Hub::from_env()?),
        };
        let mut bar = Bar { look: self.look, bar: None };
        let fetched = hub.fetch(address, &mut bar);
        bar.end();
        Ok(fetched?.path)
    }
}

/// A transfer for a person.
pub struct Bar {
    pub look: Look,
    pub bar: Option<progress::Bar>,
}

impl Bar {
    pub fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Watch for Bar {
    fn progress(&mut self, file: &str, done: u64, total: Option<u64>) -> bool {
        let bar = self.bar.get_or_insert_with(progress::transfer);
        bar.set_prefix(visible(file.rsplit('/').next().unwrap_or(file)));
        bar.set_length(total.unwrap_or(done));
        bar.set_position(done);
        true
    }

    fn notice(&mut self, notice: Notice) {
        self.look.remark(&visible(&notice.to_string()));
    }
}
