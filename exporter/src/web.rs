//! What each path answers. It knows requests and the [`App`], no sockets.

mod landing;

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use tokio_util::sync::CancellationToken;

use crate::app::{App, ProbeRefused};
use crate::config::{Config, Module};
use crate::page::Format;
use crate::prober::Outcome;
use crate::query::{Plus, decode, parameter};

type Answer = Response<Full<Bytes>>;

/// Answers one request. `stopping` is set once the exporter shuts down.
pub async fn answer<B>(
    app: &Arc<App>,
    stopping: &CancellationToken,
    request: &Request<B>,
) -> Answer {
    let path = request.uri().path();
    let post = path == "/-/reload";
    let allowed = match *request.method() {
        Method::GET | Method::HEAD => !post,
        Method::POST | Method::PUT => post,
        _ => false,
    };
    let known = ["/", "/metrics", "/probe", "/config", "/-/healthy", "/-/ready", "/-/reload"];
    if !known.contains(&path) {
        return text(StatusCode::NOT_FOUND, format!("no such page; try {}\n", known.join(" ")));
    }
    if !allowed {
        let methods = if post { "POST, PUT" } else { "GET, HEAD" };
        let what = format!("{} is not for {path}; use {methods}\n", request.method());
        let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, what);
        refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
        return refused;
    }
    match path {
        "/metrics" => {
            let format = Format::from_accept(&accept(request.headers()));
            typed(StatusCode::OK, format.content_type(), app.metrics().encode(format))
        }
        "/probe" => probe(app, request).await,
        "/config" => text(StatusCode::OK, app.config().to_yaml()),
        "/-/ready" if stopping.is_cancelled() => {
            text(StatusCode::SERVICE_UNAVAILABLE, "shutting down\n".to_owned())
        }
        "/-/ready" => text(StatusCode::OK, "ready\n".to_owned()),
        "/-/healthy" => text(StatusCode::OK, "healthy\n".to_owned()),
        "/-/reload" => reload(app).await,
        _ => typed(StatusCode::OK, "text/html; charset=utf-8", landing::page(app)),
    }
}

async fn reload(app: &Arc<App>) -> Answer {
    let app = Arc::clone(app);
    match tokio::task::spawn_blocking(move || app.reload()).await {
        Ok(Ok(())) => text(StatusCode::OK, "reloaded\n".to_owned()),
        Ok(Err(error)) => {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            let what =
                format!("not reloaded, the old configuration stays in force: {error}{cause}\n");
            text(StatusCode::INTERNAL_SERVER_ERROR, what)
        }
        Err(_shutting_down) => text(StatusCode::SERVICE_UNAVAILABLE, "shutting down\n".to_owned()),
    }
}

async fn probe<B>(app: &Arc<App>, request: &Request<B>) -> Answer {
    let query = request.uri().query().unwrap_or_default();
    let bad = |what: String| text(StatusCode::BAD_REQUEST, what + "\n");
    let wanted = |name| {
        let value = parameter(query, name);
        value.map(|value| value.filter(|value| !value.is_empty()))
    };
    let (target, module, debug) = match (wanted("target"), wanted("module"), wanted("debug")) {
        (Ok(target), Ok(module), Ok(debug)) => (target, module, debug),
        (Err(name), ..) | (_, Err(name), _) | (.., Err(name)) => {
            return bad(format!("parameter {name} is not percent-encoded UTF-8"));
        }
    };
    let Some(target) = target else {
        return bad("parameter target is missing; use /probe?target=HOST&module=MODULE".to_owned());
    };
    if target.len() > TARGET_BYTES_MAX {
        return bad(format!("parameter target is longer than {TARGET_BYTES_MAX} bytes"));
    }
    let Some(module) = module else {
        let config = app.config();
        let known: Vec<_> = config.modules.keys().map(String::as_str).collect();
        return bad(format!("parameter module is missing; use one of: {}", known.join(", ")));
    };
    // blackbox_exporter decodes the target twice, so that scrape configurations may encode it.
    let target = decode(&target, Plus::IsPlus).unwrap_or(target);
    let allowed = match allowed(request.headers()) {
        Ok(allowed) => allowed,
        Err(what) => return text(StatusCode::INTERNAL_SERVER_ERROR, what),
    };
    match app.probe(&module, &target, allowed).await {
        Ok((outcome, used)) => {
            if debug.as_deref() == Some("true") {
                return text(StatusCode::OK, explained(&module, &used, &outcome));
            }
            let format = Format::from_accept(&accept(request.headers()));
            typed(StatusCode::OK, format.content_type(), outcome.page.encode(format))
        }
        Err(refused @ ProbeRefused::UnknownModule { .. }) => bad(refused.to_string()),
        Err(refused @ ProbeRefused::Busy { .. }) => {
            text(StatusCode::SERVICE_UNAVAILABLE, format!("{refused}\n"))
        }
    }
}

/// The log, the metrics and the module, as `debug=true` shows them.
fn explained(name: &str, module: &Module, outcome: &Outcome) -> String {
    let config =
        Config { modules: [(name.to_owned(), module.clone())].into(), targets: Vec::new() };
    format!(
        "Logs for the probe:\n{}\n\n\n\nMetrics that would have been returned:\n{}\n\n\n\n\
         Module configuration:\n{}",
        outcome.log.join("\n"),
        outcome.page.encode(Format::Text),
        config.to_yaml(),
    )
}

/// How long the scraper says that it waits.
fn allowed(headers: &HeaderMap) -> Result<Option<Duration>, String> {
    let Some(value) = headers.get(TIMEOUT_HEADER) else { return Ok(None) };
    let seconds = value.to_str().ok().and_then(|text| text.trim().parse::<f64>().ok());
    let sane = seconds.filter(|seconds| seconds.is_finite() && (0.0..1e9).contains(seconds));
    let Some(seconds) = sane else {
        return Err(format!("{TIMEOUT_HEADER} of {value:?} is not a number of seconds\n"));
    };
    Ok(Some(Duration::from_secs_f64(seconds)))
}

fn accept(headers: &HeaderMap) -> String {
    let values = headers.get_all(header::ACCEPT).iter();
    values.filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join(",")
}

fn text(status: StatusCode, body: String) -> Answer {
    typed(status, "text/plain; charset=utf-8", body)
}

fn typed(status: StatusCode, content_type: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// Where Prometheus says how long it waits.
const TIMEOUT_HEADER: &str = "x-prometheus-scrape-timeout-seconds";
/// Longest target: the longest name, a port, and room for encodings.
const TARGET_BYTES_MAX: usize = 2048;
