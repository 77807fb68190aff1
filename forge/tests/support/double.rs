//! A double of whoever loads models: files in, files out, in pieces, with faults on demand.

use llama_selfmod_forge::bench::{Bench, Builder, Eval, Failure, Layer, Pack, Profile, Text, Watch, Window};
use std::cell::Cell;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

/// Bytes of a piece.
const PIECE: usize = 1000;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// An error in words.
    Fails,
    /// A write to a full disk.
    DiskFull,
    /// The process is killed.
    Killed,
}

/// Models are any bytes; what texts cost them comes from hashes.
#[derive(Debug, Default)]
pub struct Double {
    /// Goes wrong at this unit of all its work, from 1.
    pub fault: Option<(Fault, u64)>,
    /// Units so far.
    pub units: Cell<u64>,
}

impl Double {
    pub fn with(fault: Fault, at: u64) -> Self {
        Self { fault: Some((fault, at)), units: Cell::new(0) }
    }

    /// One piece of work.
    fn unit(&self, watch: &dyn Watch) -> Result<(), Failure> {
        self.units.set(self.units.get() + 1);
        if watch.cancelled() {
            return Err(Failure::Cancelled);
        }
        match self.fault {
            Some((fault, at)) if at == self.units.get() => match fault {
                Fault::Fails => Err(Failure::new("the model has a hole in it")),
                Fault::DiskFull => {
                    let path = Path::new("/dev/full");
                    let error = File::options().write(true).open(path).and_then(|mut full| full.write_all(b"x"));
                    Err(Failure::write(path, &error.unwrap_err()))
                }
                Fault::Killed => kill(),
            },
            _ => Ok(()),
        }
    }

    fn write(&self, out: &Path, bytes: &[u8], watch: &dyn Watch) -> Result<(), Failure> {
        let mut file = File::create(out).map_err(|error| Failure::write(out, &error))?;
        for (at, piece) in bytes.chunks(PIECE).enumerate() {
            file.write_all(piece).map_err(|error| Failure::write(out, &error))?;
            watch.progress(at as u64 + 1, bytes.len().div_ceil(PIECE) as u64, "pieces");
            self.unit(watch)?;
        }
        Ok(())
    }
}

pub fn kill() -> ! {
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
    loop {
        std::thread::park();
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| Failure::read(path, &error))
}

/// FNV-1a.
fn hash(parts: &[&[u8]]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.iter());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

fn part(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

impl Bench for Double {
    fn builder(&self) -> Builder {
        Builder { id: "double".into(), llama_cpp: "none".into() }
    }

    fn quantized(&self, header: &gguf::Header, _: &str, _: bool) -> Result<gguf::Header, Failure> {
        Ok(header.clone())
    }

    fn quantize(
        &self,
        model: &Path,
        to: &str,
        imatrix: Option<&Path>,
        out: &Path,
        watch: &dyn Watch,
    ) -> Result<(), Failure> {
        let every = match to {
            "Q8_0" => 2,
            "Q4_K_M" => 4,
            _ => return Err(Failure::new(format!("there is no type `{to}`"))),
        };
        let add = imatrix.map(read).transpose()?.map_or(0, |imatrix| hash(&[&imatrix]) as u8);
        let bytes: Vec<u8> = read(model)?.iter().step_by(every).map(|byte| byte.wrapping_add(add)).collect();
        self.write(out, &bytes, watch)
    }

    fn imatrix(&self, model: &Path, text: Text, out: &Path, watch: &dyn Watch) -> Result<(), Failure> {
        let (model, text) = (read(model)?, read(text.file)?);
        let bytes: Vec<u8> =
            (0..500_u64).flat_map(|at| hash(&[&model, &text, &at.to_le_bytes()]).to_le_bytes()).collect();
        self.write(out, &bytes, watch)
    }

    fn profile(&self, model: &Path, text: Text, watch: &dyn Watch) -> Result<Profile, Failure> {
        let (model, text) = (read(model)?, read(text.file)?);
        let seed = hash(&[&model, &text]).to_le_bytes();
        let mut layers = Vec::new();
        for layer in 0..3_u32 {
            self.unit(watch)?;
            watch.progress(u64::from(layer) + 1, 3, "layers");
            let hashes: Vec<u64> =
                (0..8_u32).map(|expert| hash(&[&seed, &layer.to_le_bytes(), &expert.to_le_bytes()])).collect();
            layers.push(Layer {
                layer,
                counts: hashes.iter().map(|hash| hash % 1000).collect(),
                saliency: hashes.iter().map(|hash| part(*hash)).collect(),
            });
        }
        Ok(Profile { tokens: 1000, used: 2, layers })
    }

    fn windows(&self, _: &Path, text: Text) -> Result<u32, Failure> {
        let all = read(text.file)?.len() as u32 / text.context;
        Ok(all.saturating_sub(text.skip).min(text.windows.unwrap_or(u32::MAX)))
    }

    fn losses(
        &self,
        model: &Path,
        text: Text,
        chosen: Option<&[u32]>,
        watch: &dyn Watch,
    ) -> Result<Vec<Window>, Failure> {
        let (model, bytes) = (read(model)?, read(text.file)?);
        let worse = 100.0 / model.len() as f64;
        let most = text.windows.map_or(usize::MAX, |most| most as usize);
        let windows = bytes.chunks_exact(text.context as usize).skip(text.skip as usize).take(most);
        let mut found = Vec::new();
        for (_, window) in (0..).zip(windows).filter(|(at, _)| chosen.is_none_or(|chosen| chosen.contains(at))) {
            self.unit(watch)?;
            let nats = 40.0 + 20.0 * part(hash(&[window])) + worse + 0.1 * part(hash(&[window, &model[..8]]));
            found.push(Window { nats, tokens: text.context / 2, bytes: text.context / 2 });
        }
        Ok(found)
    }

    fn eval(&self, eval: Eval, watch: &dyn Watch) -> Result<(), Failure> {
        let model = read(eval.model)?;
        let name = eval.model.file_name().unwrap().to_string_lossy();
        let mut file = File::create(eval.out).map_err(|error| Failure::write(eval.out, &error))?;
        let header = serde_json::json!({
            "results": 1, "task": eval.task, "items": { "sha256": "00", "number": 100 },
            "system": { "name": name, "members": [{ "name": name, "file": eval.model, "sha256": "00", "weight": 1.0 }] },
            "seed": 0, "program": { "version": "double" }, "measured": "right"
        });
        writeln!(file, "{header}").map_err(|error| Failure::write(eval.out, &error))?;
        for at in 0..eval.limit.unwrap_or(100) {
            self.unit(watch)?;
            let right = !hash(&[&model, &at.to_le_bytes()]).is_multiple_of(3);
            let seconds = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
            let item = serde_json::json!({ "id": at.to_string(), "right": right, "seconds": seconds });
            writeln!(file, "{item}").map_err(|error| Failure::write(eval.out, &error))?;
        }
        Ok(())
    }

    fn pack(&self, pack: Pack, watch: &dyn Watch) -> Result<(), Failure> {
        let members = pack.out.join("members");
        fs::create_dir(&members).map_err(|error| Failure::write(&members, &error))?;
        for model in pack.models {
            self.write(&members.join(model.file_name().unwrap()), &read(model)?, watch)?;
        }
        self.write(&pack.out.join("team.toml"), format!("weights = {:?}\n", pack.weights).as_bytes(), watch)
    }
}
