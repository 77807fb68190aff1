//! One prompt, one reply.

use super::session::Session;
use crate::{Error, events::EndReason, settings::Prompt};
use std::{io::ErrorKind, process::ExitCode};

/// Writes the reply and says how the process should end.
pub fn run(mut session: Session, prompt: String) -> Result<ExitCode, Error> {
    let (reply, shown) = session.reply(&Prompt::Text(prompt))?;
    match shown {
        // `| head -1` has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
        Err(error) => return Err(Error::Failure(format!("standard output cannot be written: {error}"))),
        Ok(()) => {}
    }
    Ok(match reply.reason {
        EndReason::Interrupted => ExitCode::from(session.interrupt.exit_code()),
        EndReason::Failed => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    })
}
