//! The platform that is planned for.

use serde::Serialize;

use crate::error::Error;

/// Sizes, rates and deadlines. All numbers are positive.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Asked {
    /// Channels shown to users in a day.
    pub impressions_per_day: f64,
    /// Days of impressions that become feeds and are trained on at a time.
    pub days: f64,
    /// Users with a row and a state.
    pub users: f64,
    /// Channels with a row.
    pub channels: f64,
    /// Products with a row.
    pub products: f64,
    /// Requests at the busiest moment.
    pub requests_per_second: f64,
    /// Channels shown for a request; 7.71 in the paper (Table I).
    pub impressions_per_request: f64,
    /// Impressions of one update on all ranks together; 2048 in the paper (Sec. V-D).
    pub batch: f64,
    /// Passes of training over the impressions.
    pub epochs: f64,
    /// Within which samples have to be made.
    pub sample_hours: f64,
    /// Within which training has to be done.
    pub train_hours: f64,
    /// Share of what a core, a writer or a server can do that is planned to be used.
    pub utilisation: f64,
    /// Cores of a serving process.
    pub cores_per_process: f64,
    /// Memory of a rank of training that rows may take, GiB; 10 in the paper (Sec. V-D).
    pub rank_memory_gib: f64,
    /// Memory of a Redis server that the folds of users may take, GiB.
    pub redis_memory_gib: f64,
    /// Bytes of a number in the rows of a bundle: 4, 2 or 1.
    pub bytes_per_number: f64,
}

impl Asked {
    /// Checks that all numbers can be what they stand for.
    ///
    /// # Errors
    /// [`Error::Asked`] names the first that cannot.
    pub fn check(&self) -> Result<(), Error> {
        let all = [
            ("impressions-per-day", self.impressions_per_day),
            ("days", self.days),
            ("users", self.users),
            ("channels", self.channels),
            ("products", self.products),
            ("requests-per-second", self.requests_per_second),
            ("impressions-per-request", self.impressions_per_request),
            ("batch", self.batch),
            ("epochs", self.epochs),
            ("sample-hours", self.sample_hours),
            ("train-hours", self.train_hours),
            ("utilisation", self.utilisation),
            ("cores-per-process", self.cores_per_process),
            ("rank-memory", self.rank_memory_gib),
            ("redis-memory", self.redis_memory_gib),
            ("bytes-per-number", self.bytes_per_number),
        ];
        for (option, value) in all {
            if !(value.is_finite() && value > 0.0) {
                return Err(Error::Asked { option, value, instead: "write a number above 0" });
            }
        }
        if self.utilisation > 1.0 {
            let instead = "it is a share: write 1 or less";
            return Err(Error::Asked { option: "utilisation", value: self.utilisation, instead });
        }
        if ![1.0, 2.0, 4.0].contains(&self.bytes_per_number) {
            let (value, instead) = (self.bytes_per_number, "write 4, 2 or 1");
            return Err(Error::Asked { option: "bytes-per-number", value, instead });
        }
        Ok(())
    }

    /// Impressions that become feeds and are trained on at a time.
    pub fn impressions(&self) -> f64 {
        self.impressions_per_day * self.days
    }

    /// Rows of all tables.
    pub fn rows(&self) -> f64 {
        self.users + self.channels + self.products
    }
}
