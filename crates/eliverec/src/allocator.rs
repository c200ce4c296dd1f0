//! The allocator, which keeps freed memory for the next batch.
//!
//! glibc gives large tensors back to the kernel at every drop, which costs a quarter of a training step. mimalloc does so
//! after a moment, and then every batch's buffers come back as pages that the kernel has to clear: 6 to 13 % of the
//! processor time of `bench train`.

use libmimalloc_sys::{mi_option_set_default, mi_option_t};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc.h, the same in versions 2 and 3; its Rust bindings do not name it.
const PURGE_DELAY: mi_option_t = 15;

/// Milliseconds until freed memory goes back: longer than a batch of any size takes.
const KEPT_MS: std::ffi::c_long = 60_000;

/// Keeps freed memory for a minute, unless the environment's `MIMALLOC_PURGE_DELAY` says otherwise.
pub(crate) fn keep_freed_memory() {
    #[expect(unsafe_code, reason = "an option of a C library; it takes any number")]
    unsafe {
        mi_option_set_default(PURGE_DELAY, KEPT_MS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_is_what_mimalloc_waits() {
        keep_freed_memory();
        #[expect(unsafe_code, reason = "reads an option of a C library")]
        let delay = unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        assert_eq!(delay, KEPT_MS);
    }
}
