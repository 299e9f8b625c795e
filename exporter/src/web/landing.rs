//! The page for people: what is running now, and where everything is.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::query::html;

/// The landing page; it reloads itself.
pub(super) fn page(app: &Arc<App>) -> String {
    let config = app.config();
    let mut out = String::from(HEAD);
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "<p>{} of {} probes in flight; {} hosts pinged all the time.</p>",
        app.probes_in_flight(),
        app.settings().probes_max,
        config.hosts()
    );
    for why in app.stopped() {
        let _ = write!(out, "<p class=bad>Not being pinged: {}</p>", html(&why));
    }
    targets(app, &mut out);
    out.push_str("<h2>Modules</h2><ul>");
    for (name, module) in &config.modules {
        let example = match module.prober.name() {
            "tcp" => "127.0.0.1:9115",
            _ => "127.0.0.1",
        };
        let _ = write!(
            out,
            "<li><b>{0}</b> ({1}): <a href=\"/probe?target={2}&amp;module={0}&amp;debug=true\">\
             /probe?target={2}&amp;module={0}&amp;debug=true</a>",
            html(name),
            module.prober.name(),
            example
        );
    }
    out.push_str("</ul>");
    out.push_str(LINKS);
    out
}

fn targets(app: &Arc<App>, out: &mut String) {
    let (config, snapshot) = (app.config(), app.snapshot());
    if config.targets.is_empty() {
        return;
    }
    out.push_str(
        "<h2>Targets</h2><table><tr><th>host<th>address<th>sent<th>lost<th>last<th>smoothed<th>\
         jitter",
    );
    let hosts = config.targets.iter().flat_map(|group| group.hosts.iter().map(move |h| (group, h)));
    for (group, host) in hosts.clone().take(ROWS_MAX) {
        let Some(view) = snapshot.target(host) else {
            let _ = write!(out, "<tr><td>{}<td colspan=6>nothing measured yet", html(host));
            continue;
        };
        for (addr, ping) in &view.ping {
            if group.network.is_some_and(|family| !family.has(*addr)) {
                continue;
            }
            let ms = |time: Option<Duration>| {
                time.map_or_else(|| "-".to_owned(), |t| format!("{:.3} ms", t.as_secs_f64() * 1e3))
            };
            let _ = write!(
                out,
                "<tr><td>{}<td>{addr}<td>{}<td{}>{}<td>{}<td>{}<td>{}",
                html(host),
                ping.sent(),
                if ping.lost > 0 { " class=bad" } else { "" },
                ping.lost,
                ms(ping.last_rtt),
                ms(ping.srtt),
                ms(ping.jitter)
            );
        }
    }
    out.push_str("</table>");
    if config.hosts() > ROWS_MAX {
        let _ = write!(out, "<p>The first {ROWS_MAX} of {} hosts.</p>", config.hosts());
    }
}

/// Most rows: what a person scrolls through; `/metrics` has them all.
const ROWS_MAX: usize = 200;

const HEAD: &str = "<!doctype html><html lang=en><meta charset=utf-8>\
    <meta http-equiv=refresh content=5><title>Sojourner exporter</title>\
    <style>body{font:15px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em}\
    table{border-collapse:collapse}td,th{padding:.2em .8em;text-align:right;\
    border-bottom:1px solid #ddd}td:first-child,th:first-child{text-align:left}\
    .bad{color:#b00020;font-weight:bold}</style><h1>Sojourner exporter</h1>";

const LINKS: &str = "<h2>Pages</h2><ul><li><a href=/metrics>/metrics</a>\
    <li><a href=/config>/config</a><li><a href=/-/healthy>/-/healthy</a>\
    <li><a href=/-/ready>/-/ready</a><li>POST /-/reload</ul></html>\n";
