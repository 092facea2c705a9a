//! TCP ports of the loopback interface that nobody listens on.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

/// Below Linux's ephemeral ports, so that no outgoing connection takes a port between our look and its use.
const PORTS: Range<u16> = 20_000..32_000;

/// A port that was free a moment ago, drawn at random because tests run in many processes.
///
/// # Panics
/// When a thousand draws find none.
#[must_use]
pub fn free_port() -> u16 {
    let random = RandomState::new();
    let span = u64::from(PORTS.end - PORTS.start);
    (0..1000_u32)
        .map(|draw| PORTS.start + u16::try_from(random.hash_one(draw) % span).expect("the span fits"))
        .find(|port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok())
        .expect("a free port")
}
