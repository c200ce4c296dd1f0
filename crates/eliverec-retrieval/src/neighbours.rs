//! Which channels the same users watch: for every channel the most similar others, counted from watch histories.
//!
//! Of the users who watched a (`n_a`), b (`n_b`) and both (`n_ab`), the similarity is the cosine of the channels' columns in the
//! matrix of users and channels, shrunk where it stands on few users:
//!
//! ```text
//! n_ab / sqrt(n_a n_b) * n_ab / (n_ab + shrinkage)
//! ```

use std::collections::HashMap;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use eliverec_core::id::{IdHash, mix};
use serde::Serialize;

use crate::error::Error;
use crate::file::{self, Content, Format, Sink};
use crate::pairs::PairCounter;

const FORMAT: Format = Format { magic: b"elivnbrs", version: 1, name: "neighbours" };

/// How neighbours are counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NeighbourSettings {
    /// The most neighbours that a channel keeps.
    pub per_channel: usize,
    /// As many common users halve the similarity that so many would have without it.
    pub shrinkage: f64,
    /// Of a user who watched more channels than these, so many count, the same ones whatever the order: pairs grow with the square,
    /// and who watches everything says little.
    pub per_user: usize,
    /// Memory of the counting, bytes; what does not fit goes to temporary files.
    pub memory_bytes: usize,
}

impl Default for NeighbourSettings {
    fn default() -> Self {
        Self { per_channel: 100, shrinkage: 5.0, per_user: 200, memory_bytes: 256 << 20 }
    }
}

/// What neighbours were counted from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// Users with a watch.
    pub users: u64,
    /// Of them, those who watched more channels than count.
    pub capped_users: u64,
    /// Channels watched.
    pub channels: u64,
    /// Pairs of channels with a common user.
    pub pairs: u64,
    /// Sorted runs that went to disk.
    pub runs_on_disk: u64,
}

/// Counts watches, given in any order.
#[derive(Debug)]
pub struct NeighbourCounter {
    settings: NeighbourSettings,
    directory: PathBuf,
    /// (user, channel)
    watched: PairCounter,
}

impl NeighbourCounter {
    /// Nothing was watched yet; temporary files lie in `directory`.
    pub fn new(settings: NeighbourSettings, directory: &Path) -> Self {
        // One half for the users' channels, one for the channels' pairs.
        let watched = PairCounter::new(settings.memory_bytes / 2, directory);
        Self { settings, directory: directory.into(), watched }
    }

    /// A user watched a channel; a second time changes nothing.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn watch(&mut self, user_id: u64, channel_id: u64) -> Result<(), Error> {
        self.watched.push((user_id, channel_id))
    }

    /// The neighbours of every channel watched.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn finish(self) -> Result<(Neighbours, Counted), Error> {
        let Self { settings, directory, watched } = self;
        let mut counted = Counted { runs_on_disk: watched.written(), ..Counted::default() };
        let mut pairs = PairCounter::new(settings.memory_bytes / 2, &directory);
        let mut users_of: HashMap<u64, u32, IdHash> = HashMap::default();
        let mut of_user: (u64, Vec<u64>) = (0, Vec::new());
        let mut add = |user: u64, channels: &mut Vec<u64>| -> Result<(), Error> {
            counted.users += u64::from(!channels.is_empty());
            if channels.len() > settings.per_user {
                counted.capped_users += 1;
                channels.sort_unstable_by_key(|channel| mix(mix(*channel) ^ user));
                channels.truncate(settings.per_user);
            }
            for (i, channel) in channels.iter().enumerate() {
                *users_of.entry(*channel).or_default() += 1;
                for other in &channels[..i] {
                    pairs.push((*channel, *other))?;
                    pairs.push((*other, *channel))?;
                }
            }
            channels.clear();
            Ok(())
        };
        for watched in watched.finish()? {
            let ((user, channel), _) = watched?;
            if of_user.0 != user {
                add(of_user.0, &mut of_user.1)?;
                of_user.0 = user;
            }
            of_user.1.push(channel);
        }
        add(of_user.0, &mut of_user.1)?;
        counted.runs_on_disk += pairs.written();

        let mut channels: Vec<u64> = users_of.keys().copied().collect();
        channels.sort_unstable();
        counted.channels = channels.len() as u64;
        let mut found = Collected::new(channels, &users_of, settings);
        for pair in pairs.finish()? {
            let ((channel, other), users) = pair?;
            found.add(channel, other, users);
            counted.pairs += u64::from(channel < other);
        }
        Ok((found.finish(), counted))
    }
}

/// The neighbours of the channels in ascending order, as far as they are known.
struct Collected<'a> {
    users_of: &'a HashMap<u64, u32, IdHash>,
    settings: NeighbourSettings,
    neighbours: Neighbours,
    /// Of the channel that comes next.
    waiting: Vec<(f32, u32)>,
}

impl<'a> Collected<'a> {
    fn new(
        channels: Vec<u64>,
        users_of: &'a HashMap<u64, u32, IdHash>,
        settings: NeighbourSettings,
    ) -> Self {
        let neighbours = Neighbours { channels, ..Neighbours::default() };
        Self { users_of, settings, neighbours, waiting: Vec::new() }
    }

    fn add(&mut self, channel: u64, other: u64, common: u32) {
        while self.neighbours.channels[self.neighbours.ends.len()] != channel {
            self.close();
        }
        let users = |channel: u64| f64::from(self.users_of[&channel]);
        let common = f64::from(common);
        let cosine = common / (users(channel) * users(other)).sqrt();
        let similarity = cosine * common / (common + self.settings.shrinkage);
        let index = self.neighbours.index(other).expect("every watched channel is listed");
        self.waiting.push((similarity as f32, index));
    }

    fn close(&mut self) {
        self.waiting.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        self.waiting.truncate(self.settings.per_channel);
        self.neighbours.similarities.extend(self.waiting.iter().map(|(similarity, _)| similarity));
        self.neighbours.others.extend(self.waiting.iter().map(|(_, other)| other));
        self.neighbours.ends.push(self.neighbours.others.len() as u64);
        self.waiting.clear();
    }

    fn finish(mut self) -> Neighbours {
        while self.neighbours.ends.len() < self.neighbours.channels.len() {
            self.close();
        }
        self.neighbours
    }
}

/// The most similar channels of each channel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Neighbours {
    /// Ascending.
    channels: Vec<u64>,
    /// Where the neighbours of each channel end.
    ends: Vec<u64>,
    /// Indices of channels, the most similar first.
    others: Vec<u32>,
    /// In (0, 1].
    similarities: Vec<f32>,
}

impl Neighbours {
    /// The channels, in ascending order of ids; what [`Neighbours::of`] gives are indices of it.
    pub fn channels(&self) -> &[u64] {
        &self.channels
    }

    /// The most similar channels, as indices of [`Neighbours::channels`], with their similarities; none for an unknown channel.
    pub fn of(&self, channel_id: u64) -> impl Iterator<Item = (u32, f32)> + '_ {
        let range = self.index(channel_id).map_or(0..0, |index| {
            let start = index.checked_sub(1).map_or(0, |before| self.ends[before as usize]);
            start as usize..self.ends[index as usize] as usize
        });
        let others = self.others[range.clone()].iter().copied();
        others.zip(self.similarities[range].iter().copied())
    }

    fn index(&self, channel_id: u64) -> Option<u32> {
        self.channels.binary_search(&channel_id).ok().map(|index| index as u32)
    }

    /// Writes the file, which appears whole or not at all.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        file::write(path, FORMAT, |sink: &mut Sink<BufWriter<_>>| self.content(sink))
    }

    /// The bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        file::write_to(Vec::new(), FORMAT, |sink| self.content(sink))
            .expect("a vector takes everything")
    }

    fn content<W: Write>(&self, sink: &mut Sink<W>) -> std::io::Result<()> {
        sink.u64s(&[self.channels.len() as u64, self.others.len() as u64])?;
        sink.u64s(&self.channels)?;
        sink.u64s(&self.ends)?;
        sink.u32s(&self.others)?;
        sink.f32s(&self.similarities)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Damaged`] for one that is not what [`Neighbours::write`] wrote.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::from_bytes(&path.display().to_string(), &eliverec_core::regular::read(path)?)
    }

    /// Reads the bytes of a file called `name`.
    ///
    /// # Errors
    /// As [`Neighbours::open`].
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, Error> {
        let mut content = Content::check(name, bytes, FORMAT)?;
        let (channels, entries) = (content.u64()?, content.u64()?);
        let read = Self {
            channels: content.u64s(channels)?,
            ends: content.u64s(channels)?,
            others: content.u32s(entries)?,
            similarities: content.f32s(entries)?,
        };
        content.end()?;
        let Self { channels, ends, others, similarities } = &read;
        let last = ends.last().copied().unwrap_or(0);
        let fault = if !channels.is_sorted_by(|a, b| a < b) {
            "its channels are not in order"
        } else if !ends.is_sorted() || last != entries {
            "its lists do not end where they should"
        } else if others.iter().any(|other| *other as usize >= channels.len()) {
            "it names a channel that it does not have"
        } else if similarities.iter().any(|s| !(*s > 0.0 && *s <= 1.0)) {
            "a similarity is not between 0 and 1"
        } else {
            return Ok(read);
        };
        Err(content.damaged(fault))
    }
}
