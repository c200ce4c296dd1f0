//! Work beside requests, which take the processor first.

/// Runs `work` on a thread of its own that the processor serves when nobody else wants it, and waits for it. What `work` does in
/// parallel is done by that thread alone, and not by those that requests share.
pub fn quietly<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).start_handler(|_| stand_back());
    match pool.build() {
        Ok(pool) => pool.install(work),
        // Without room for another thread the work is done all the same.
        Err(_) => work(),
    }
}

/// Gives the calling thread the lowest priority, where a thread can have one.
pub fn stand_back() {
    #[cfg(target_os = "linux")]
    {
        // Without the right to it the work is done all the same.
        let thread = rustix::thread::gettid();
        let _ = rustix::process::setpriority_process(Some(thread), 19);
    }
}
