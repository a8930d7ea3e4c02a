//! What is asked of the kernel when the connection begins.

use std::time::Duration;

use fuser::{InitFlags, KernelConfig};
use tracing::debug;

/// Capabilities, each with what it is for. Asked one by one, because the crate adds nothing at all
/// when one of several is refused.
const CAPABILITIES: [(InitFlags, &str); 8] = [
    (InitFlags::FUSE_DO_READDIRPLUS, "attributes with listings"),
    (
        InitFlags::FUSE_READDIRPLUS_AUTO,
        "but not when nobody stats",
    ),
    (
        InitFlags::FUSE_PARALLEL_DIROPS,
        "concurrent look-ups in one directory",
    ),
    (
        InitFlags::FUSE_CACHE_SYMLINKS,
        "targets of aliases without a round trip",
    ),
    (
        InitFlags::FUSE_ASYNC_DIO,
        "parallel requests of one direct read",
    ),
    (
        InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP,
        "mmap of files read past the page cache",
    ),
    (
        InitFlags::FUSE_ATOMIC_O_TRUNC,
        "truncation is part of open, and no change of its own",
    ),
    (
        InitFlags::FUSE_NO_EXPORT_SUPPORT,
        "numbers are no handles for an NFS server",
    ),
];

/// Requests of read-ahead and asynchronous I/O that the kernel sends at once. The default of 12
/// leaves a link with latency idle; 64 requests of up to 1 MiB are 64 MiB in flight at most.
const MAX_BACKGROUND: u16 = 64;

/// Times of the server have milliseconds, but file systems that copy from here compare what we
/// said, so nothing is rounded.
const TIME_GRANULARITY: Duration = Duration::from_nanos(1);

/// A kernel at the beginning of a connection, as far as passthrough is concerned.
trait Kernel {
    /// Asks for stacked file systems; whether so many can be.
    fn stack(&mut self, depth: u32) -> bool;

    /// Asks for a capability; whether it is offered.
    fn ask(&mut self, flag: InitFlags) -> bool;
}

impl Kernel for KernelConfig {
    fn stack(&mut self, depth: u32) -> bool {
        self.set_max_stack_depth(depth).is_ok()
    }

    fn ask(&mut self, flag: InitFlags) -> bool {
        self.add_capabilities(flag).is_ok()
    }
}

/// Asks for everything; whether passthrough was granted.
///
/// `passthrough` holds how many file systems the kernel may stack for it, if it is wanted.
pub(crate) fn negotiate(config: &mut KernelConfig, passthrough: Option<u32>) -> bool {
    for (flag, purpose) in CAPABILITIES {
        if config.add_capabilities(flag).is_err() {
            debug!(?flag, purpose, "not offered by this kernel");
        }
    }
    if let Err(nearest) = config.set_max_background(MAX_BACKGROUND) {
        debug!(nearest, "max_background refused");
    }
    if let Err(nearest) = config.set_time_granularity(TIME_GRANULARITY) {
        debug!(?nearest, "time granularity refused");
    }
    // The kernel's own offer is the most it grants; asking for more changes nothing.
    let offer = match config.set_max_readahead(u32::MAX) {
        Ok(_) => u32::MAX,
        Err(offer) => offer,
    };
    if config.set_max_readahead(offer).is_err() {
        debug!(offer, "read-ahead refused");
    }
    passthrough.is_some_and(|depth| ask_for_passthrough(config, depth))
}

/// Whether this kernel reads backing files by itself, `depth` file systems deep.
fn ask_for_passthrough(kernel: &mut impl Kernel, depth: u32) -> bool {
    let granted = kernel.stack(depth) && kernel.ask(InitFlags::FUSE_PASSTHROUGH);
    if !granted {
        debug!("passthrough is not offered by this kernel (Linux 6.9 or newer has it)");
    }
    granted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel that offers these capabilities and stacks so deep.
    struct Offer {
        flags: InitFlags,
        deepest: u32,
    }

    impl Kernel for Offer {
        fn stack(&mut self, depth: u32) -> bool {
            depth <= self.deepest
        }

        fn ask(&mut self, flag: InitFlags) -> bool {
            self.flags.contains(flag)
        }
    }

    #[test]
    fn a_kernel_before_6_9_or_one_that_stacks_less_grants_no_passthrough() {
        let granted =
            |flags, deepest, depth| ask_for_passthrough(&mut Offer { flags, deepest }, depth);
        let old = InitFlags::all() - InitFlags::FUSE_PASSTHROUGH;
        assert!(!granted(old, 2, 1));
        assert!(granted(InitFlags::all(), 2, 1));
        assert!(granted(InitFlags::all(), 2, 2), "a cache on overlayfs");
        assert!(!granted(InitFlags::all(), 1, 2));
    }
}
