//! Why a server gave no row.

/// What went wrong, as the second half of a sentence about a server.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Fault {
    /// Nobody answers there.
    #[error("it cannot be reached ({0})")]
    Unreachable(String),
    /// The connection ended before an answer began: a server closes one that was idle.
    #[error("it closed the connection")]
    Closed,
    /// It is too slow, or stands still.
    #[error("it gave no answer within {0:.1} s")]
    TimeOut(f32),
    /// It refuses.
    #[error("it answered with status {status}{}{said}", if said.is_empty() { "" } else { ": " })]
    Status {
        /// Of HTTP.
        status: u16,
        /// What it said, in short.
        said: String,
    },
    /// An answer that ends too soon.
    #[error("its answer broke off")]
    BrokenOff,
    /// An answer without an end.
    #[error("its answer is larger than 64 MiB")]
    TooLarge,
    /// An answer that is none.
    #[error("its answer cannot be read: {0}")]
    Unreadable(String),
    /// Numbers that are no distribution over the tokens.
    #[error("its row is no distribution: {0}")]
    NoDistribution(String),
    /// It was started anew with something else.
    #[error("another model is there: {0}")]
    AnotherModel(String),
    /// The text is longer than the server's context.
    #[error("the text is longer than its context")]
    Full,
}

/// As much of what a server said as fits into a line, without anything that moves a cursor.
pub fn in_short(said: &str) -> String {
    const MOST: usize = 160;
    let mut short: String = said.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MOST).collect();
    if said.chars().nth(MOST).is_some() {
        short.push('…');
    }
    short.trim().into()
}
