//! Sojourner's client network core: signalling that survives weak networks and explains itself.
//! So far one long link, after `WeChat`'s STN (Tencent Mars).
//!
//! ```text
//!   application ──► LongLink (handle) ──► driver: resolve, race, read, write, clock
//!        ▲              send, pushes,        │ Input ▲
//!        │              status, close        ▼       │ Transmit, LinkEvent
//!        │                           long_link: the machine
//!        │                             │      │       │       │
//!        │                           task  codec  heartbeat  cadence
//!        │                        what is  bytes  is the     when to
//!        │                        asked           peer there try again
//!        └──────────── Reply, TaskError
//!                      events (LinkState, ConnectProfile, TaskProfile, Heartbeat) ──► stats
//! ```
//!
//! Everything but `driver` is pure: time comes in as an argument and randomness from a seed, so
//! that years of bad network are simulated in seconds.
//!
//! # Examples
//!
//! A server that echoes what it is sent, and a link to it:
//!
//! ```
//! use bytes::BytesMut;
//! use sojourner_netcore::codec::{Codec, MarsCodec};
//! use sojourner_netcore::{LinkConfig, LongLink, Task};
//! use sojourner_stats::sink::Discard;
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! let server = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let target = server.local_addr()?.to_string();
//! tokio::spawn(async move {
//!     let (mut stream, _) = server.accept().await?;
//!     let (mut codec, mut inbound, mut outbound) =
//!         (MarsCodec::default(), BytesMut::new(), BytesMut::new());
//!     while stream.read_buf(&mut inbound).await? > 0 {
//!         while let Ok(Some(packet)) = codec.decode(&mut inbound) {
//!             codec.encode(packet.cmd, packet.seq, &packet.body, &mut outbound);
//!         }
//!         stream.write_all_buf(&mut outbound).await?;
//!     }
//!     Ok::<(), std::io::Error>(())
//! });
//!
//! let link = LongLink::connect(LinkConfig::new(&target)?, Discard);
//! let reply = link.send(Task::new(12, "hello")).await?;
//! assert_eq!(&reply.body[..], b"hello");
//! link.close().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! # Ok::<(), std::io::Error>(())
//! ```

#![forbid(unsafe_code)]

pub mod cadence;
pub mod codec;
mod config;
mod driver;
mod heartbeat;
pub mod long_link;
mod task;

pub use cadence::Backoff;
pub use config::{ConfigError, LinkConfig};
pub use driver::{LongLink, Pushes};
pub use task::{Push, RETRIES_MAX, Reply, Stage, TIMEOUT_MAX, Task, TaskError};
