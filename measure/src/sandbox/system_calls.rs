//! The seccomp filter: which system calls a program gets.
//!
//! Whatever does not stand here is refused with "Operation not permitted": new processes and threads (`clone`, `fork`),
//! sockets, signals, other processes (`ptrace`, `process_vm_readv`, `pidfd_open`, `prlimit` of others), changes of files
//! (`truncate`, `chmod`, `link`, `rename`, `unlink`), files in memory, which no limit counts (`memfd_create`, `shmget`),
//! namespaces and mounts, `bpf`, `perf_event_open`, `io_uring_setup`, `keyctl`, `prctl`, and whatever is root's.

use std::collections::BTreeMap;
use std::error::Error;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

/// System calls that every processor's Linux has, with any arguments.
const ALLOWED: &[i64] = &[
    // Files that are open or may be opened; which these are, the mount or Landlock says.
    libc::SYS_openat,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_pipe2,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_chdir,
    libc::SYS_fchdir,
    libc::SYS_umask,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    // Memory.
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_madvise,
    // The process itself. An exec changes the program and none of its limits.
    libc::SYS_execve,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigsuspend,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_sigaltstack,
    libc::SYS_futex,
    libc::SYS_set_tid_address,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getrusage,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getresuid,
    libc::SYS_getresgid,
    libc::SYS_getgroups,
    libc::SYS_getpgid,
    libc::SYS_getsid,
    // Time, chance, and what system this is.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    libc::SYS_setitimer,
    libc::SYS_getitimer,
    libc::SYS_times,
    libc::SYS_getrandom,
    libc::SYS_sysinfo,
    libc::SYS_uname,
];

/// Older forms of these, which only x86-64 has.
#[cfg(target_arch = "x86_64")]
const ALLOWED_HERE: &[i64] = &[
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_getdents,
    libc::SYS_dup2,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_epoll_create,
    libc::SYS_epoll_wait,
    libc::SYS_alarm,
    libc::SYS_time,
    libc::SYS_getpgrp,
    libc::SYS_getrlimit,
    libc::SYS_arch_prctl,
];
#[cfg(not(target_arch = "x86_64"))]
const ALLOWED_HERE: &[i64] = &[];

/// Commands of `fcntl` that concern the descriptor alone: not the owner, who would get signals, and not locks.
const FCNTL: &[i32] =
    &[libc::F_DUPFD, libc::F_DUPFD_CLOEXEC, libc::F_GETFD, libc::F_SETFD, libc::F_GETFL, libc::F_SETFL];
/// Commands of `ioctl` that Python uses on any file: no input for terminals, no owner.
const IOCTL: &[u32] =
    &[libc::FIOCLEX as u32, libc::FIONCLEX as u32, libc::FIONREAD as u32, libc::TCGETS as u32, libc::TIOCGWINSZ as u32];

/// The filter for this processor.
pub fn filter() -> Result<BpfProgram, Box<dyn Error>> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        ALLOWED.iter().chain(ALLOWED_HERE).map(|call| (*call, Vec::new())).collect();
    rules.insert(libc::SYS_fcntl, one_of(1, FCNTL.iter().map(|command| u64::from(command.unsigned_abs())))?);
    rules.insert(libc::SYS_ioctl, one_of(1, IOCTL.iter().copied().map(u64::from))?);
    // Limits of this process, which can only get tighter.
    rules.insert(libc::SYS_prlimit64, one_of(0, std::iter::once(0))?);
    let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let here = TargetArch::try_from(std::env::consts::ARCH)?;
    Ok(SeccompFilter::new(rules, refuse, SeccompAction::Allow, here)?.try_into()?)
}

fn one_of(argument: u8, values: impl Iterator<Item = u64>) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let equals = |value| SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value);
    values.map(|value| SeccompRule::new(vec![equals(value)?])).collect()
}

/// The filter as the kernel's `struct sock_filter[]`, which is what bubblewrap reads.
pub fn bytes(filter: &BpfProgram) -> Vec<u8> {
    filter
        .iter()
        .flat_map(|step| {
            let [code0, code1] = step.code.to_ne_bytes();
            let [k0, k1, k2, k3] = step.k.to_ne_bytes();
            [code0, code1, step.jt, step.jf, k0, k1, k2, k3]
        })
        .collect()
}
