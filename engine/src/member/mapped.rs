//! Model files that become shorter while they are mapped, by a second download over the same name, say. Reading a page
//! that is no longer there is SIGBUS, which ends a process without a word. Here the page becomes one of zeros, the file is
//! marked as lost, and the member whose weights they were fails as it does for any other reason: the text so far stands and
//! is logged.

use std::path::Path;

pub(super) use system::Mapped;

#[cfg(not(target_os = "linux"))]
mod system {
    use super::Path;

    /// Elsewhere nothing tells where a file is mapped.
    #[derive(Default)]
    pub struct Mapped(());

    impl Mapped {
        pub fn of(_: &Path) -> Self {
            Self(())
        }

        pub fn is_lost(&self) -> bool {
            false
        }
    }
}

#[cfg(target_os = "linux")]
mod system {
    use super::Path;
    use libc::{c_int, c_void, sigaction, siginfo_t};
    use std::mem::MaybeUninit;
    use std::os::unix::ffi::OsStrExt;
    use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
    use std::sync::{Mutex, OnceLock};

    /// Part of a model file in memory. Never freed, because a signal handler walks through all of them.
    struct Region {
        start: usize,
        end: usize,
        /// False when the model is gone, and other things may be mapped there.
        is_live: AtomicBool,
        is_lost: AtomicBool,
        next: Option<&'static Region>,
    }

    /// The newest one.
    static REGIONS: AtomicPtr<Region> = AtomicPtr::new(std::ptr::null_mut());
    static PREVIOUS: OnceLock<sigaction> = OnceLock::new();
    static PAGE: AtomicUsize = AtomicUsize::new(0);

    /// Where a model's file is mapped.
    #[derive(Default)]
    pub struct Mapped(Vec<&'static Region>);

    impl Mapped {
        /// Of a model that was loaded from `path`, with the later parts of a split model.
        pub fn of(path: &Path) -> Self {
            let Ok(path) = path.canonicalize() else { return Self::default() };
            let maps = std::fs::read("/proc/self/maps").unwrap_or_default();
            let ranges: Vec<_> = maps.split(|&byte| byte == b'\n').filter_map(|line| range(line, &path)).collect();
            if !ranges.is_empty() {
                handle();
            }
            Self(ranges.into_iter().map(|(start, end)| add(start, end)).collect())
        }

        /// Whether something that was read there came out as zeros.
        pub fn is_lost(&self) -> bool {
            self.0.iter().any(|region| region.is_lost.load(Ordering::Relaxed))
        }
    }

    impl Drop for Mapped {
        fn drop(&mut self) {
            self.0.iter().for_each(|region| region.is_live.store(false, Ordering::Release));
        }
    }

    /// Of a line of `/proc/self/maps`, if it is a part of this model: `start-end mode offset device inode path`.
    fn range(line: &[u8], path: &Path) -> Option<(usize, usize)> {
        let at = line.iter().position(|&byte| byte == b'/')?;
        let (about, mapped) = line.split_at(at);
        let about = std::str::from_utf8(about).ok()?;
        let (addresses, mode) = about.split_once(' ')?;
        // llama.cpp maps models to be read, and shared.
        if !mode.starts_with("r--s") || stem(mapped) != stem(path.as_os_str().as_bytes()) {
            return None;
        }
        let (start, end) = addresses.split_once('-')?;
        Some((usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?))
    }

    /// A path without the number of the part of a split model: `NAME-00002-of-00003.gguf`.
    fn stem(path: &[u8]) -> &[u8] {
        const NUMBERS: &str = "-00002-of-00003.gguf";
        let (stem, numbers) = path.split_at(path.len().saturating_sub(NUMBERS.len()));
        let like = |(own, model): (&u8, u8)| *own == model || own.is_ascii_digit() && model.is_ascii_digit();
        let is_part = numbers.len() == NUMBERS.len() && numbers.iter().zip(NUMBERS.bytes()).all(like);
        if is_part { stem } else { path }
    }

    fn add(start: usize, end: usize) -> &'static Region {
        static ADDING: Mutex<()> = Mutex::new(());
        let _one_at_a_time = ADDING.lock();
        let (is_live, is_lost) = (AtomicBool::new(true), AtomicBool::new(false));
        // SAFETY: null, or a region that was leaked here.
        let next = unsafe { REGIONS.load(Ordering::Acquire).as_ref() };
        let region: &'static Region = Box::leak(Box::new(Region { start, end, is_live, is_lost, next }));
        REGIONS.store(std::ptr::from_ref(region).cast_mut(), Ordering::Release);
        region
    }

    /// Takes over SIGBUS, once, and passes on what is not about models.
    fn handle() {
        PREVIOUS.get_or_init(|| {
            // SAFETY: plain calls; the handler has the signature that its flags ask for and calls only what is safe there.
            unsafe {
                PAGE.store(usize::try_from(libc::sysconf(libc::_SC_PAGESIZE)).unwrap_or(4096), Ordering::Release);
                let mut action = MaybeUninit::<sigaction>::zeroed().assume_init();
                let mut previous = action;
                action.sa_sigaction = on_bus as *const () as usize;
                action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
                libc::sigemptyset(&mut action.sa_mask);
                sigaction(libc::SIGBUS, std::ptr::null(), &mut previous);
                sigaction(libc::SIGBUS, &action, std::ptr::null_mut());
                previous
            }
        });
    }

    extern "C" fn on_bus(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
        // SAFETY: the system passes a valid description of the signal; the address counts for a fault alone.
        let (code, address) = unsafe { ((*info).si_code, (*info).si_addr() as usize) };
        if code > 0 && fill(address) {
            return;
        }
        let Some(previous) = PREVIOUS.get() else { return };
        // SAFETY: what was in force before, called as its flags say; the default ends the process when the instruction is
        // executed again.
        unsafe {
            match previous.sa_sigaction {
                libc::SIG_DFL | libc::SIG_IGN => {
                    sigaction(signal, previous, std::ptr::null_mut());
                    if code <= 0 {
                        libc::raise(signal);
                    }
                }
                handler if previous.sa_flags & libc::SA_SIGINFO != 0 => {
                    let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = std::mem::transmute(handler);
                    handler(signal, info, context);
                }
                handler => {
                    let handler: extern "C" fn(c_int) = std::mem::transmute(handler);
                    handler(signal);
                }
            }
        }
    }

    /// Puts zeros in the place of a model's weights from this address on. False when none are there.
    fn fill(address: usize) -> bool {
        // SAFETY: null, or a region that was leaked.
        let mut next = unsafe { REGIONS.load(Ordering::Acquire).as_ref() };
        while let Some(region) = next {
            next = region.next;
            if !(region.start..region.end).contains(&address) || !region.is_live.load(Ordering::Acquire) {
                continue;
            }
            let start = address - address % PAGE.load(Ordering::Acquire);
            // SAFETY: replaces pages of a mapping that only llama.cpp reads, and only as weights, by pages that can be read;
            // the file had no bytes there any more.
            let mapped = unsafe {
                libc::mmap(
                    start as *mut c_void,
                    region.end - start,
                    libc::PROT_READ,
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
                    -1,
                    0,
                )
            };
            region.is_lost.store(true, Ordering::Relaxed);
            return mapped != libc::MAP_FAILED;
        }
        false
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn all_parts_of_a_split_model_are_one_model() {
            let line = |path: &str| format!("7f00-8000 r--s 00000000 fe:01 12345                      {path}");
            let of = |path: &str, model: &str| range(line(path).as_bytes(), Path::new(model));
            assert_eq!(of("/a b/m.gguf", "/a b/m.gguf"), Some((0x7f00, 0x8000)));
            assert_eq!(of("/m-00003-of-00003.gguf", "/m-00001-of-00003.gguf"), Some((0x7f00, 0x8000)));
            assert_eq!(of("/n-00003-of-00003.gguf", "/m-00001-of-00003.gguf"), None);
            assert_eq!(of("/other.gguf", "/m.gguf"), None);
            assert_eq!(range(b"7f00-8000 r-xp 00000000 fe:01 12345 /m.gguf", Path::new("/m.gguf")), None);
            assert_eq!(range(b"7f00-8000 rw-p 00000000 00:00 0", Path::new("/m.gguf")), None);
        }
    }
}
