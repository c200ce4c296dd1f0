//! What must go on while something takes long.

use std::time::Duration;

/// Does `work` on a thread of its own and calls `each` every so often until it is done.
pub(crate) fn meanwhile<T: Send>(
    every: Duration,
    work: impl FnOnce() -> T + Send,
    mut each: impl FnMut(),
) -> T {
    std::thread::scope(|scope| {
        let (is_done, done) = std::sync::mpsc::channel::<()>();
        let working = scope.spawn(move || {
            // Dropped when the work is done, or panics.
            let _is_done = is_done;
            work()
        });
        while done.recv_timeout(every) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            each();
        }
        working.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn it_goes_on_until_the_work_is_done() {
        let (tell, told) = channel();
        let mut times = 0;
        let work = move || told.iter().take(3).sum::<i32>();
        let sum = meanwhile(Duration::from_millis(1), work, || {
            times += 1;
            // Nobody hears what comes after the third.
            let _ = tell.send(times);
        });
        assert_eq!(sum, 6);
        assert!(times >= 3);
    }
}
