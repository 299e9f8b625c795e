//! From what users wrote to a bounded list of targets.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use sojourner_probe::target::Target;

use crate::args::{Common, TargetArg};
use crate::text;

/// Most bytes of a file of targets: a hundred thousand of the longest usual names.
const FILE_BYTES_MAX: u64 = 32 << 20;
/// Bad lines shown; the rest is counted.
const BAD_LINES_SHOWN: usize = 5;

/// Reads all targets, each once, in their order.
///
/// # Errors
///
/// A file that cannot be read, a line that is no target, none at all, or more than `max`.
pub(crate) fn gather(
    args: &[TargetArg],
    common: &Common,
    what: &str,
    max: usize,
) -> anyhow::Result<Vec<Target>> {
    let mut all = Vec::new();
    for arg in args {
        match arg {
            TargetArg::One(target) => all.push(target.clone()),
            TargetArg::File(path) => all.extend(read(path)?),
        }
    }
    if let Some(path) = &common.targets_file {
        all.extend(read(path)?);
    }
    let mut seen = std::collections::HashSet::new();
    all.retain(|target| seen.insert(target.text().clone()));
    if all.is_empty() {
        bail!("no target; name one, such as `sojourner 192.0.2.7`, or see `sojourner --help`");
    }
    if all.len() > max {
        let count = all.len();
        bail!(
            "{count} targets are more than {what} takes: at most {max}; split the list, or run the exporter"
        );
    }
    Ok(all)
}

fn read(path: &Path) -> anyhow::Result<Vec<Target>> {
    let shown = path.display();
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .with_context(|| format!("cannot read the target file {shown}"))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        bail!("the target file {shown} is larger than {} MiB; split it", FILE_BYTES_MAX >> 20);
    }
    let Ok(content) = String::from_utf8(bytes) else {
        bail!("the target file {shown} is not text; write one target a line, in UTF-8");
    };
    parse(&content).map_err(|bad| anyhow::anyhow!("the target file {shown} is malformed: {bad}"))
}

/// One target a line; `#` begins a comment.
fn parse(content: &str) -> Result<Vec<Target>, String> {
    let mut targets = Vec::new();
    let (mut bad, mut report) = (0_usize, String::new());
    for (number, line) in (1..).zip(content.lines()) {
        let line = line.split_once(" #").map_or(line, |(before, _)| before).trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.parse::<Target>() {
            Ok(target) => targets.push(target),
            Err(error) => {
                bad += 1;
                if bad <= BAD_LINES_SHOWN {
                    let error = error.to_string();
                    let _ = write!(report, "\n  line {number}: {}", text::fit(&error, 300));
                }
            }
        }
    }
    if bad > BAD_LINES_SHOWN {
        let _ = write!(report, "\n  and {} more lines", bad - BAD_LINES_SHOWN);
    }
    if bad == 0 { Ok(targets) } else { Err(report) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_empty_lines_are_no_targets() {
        let targets = parse("# ours\n192.0.2.7\n\n  example.net:443  # the site\n").unwrap();
        let texts: Vec<_> = targets.iter().map(|target| &**target.text()).collect();
        assert_eq!(texts, ["192.0.2.7", "example.net:443"]);
    }

    #[test]
    fn bad_lines_are_named_with_their_number_and_the_rest_counted() {
        let error = parse(&format!("good.example\n{}", "a:0\n".repeat(7))).unwrap_err();
        assert!(error.contains("line 2: port 0"), "{error}");
        assert!(error.ends_with("and 2 more lines"), "{error}");
    }

    #[test]
    fn a_bound_is_stated_when_it_is_reached() {
        let args = ["a", "b", "a", "c"].map(|name| TargetArg::One(name.parse().unwrap()));
        let error = gather(&args, &Common::default(), "the dashboard", 2).unwrap_err().to_string();
        assert!(
            error.starts_with("3 targets are more than the dashboard takes: at most 2"),
            "{error}"
        );
    }
}
