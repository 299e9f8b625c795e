//! `sojourner-exporter`: flags, signals and exit codes.

#![forbid(unsafe_code)]

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use sojourner_exporter::app::{App, Settings};
use sojourner_exporter::config::Config;
use sojourner_exporter::server;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::LevelFilter;

/// Pings targets all the time and probes others on request, for Prometheus.
///
/// Modules, metric names and URLs are those of `blackbox_exporter`; the continuous pings are those
/// of `smokeping_prober`. Without a file the modules are `icmp`, `tcp_connect`, `dns_udp` and
/// `dns_tcp`.
#[derive(Debug, Parser)]
#[command(
    name = "sojourner-exporter",
    version,
    after_help = "Try:\n  sojourner-exporter --web.listen-address 127.0.0.1:9115 &\n  \
        curl '127.0.0.1:9115/probe?module=icmp&target=127.0.0.1&debug=true'\n\n\
        Exit codes: 0 ended by a signal, 2 cannot start (says why)."
)]
struct Flags {
    /// The configuration, YAML: `modules:` and `targets:`
    #[arg(long = "config.file", alias = "config-file", value_name = "FILE")]
    config_file: Option<PathBuf>,
    /// Check the configuration and exit
    #[arg(long = "config.check", alias = "config-check")]
    config_check: bool,
    /// Where to listen: HOST:PORT, or :PORT for every address; port 0 takes a free one
    #[arg(
        long = "web.listen-address",
        alias = "web-listen-address",
        value_name = "ADDRESS",
        default_value = ":9115"
    )]
    listen: String,
    /// How many seconds before the scraper's timeout a probe must end
    #[arg(long = "timeout-offset", value_name = "SECONDS", default_value = "0.5")]
    timeout_offset: f64,
    /// Most probes at once; one more is answered 503
    #[arg(
        long = "probe.concurrency",
        alias = "probe-concurrency",
        value_name = "COUNT",
        default_value_t = Settings::default().probes_max,
        value_parser = probes_max
    )]
    probes_max: usize,
    /// What to log: error, warn, info, debug or trace
    #[arg(long = "log.level", alias = "log-level", value_name = "LEVEL", default_value = "info")]
    log_level: LevelFilter,
}

fn probes_max(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=PROBES_MAX) => Ok(count),
        _ => Err(format!("must be from 1 to {PROBES_MAX}")),
    }
}

/// Most probes that may be allowed at once: each holds a socket and perhaps a resolver's thread.
const PROBES_MAX: usize = 100_000;

fn main() -> ExitCode {
    let flags = Flags::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_target(false)
        .with_max_level(flags.log_level)
        .init();
    match run(flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A closed stderr leaves nobody to tell.
            let _ = writeln!(std::io::stderr(), "sojourner-exporter: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(flags: Flags) -> anyhow::Result<()> {
    let config = match &flags.config_file {
        Some(path) => Config::load(path)?,
        None => Config::builtin(),
    };
    if flags.config_check {
        // A closed pipe does not make the configuration wrong.
        let _ = writeln!(
            std::io::stdout(),
            "the configuration is valid: {} modules, {} hosts",
            config.modules.len(),
            config.hosts()
        );
        return Ok(());
    }
    let timeout_offset = Duration::try_from_secs_f64(flags.timeout_offset)
        .context("--timeout-offset must be a number of seconds from 0")?;
    let settings =
        Settings { config_file: flags.config_file, probes_max: flags.probes_max, timeout_offset };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(serve(settings, config, &flags.listen))
}

async fn serve(settings: Settings, config: Config, address: &str) -> anyhow::Result<()> {
    let listener = server::bind(address).await?;
    let bound = listener.local_addr().context("cannot read the address that was bound")?;
    let app = App::start(settings, config)?;
    let stop = CancellationToken::new();
    // Signals first: once the address is told, any of them may come.
    let mut signals = Signals::new()?;
    tracing::info!("listening on http://{bound}");
    let serving = server::serve(listener, Arc::clone(&app), stop.clone());
    let pinging = app.ping(stop.clone());
    let watching = signals.watch(&app, &stop);
    tokio::join!(serving, pinging, watching);
    tracing::info!("ended");
    Ok(())
}

struct Signals {
    hangup: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            hangup: listen(SignalKind::hangup())?,
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// Reloads at SIGHUP; ends, and ends everything, at SIGINT or SIGTERM.
    async fn watch(&mut self, app: &Arc<App>, stop: &CancellationToken) {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => break,
                _ = self.terminate.recv() => break,
                _ = self.hangup.recv() => {
                    let app = Arc::clone(app);
                    let reloaded = tokio::task::spawn_blocking(move || app.reload()).await;
                    if let Ok(Err(error)) = reloaded {
                        let error = anyhow::Error::from(error);
                        tracing::error!("{error:#}: not reloaded, the old configuration stays in force");
                    }
                }
            }
        }
        tracing::info!("stopping: requests in hand may finish");
        stop.cancel();
    }
}
