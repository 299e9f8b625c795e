//! An echo server in Mars' long-link format: `cargo run -p sojourner-netcore --example echo_server
//! -- 127.0.0.1:8181`. It answers every packet, heartbeats included, with itself.

use std::error::Error;
use std::io;

use bytes::BytesMut;
use sojourner_netcore::codec::{Codec, MarsCodec};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8181".to_owned());
    let server = TcpListener::bind(&addr).await?;
    say(format_args!("listening on {}", server.local_addr()?));
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            accepted = server.accept(), if clients.len() < CLIENTS_MAX => {
                let (stream, peer) = accepted?;
                clients.spawn(async move {
                    if let Err(error) = echo(stream).await {
                        say(format_args!("{peer}: {error}"));
                    }
                });
            }
            Some(_) = clients.join_next(), if !clients.is_empty() => {}
            ended = tokio::signal::ctrl_c() => return Ok(ended?),
        }
    }
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut codec = MarsCodec::default();
    let (mut inbound, mut outbound) = (BytesMut::new(), BytesMut::new());
    while stream.read_buf(&mut inbound).await? > 0 {
        while let Some(packet) = codec.decode(&mut inbound).map_err(io::Error::other)? {
            codec.encode(packet.cmd, packet.seq, &packet.body, &mut outbound);
        }
        stream.write_all_buf(&mut outbound).await?;
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]
fn say(line: std::fmt::Arguments<'_>) {
    println!("{line}");
}

/// More clients wait in the kernel's queue.
const CLIENTS_MAX: usize = 1_024;
