//! Work beside requests, which take the processor first.

/// Runs `work` on a thread of its own that the processor serves when nobody else wants it, and waits for it.
pub fn quietly<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let working = scope.spawn(|| {
            stand_back();
            work()
        });
        // A panic goes on where it was waited for.
        working.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
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
