//! `sojourner doctor`: what this process may do here, and how to get more.

use serde::Serialize;
use sojourner_probe::local;
use sojourner_probe::privilege::{self, Privilege};
use sojourner_stats::event::LocalNetwork;

use crate::Answer;
use crate::args::Common;
use crate::output::Out;

pub(super) fn run(common: &Common) -> anyhow::Result<Answer> {
    let out = Out::stdout();
    let privileges = privilege::read();
    let network = local::read();
    // Echoes always work somehow; without an interface beside the loopback nothing else does.
    let usable = network.interfaces.iter().any(|interface| interface.up);
    let measures = privileges.is_empty() || privileges.iter().any(|privilege| privilege.granted);
    if common.json {
        let document = Document {
            schema: "sojourner.doctor/1",
            version: env!("CARGO_PKG_VERSION"),
            os: std::env::consts::OS,
            privileges: &privileges,
            local: &network,
        };
        Out::json(&document)?;
    } else {
        print(&privileges, &network, &out)?;
    }
    Ok(if usable && measures { Answer::Good } else { Answer::Fault })
}

fn print(privileges: &[Privilege], network: &LocalNetwork, out: &Out) -> anyhow::Result<()> {
    let theme = out.theme;
    Out::line(&out.paint("What this process may do", theme.title()))?;
    for privilege in privileges {
        let (mark, style) =
            if privilege.granted { ("✔", theme.ok()) } else { ("✖", theme.warn()) };
        let name = format!("{mark} {:<20}", privilege.name);
        Out::line(&format!(
            "  {} {}",
            out.paint(&name, style),
            out.paint(privilege.purpose, theme.text())
        ))?;
        Out::line(&out.paint(&format!("      {}", privilege.detail), theme.faint()))?;
        if let Some(mend) = privilege.mend {
            Out::line(&out.paint(&format!("      → {mend}"), theme.accent()))?;
        }
    }
    Out::line(&out.paint("This host's network", theme.title()))?;
    for interface in &network.interfaces {
        let state = if interface.up { "up" } else { "down" };
        let text = format!("  {:<14} {state:<5} {}", interface.name, interface.addrs.join(" "));
        Out::line(&out.paint(&text, if interface.up { theme.text() } else { theme.faint() }))?;
    }
    for route in &network.default_routes {
        let gateway = route.gateway.map_or_else(|| "on the link".into(), |addr| addr.to_string());
        Out::line(
            &out.paint(&format!("  default route  {gateway} by {}", route.interface), theme.text()),
        )?;
    }
    if network.default_routes.is_empty() {
        Out::line(&out.paint("  no default route: only neighbours can be reached", theme.warn()))?;
    }
    for resolver in &network.resolvers {
        let text = format!("  name server    {} from {}", resolver.addr, resolver.from);
        Out::line(&out.paint(&text, theme.text()))?;
    }
    if network.resolvers.is_empty() {
        Out::line(&out.paint(
            "  no name server configured: only addresses and the hosts file work",
            theme.warn(),
        ))?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    version: &'static str,
    os: &'static str,
    privileges: &'a [Privilege],
    local: &'a LocalNetwork,
}
