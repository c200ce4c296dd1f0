//! `eliverec bench network`: the two constants of a network that `eliverec plan` reckons with: what a message costs whatever its
//! size (alpha), and what each of its bytes costs (beta).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::Serialize;

use crate::commands::{print, print_json, tell};

/// Time messages between two processes, or within one over the loopback if no peer is named
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Between two machines, first on the one and then on the other:
  eliverec bench network --listen 0.0.0.0:7070
  eliverec bench network --connect ONE:7070 --json

The listener takes one peer, answers whatever it sends, up to 16 MiB a message, and ends with it.")]
pub(super) struct Arguments {
    /// Answer one peer at this address
    #[arg(long, value_name = "ADDRESS", conflicts_with = "connect")]
    listen: Option<String>,
    /// Measure with the peer at this address
    #[arg(long, value_name = "ADDRESS")]
    connect: Option<String>,
    /// Messages of each size, of which the middle one counts
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    repeats: u32,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The smallest message, and those between whose times lies the cost of a byte.
const SMALL: usize = 8;
const LARGE: [usize; 2] = [1 << 20, 8 << 20];
/// What a listener takes at most.
const MOST: u64 = 16 << 20;

/// What was measured.
#[derive(Debug, Serialize)]
struct Network {
    /// The peer, or `loopback`.
    peer: String,
    /// Seconds of a message whatever its size, one way: half of the middle round trip of the smallest.
    alpha_s: f64,
    /// Seconds of a byte: between the middle times of messages of 1 and 8 MiB.
    beta_s_per_byte: f64,
    repeats: u32,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    if let Some(address) = &arguments.listen {
        let listener = TcpListener::bind(address).with_context(|| address.clone())?;
        tell(&format!("waiting for a peer at {}", listener.local_addr()?));
        answer(&listener)?;
        return Ok(crate::OK);
    }
    let network = if let Some(address) = &arguments.connect {
        let stream = TcpStream::connect(address).with_context(|| address.clone())?;
        measure(stream, address, arguments.repeats)?
    } else {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        // The system takes the connection before the peer does, so neither waits for the other in vain.
        let stream = TcpStream::connect(listener.local_addr()?).context("loopback")?;
        std::thread::scope(|scope| {
            let peer = scope.spawn(|| answer(&listener));
            let measured = measure(stream, "loopback", arguments.repeats);
            let answered = peer.join().map_err(|_| anyhow::anyhow!("the peer has ended"))?;
            measured.and_then(|measured| answered.map(|()| measured))
        })?
    };
    if arguments.json {
        print_json(&network)?;
    } else {
        let Network { peer, alpha_s, beta_s_per_byte, repeats } = &network;
        print(&format!(
            "{peer}, the middle of {repeats} messages of each size: {:.1} us a message, {:.3} ns a byte ({:.2} GB/s)",
            1e6 * alpha_s,
            1e9 * beta_s_per_byte,
            1e-9 / beta_s_per_byte
        ))?;
    }
    Ok(crate::OK)
}

/// Takes one peer and reads its messages, each behind its length, to the end; a byte answers each.
fn answer(listener: &TcpListener) -> anyhow::Result<()> {
    let (mut stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    let mut message = Vec::new();
    loop {
        let mut length = [0; 8];
        match stream.read_exact(&mut length) {
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
            read => read?,
        }
        let length = u64::from_le_bytes(length);
        ensure!(length <= MOST, "the peer announces {length} bytes: it is no `bench network`");
        message.resize(length as usize, 0);
        stream.read_exact(&mut message)?;
        stream.write_all(&[1])?;
    }
}

fn measure(mut stream: TcpStream, peer: &str, repeats: u32) -> anyhow::Result<Network> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut time = |bytes: usize| -> anyhow::Result<f64> {
        let message = [&(bytes as u64).to_le_bytes()[..], &vec![0; bytes]].concat();
        // Fewer of the large ones, which differ less.
        let repeats = if bytes == SMALL { repeats } else { repeats.div_ceil(10) };
        let mut seconds = Vec::new();
        for _ in 0..=repeats {
            let begun = Instant::now();
            stream.write_all(&message)?;
            stream.read_exact(&mut [0])?;
            seconds.push(begun.elapsed().as_secs_f64());
        }
        // The first warms buffers up.
        seconds.remove(0);
        seconds.sort_by(f64::total_cmp);
        Ok(seconds[seconds.len() / 2])
    };
    let alpha_s = time(SMALL).context("the peer")? / 2.0;
    let [small, large] = [time(LARGE[0])?, time(LARGE[1])?];
    ensure!(large > small, "8 MiB took no longer than 1 MiB: repeat it with more --repeats");
    let beta_s_per_byte = (large - small) / (LARGE[1] - LARGE[0]) as f64;
    Ok(Network { peer: peer.into(), alpha_s, beta_s_per_byte, repeats })
}
