//! `compare`: results on the same items, paired.

use super::{
    args::CompareArgs,
    evaluate::write_page,
    measure::line,
    output::{print, print_json},
};
use crate::Error;
use ::measure::{
    compare::compare,
    page::Page,
    results::{Results, read},
};
use std::process::ExitCode;

/// Says what the files show.
pub fn run(args: &CompareArgs) -> Result<ExitCode, Error> {
    let read = |file| read(file).map_err(|error| Error::Input(error.to_string()));
    let results: Vec<Results> = args.files.iter().map(|file| read(file.as_path())).collect::<Result<_, _>>()?;
    let comparison = compare(&results).map_err(|error| Error::Input(error.to_string()))?;
    if let Some(file) = &args.html {
        let page = results.iter().fold(Page::new("Comparison"), |page, results| page.results(results));
        write_page(file, &page.comparison(&comparison, &results))?;
    }
    if args.json { print_json(&line(&comparison)?) } else { print(&format!("{comparison}\n")) }
}
