//! `card`: a model card, `README.md`.

use super::Work;
use crate::bench::Failure;
use crate::card::{gather, render};
use crate::recipe::{Card, files};

pub(super) fn card(stage: &Card, work: &Work) -> Result<(), Failure> {
    let facts = gather(stage, work.reads, work.recipe)?;
    let path = work.out.join(files::CARD);
    std::fs::write(&path, render(&facts)).map_err(|error| Failure::write(&path, &error))
}
