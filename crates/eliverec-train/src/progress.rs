//! What a person sees while training: a bar on a terminal, plain lines elsewhere, nothing where a library is used quietly.

use std::borrow::Cow;
use std::io::Write;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Where progress goes.
#[derive(Default)]
pub enum Progress {
    /// A bar on standard error.
    Bar(ProgressBar),
    /// A line every `training.log_every_steps` updates.
    Lines(Box<dyn Write + Send>),
    /// Nowhere.
    #[default]
    Silent,
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Bar(_) => "Bar",
            Self::Lines(_) => "Lines",
            Self::Silent => "Silent",
        })
    }
}

impl Progress {
    /// A bar on standard error.
    pub fn bar() -> Self {
        Self::Bar(ProgressBar::new(BAR_LENGTH as u64))
    }
}

/// What one update tells.
#[derive(Debug)]
pub struct Update<'a> {
    /// Updates made.
    pub step: u64,
    /// From 0.
    pub epoch: u64,
    /// All epochs.
    pub epochs: u64,
    /// Impressions in the batch.
    pub impressions: usize,
    /// Share of the work done, in 0..=1.
    pub done: f64,
    /// Weighted sum of the terms.
    pub loss: f32,
    /// The terms by name.
    pub terms: &'a [(Cow<'static, str>, f32)],
}

/// Counts impressions against the clock and tells it onwards.
#[derive(Debug)]
pub struct Reporter {
    progress: Progress,
    every: u64,
    begun: Option<(Instant, f64)>,
    since_line: (Instant, usize),
}

/// Updates between two texts of the bar.
const BAR_EVERY: u64 = 5;
/// Positions of the bar: fine enough for a wide terminal.
const BAR_LENGTH: f64 = 10_000.0;

impl Reporter {
    /// Reports to `progress`, lines every `every` updates.
    pub fn new(progress: Progress, every: u64) -> Self {
        let every = if matches!(progress, Progress::Bar(_)) { BAR_EVERY } else { every };
        if let Progress::Bar(bar) = &progress {
            // wide_msg is cut to the terminal, so that the bar never wraps.
            let style =
                ProgressStyle::with_template("{bar:20} {percent:>3}% {eta} left, {wide_msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        }
        Self { progress, every, begun: None, since_line: (Instant::now(), 0) }
    }

    /// Tells about an update.
    pub fn update(&mut self, update: &Update<'_>) {
        let now = Instant::now();
        let first = self.begun.is_none();
        let (begun, done_before) = *self.begun.get_or_insert((now, update.done));
        self.since_line.1 += update.impressions;
        if let Progress::Bar(bar) = &self.progress {
            bar.set_position((update.done * BAR_LENGTH) as u64);
            if first {
                // A resumed run starts in the middle; what was done before tells nothing about the speed now.
                bar.reset_eta();
            }
        }
        if !update.step.is_multiple_of(self.every) && !first {
            return;
        }
        let (since, impressions) = std::mem::replace(&mut self.since_line, (now, 0));
        let speed = impressions as f64 / (now - since).as_secs_f64().max(1e-9);
        let message = describe(update, speed);
        match &mut self.progress {
            Progress::Bar(bar) => bar.set_message(message),
            Progress::Lines(to) => {
                let gained = update.done - done_before;
                let left = if gained > 0.0 {
                    let seconds = (now - begun).as_secs_f64() / gained * (1.0 - update.done);
                    format!(", {} left", duration(Duration::from_secs_f64(seconds.max(0.0))))
                } else {
                    String::new()
                };
                // Progress is a courtesy: a closed pipe must not stop training.
                let _ = writeln!(to, "{message}{left}").and_then(|()| to.flush());
            }
            Progress::Silent => {}
        }
    }

    /// Tells one sentence, such as the outcome of an evaluation.
    pub fn say(&mut self, sentence: &str) {
        match &mut self.progress {
            Progress::Bar(bar) => bar.println(sentence),
            Progress::Lines(to) => {
                let _ = writeln!(to, "{sentence}").and_then(|()| to.flush());
            }
            Progress::Silent => {}
        }
        // Evaluations and checkpoints are not part of the training speed.
        self.since_line = (Instant::now(), 0);
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        if let Progress::Bar(bar) = &self.progress {
            bar.finish_and_clear();
        }
    }
}

fn describe(update: &Update<'_>, speed: f64) -> String {
    let terms: Vec<String> =
        update.terms.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
    format!(
        "step {} epoch {}/{} loss {:.4} ({}) {speed:.0} impressions/s",
        update.step,
        update.epoch + 1,
        update.epochs,
        update.loss,
        terms.join(", "),
    )
}

fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3_600, seconds % 3_600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_come_at_the_first_update_and_every_few() {
        let shared = Shared::default();
        let mut reporter = Reporter::new(Progress::Lines(Box::new(shared.clone())), 2);
        for step in 1..=5 {
            reporter.update(&Update {
                step,
                epoch: 0,
                epochs: 3,
                impressions: 10,
                done: step as f64 / 10.0,
                loss: 0.5,
                terms: &[("watch".into(), 0.5)],
            });
        }
        let text = String::from_utf8(shared.0.lock().unwrap().clone()).unwrap();
        let steps: Vec<&str> = text.lines().map(|l| l.split(' ').nth(1).unwrap()).collect();
        assert_eq!(steps, ["1", "2", "4"]);
        assert!(text.contains("epoch 1/3 loss 0.5000 (watch 0.5000)"), "{text}");
        assert!(text.lines().nth(1).unwrap().ends_with("left"), "{text}");
    }

    #[test]
    fn durations_read_like_a_clock() {
        let text = |seconds| duration(Duration::from_secs(seconds));
        assert_eq!([text(9), text(75), text(3_720)], ["9s", "1m15s", "1h02m"]);
    }
}
