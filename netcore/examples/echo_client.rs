//! Sends a few tasks over a long link and prints what happens, events included:
//! `cargo run -p sojourner-netcore --example echo_client -- 127.0.0.1:8181`.

use std::error::Error;
use std::time::Duration;

use sojourner_netcore::{LinkConfig, LongLink, Task};
use sojourner_stats::{Event, Sink};

/// Prints each event as it happens.
struct Print;

impl Sink for Print {
    fn emit(&self, event: Event) {
        say(format_args!("event: {:?}", event.kind));
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let target = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8181".to_owned());
    let link = LongLink::connect(LinkConfig::new(&target)?, Print);
    for body in ["hello", "is anybody there?", "goodbye"] {
        match link.send(Task::new(12, body).with_timeout(Duration::from_secs(5))).await {
            Ok(reply) => say(format_args!("reply: {}", String::from_utf8_lossy(&reply.body))),
            Err(error) => say(format_args!(
                "{error} (step {:?}, worth a retry: {})",
                error.step(),
                error.is_retryable()
            )),
        }
    }
    link.close().await;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]
fn say(line: std::fmt::Arguments<'_>) {
    println!("{line}");
}
