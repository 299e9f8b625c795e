//! Requests a second and CPU a request of a long link, beside a bare framed TCP loop against the
//! same server in the same run: `cargo bench -p sojourner-netcore --bench echo`.
//!
//! Bodies of 64 bytes over loopback, the server on a thread of its own; the CPU is that of the
//! client's thread. The long link records every event (into a sink that counts them).

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench fails and prints")]

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use sojourner_netcore::codec::{Codec, MarsCodec};
use sojourner_netcore::{LinkConfig, LongLink, Task};
use sojourner_stats::time::{Clock, SystemClock};
use sojourner_stats::{Event, Sink};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

fn main() {
    let server = start_server();
    println!("depth       bare/s   CPU us       link/s   CPU us   link/bare time   events a task");
    for (depth, requests) in [(1, 20_000), (16, 80_000), (256, 160_000)] {
        let (mut bare, mut link) = (Vec::new(), Vec::new());
        let mut events = 0;
        for _ in 0..ROUNDS {
            bare.push(measure(requests, bare_loop(server, depth, requests)));
            let counter = Arc::new(Count::default());
            link.push(measure(requests, long_link(server, depth, requests, Arc::clone(&counter))));
            events = counter.0.load(Ordering::Relaxed);
        }
        let (bare, link) = (median(bare), median(link));
        println!(
            "{depth:>5} {:>12.0} {:>8.2} {:>12.0} {:>8.2} {:>16.2} {:>15.3}",
            1e6 / bare.wall_us,
            bare.cpu_us,
            1e6 / link.wall_us,
            link.cpu_us,
            link.wall_us / bare.wall_us,
            ratio(events, requests),
        );
    }
}

/// A mean over one run, in microseconds a request.
#[derive(Clone, Copy, Debug)]
struct Cost {
    wall_us: f64,
    cpu_us: f64,
}

fn measure(requests: u64, work: impl Future<Output = u64>) -> Cost {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (cpu, start) = (thread_cpu(), SystemClock.instant());
    let replies = runtime.block_on(work);
    let wall = SystemClock.instant().since(start);
    assert_eq!(replies, requests, "fast and wrong");
    let each = |duration: Duration| duration.as_secs_f64() * 1e6 * ratio(1, requests);
    Cost { wall_us: each(wall), cpu_us: each(thread_cpu().saturating_sub(cpu)) }
}

fn median(mut costs: Vec<Cost>) -> Cost {
    costs.sort_by(|a, b| a.wall_us.total_cmp(&b.wall_us));
    costs[costs.len() / 2]
}

/// `depth` packets always on the way, in one loop over one socket.
async fn bare_loop(server: SocketAddr, depth: u64, requests: u64) -> u64 {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut codec = MarsCodec::default();
    let (mut inbound, mut outbound) = (BytesMut::with_capacity(65_536), BytesMut::new());
    let (mut sent, mut received) = (0, 0);
    while received < requests {
        while sent < requests && sent - received < depth {
            sent += 1;
            codec.encode(12, u32::try_from(sent).unwrap(), &BODY, &mut outbound);
        }
        stream.write_all_buf(&mut outbound).await.unwrap();
        inbound.reserve(4_096);
        assert!(stream.read_buf(&mut inbound).await.unwrap() > 0);
        while let Some(packet) = codec.decode(&mut inbound).unwrap() {
            received += u64::from(packet.body[..] == BODY);
        }
    }
    received
}

/// `depth` callers, each waiting for its reply before it sends again.
async fn long_link(server: SocketAddr, depth: u64, requests: u64, count: Arc<Count>) -> u64 {
    let link = LongLink::connect(LinkConfig::new(&server.to_string()).unwrap(), count);
    let mut callers = JoinSet::new();
    for _ in 0..depth {
        let link = link.clone();
        callers.spawn(async move {
            let mut replies = 0;
            for _ in 0..requests / depth {
                let reply = link.send(Task::new(12, Bytes::from_static(&BODY))).await.unwrap();
                replies += u64::from(reply.body[..] == BODY);
            }
            replies
        });
    }
    let replies = callers.join_all().await.into_iter().sum();
    link.close().await;
    replies
}

#[derive(Debug, Default)]
struct Count(AtomicU64);

impl Sink for Count {
    fn emit(&self, event: Event) {
        self.0.fetch_add(1, Ordering::Relaxed);
        std::hint::black_box(event);
    }
}

fn start_server() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(echo(stream));
            }
        });
    });
    addr
}

async fn echo(mut stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let mut bytes = BytesMut::with_capacity(65_536);
    // The format is such that an echo of the bytes is an echo of the packets.
    while stream.read_buf(&mut bytes).await.is_ok_and(|count| count > 0) {
        if stream.write_all_buf(&mut bytes).await.is_err() {
            return;
        }
        bytes.reserve(65_536);
    }
}

/// What this thread has used of the processor (`man 5 proc`, `schedstat`; zero elsewhere).
fn thread_cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn ratio(a: u64, b: u64) -> f64 {
    a as f64 / b as f64
}

const BODY: [u8; 64] = [7; 64];
const ROUNDS: usize = 3;
