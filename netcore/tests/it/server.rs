//! A server that speaks Mars' format, as well or as badly as a test wants.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::BytesMut;
use sojourner_netcore::codec::{Codec, MarsCodec};
use sojourner_stats::{Event, Kind, Sink};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// How a server treats its clients.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Manner {
    /// Answers everything with itself.
    Echo,
    /// As `Echo`, after a push for each packet that is no noop.
    PushFirst,
    /// Closes each connection after this many packets, answering none.
    Hang(usize),
    /// Accepts and reads, and never says a word.
    Silent,
    /// Answers with what is no packet.
    Garbage,
}

/// Ends with its value, and all its connections with it.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) noops: Arc<AtomicUsize>,
    pub(crate) accepted: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(manner: Manner) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), manner)
    }

    /// On an address that nothing else uses, so that its port stays free when it has ended.
    pub(crate) async fn start_alone(manner: Manner) -> Self {
        Self::on(TcpListener::bind("127.0.0.77:0").await.unwrap(), manner)
    }

    /// On an address where one has just ended.
    pub(crate) fn start_on(addr: SocketAddr, manner: Manner) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(addr).unwrap();
        Self::on(socket.listen(128).unwrap(), manner)
    }

    fn on(listener: TcpListener, manner: Manner) -> Self {
        let addr = listener.local_addr().unwrap();
        let (noops, accepted) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counters = (Arc::clone(&noops), Arc::clone(&accepted));
        let task = tokio::spawn(async move {
            let mut clients = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counters.1.fetch_add(1, Ordering::SeqCst);
                clients.spawn(serve(stream, manner, Arc::clone(&counters.0)));
            }
        });
        Self { addr, noops, accepted, task }
    }

    /// Ends it, and waits until its sockets are closed.
    pub(crate) async fn kill(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, manner: Manner, noops: Arc<AtomicUsize>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut codec = MarsCodec::default();
    let (mut inbound, mut outbound) = (BytesMut::new(), BytesMut::new());
    let mut packets = 0;
    while stream.read_buf(&mut inbound).await? > 0 {
        while let Some(packet) = codec.decode(&mut inbound).expect("clients send packets") {
            packets += 1;
            let noop = packet.cmd == codec.noop().0;
            noops.fetch_add(usize::from(noop), Ordering::SeqCst);
            match manner {
                Manner::Hang(after) if packets >= after => return Ok(()),
                Manner::Silent | Manner::Hang(_) => continue,
                Manner::Garbage if !noop => outbound.extend_from_slice(&[0; 64]),
                Manner::PushFirst if !noop => codec.encode(99, 0, &packet.body, &mut outbound),
                Manner::Garbage | Manner::PushFirst | Manner::Echo => {}
            }
            codec.encode(packet.cmd, packet.seq, &packet.body, &mut outbound);
        }
        stream.write_all_buf(&mut outbound).await?;
    }
    Ok(())
}

/// Keeps every event.
#[derive(Clone, Debug, Default)]
pub(crate) struct Events(watch::Sender<Vec<Event>>);

impl Sink for Events {
    fn emit(&self, event: Event) {
        self.0.send_modify(|events| events.push(event));
    }
}

impl Events {
    pub(crate) fn pick<T>(&self, pick: impl Fn(&Kind) -> Option<T>) -> Vec<T> {
        self.0.borrow().iter().filter_map(|event| pick(&event.kind)).collect()
    }

    /// Waits until they are enough.
    pub(crate) async fn until(&self, enough: impl Fn(&Self) -> bool) {
        let mut changes = self.0.subscribe();
        while !enough(self) {
            changes.changed().await.unwrap();
        }
    }
}
