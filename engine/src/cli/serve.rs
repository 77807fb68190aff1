//! The server: what was typed becomes its options, and signals end it.

use super::{args::ServeArgs, log::Log, progress, render::Look, trial::Admission};
use crate::{
    Error, files,
    serve::{Heard, Host},
    settings::Settings,
};
use serve::{Options, Stop};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

/// Loads the ensemble and serves until a signal ends it.
pub fn run(
    settings: Settings,
    look: Look,
    memory: Option<PathBuf>,
    admission: Admission,
    args: &ServeArgs,
) -> Result<ExitCode, Error> {
    let options = options(args)?;
    let memory = memory.map(|path| Log::open(&path)).transpose()?;
    let signals = Signals::new([SIGINT, SIGTERM, SIGHUP])
        .map_err(|error| Error::Failure(format!("signals cannot be heard: {error}")))?;
    let stop = Stop::new();
    let ended = end_by(signals, stop.clone());
    let engine = Arc::new(progress::load(settings, look, admission)?);
    engine.notes().iter().for_each(|note| look.remark(note));
    let mut log = memory.map(|memory| Log::new(memory, engine.settings()));
    let record = Box::new(move |heard: Heard| match (heard, &mut log) {
        (Heard::Notice(text), _) => look.remark(text),
        (Heard::Reply(request, reply, engine), Some(log)) => {
            // A log that fails takes no reply with it.
            if let Err(error) = log.append(request, reply, engine) {
                look.remark(&error.to_string());
            }
            if let Some(notice) = log.take_notice() {
                look.remark(&notice);
            }
        }
        (Heard::Reply(..), None) => {}
    });
    let (host, decoding) = Host::start(engine, args.alias.clone(), record)
        .map_err(|error| Error::Failure(format!("there is no thread to decode: {error}")))?;
    let is_open = options.keys.is_empty();
    let say = |address: SocketAddr| {
        look.remark(&format!(
            "serving http://{address} (a page) and http://{address}/v1 (for clients); Ctrl-C ends it"
        ));
        if is_open && !address.ip().is_loopback() {
            look.remark(
                "other machines may reach it, and anybody who does may ask; --api-key-file keeps strangers out",
            );
        }
    };
    serve::run(Arc::new(host), options, say, &stop).map_err(|error| match error {
        serve::Error::Threads(_) => Error::Failure(error.to_string()),
        serve::Error::Listen { .. } => Error::Input(format!("{error}; give another --port or --host")),
        serve::Error::Origin(_) => Error::Input(error.to_string()),
    })?;
    decoding.wait();
    drop(ended);
    Ok(ExitCode::SUCCESS)
}

fn options(args: &ServeArgs) -> Result<Options, Error> {
    let keys = args.api_key_file.as_deref().map(keys).transpose()?.unwrap_or_default();
    Ok(Options {
        host: args.host.clone(),
        port: args.port,
        parallel: args.parallel,
        queue: args.queue,
        keys,
        origins: args.cors_origin.clone(),
        timeout: Some(Duration::from_secs(args.timeout)),
        grace: Duration::from_secs(args.grace),
        ..Options::default()
    })
}

/// One key a line; what begins with `#` is none.
fn keys(path: &Path) -> Result<Vec<String>, Error> {
    let text = files::read_text(path, 1 << 20)?;
    let keys: Vec<String> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(String::from)
        .collect();
    if keys.is_empty() {
        return Err(Error::Input(format!(
            "`{}` has no key in it, and would keep everybody out; write one key a line",
            path.display()
        )));
    }
    if let Some(strange) = keys.iter().position(|key| !key.bytes().all(|byte| byte.is_ascii_graphic())) {
        return Err(Error::Input(format!(
            "key {} of `{}` cannot be sent in a header; use letters, digits and signs without spaces",
            strange + 1,
            path.display()
        )));
    }
    Ok(keys)
}

/// The first signal lets replies end, the second cuts them, the third ends the program as it is.
fn end_by(mut signals: Signals, stop: Stop) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        for (number, signal) in signals.forever().enumerate() {
            match number {
                0 => stop.drain(),
                1 => stop.cut(),
                _ => std::process::exit(128 + signal),
            }
        }
    })
}
