//! A self-contained HTML page of results, or of what happened in a reply.
//!
//! One file without network, script or font: it can be mailed, kept beside the results and opened in ten years. SVG inside
//! HTML is markup of the same page, so `maud` writes both and escapes all text of models and files; a crate for SVG alone
//! would need a second escape, and its output would have to be let through unescaped. A policy in the page forbids browsers
//! to load or run anything, should a text get through after all.

mod account;
mod bars;
mod candidates;
mod curves;
mod heat;
mod items;
mod report;
mod style;

pub use heat::{Cell, Matrix};

use crate::compare::{Comparison, plain};
use crate::explain::Account;
use crate::results::Results;
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// What a browser may do with the page: show it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// How figures of results are to be read.
const STATISTICS: &str = "Lines through bars and points are 95 % intervals: Wilson's for an accuracy, Newcombe's for a \
                          difference of accuracies on the same items, a block bootstrap for bits per byte and other figures. A difference is \
                          shown if its interval holds no 0 and p is below 0.05, after Holm where several are tested.";

/// A page that grows by sections.
#[derive(Debug, Clone)]
pub struct Page {
    title: String,
    sections: Vec<Markup>,
    has_statistics: bool,
}

impl Page {
    /// An empty page.
    pub fn new(title: &str) -> Self {
        Self { title: plain(title), sections: Vec::new(), has_statistics: false }
    }

    /// Adds one system's results: its figure, what it is made of, and items that it got wrong.
    #[must_use]
    pub fn results(mut self, results: &Results) -> Self {
        self.sections.push(report::results(results));
        self.has_statistics = true;
        self
    }

    /// Adds a comparison: figures, differences and items that changed sides, with the answers of the results that were
    /// compared, in the same order.
    #[must_use]
    pub fn comparison(mut self, comparison: &Comparison, results: &[Results]) -> Self {
        self.sections.push(report::comparison(comparison, results));
        self.has_statistics = true;
        self
    }

    /// Adds a matrix as a heat map.
    #[must_use]
    pub fn matrix(mut self, matrix: &Matrix) -> Self {
        self.sections.push(heat::map(matrix));
        self.has_statistics = true;
        self
    }

    /// Adds a reply: its text with what was refused and taken back, curves of its figures, and all of its tokens.
    #[must_use]
    pub fn account(mut self, account: &Account) -> Self {
        let section = account::section(account, self.sections.len());
        self.sections.push(section);
        self
    }

    /// The whole page.
    pub fn render(&self) -> String {
        let body = html! {
            h1 { (self.title) }
            @for section in &self.sections { section { (section) } }
            @if self.has_statistics { footer { p { (STATISTICS) } } }
        };
        document(&self.title, style::SHEET, &body)
    }
}

/// A page of its own with this style sheet, that browsers show and that loads and runs nothing.
pub fn document(title: &str, sheet: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(sheet)) }
            }
            body { main { (body) } }
        }
    };
    page.into_string()
}
