//! The lab, tested on the real kernel.

#[cfg(test)]
mod chain;
#[cfg(test)]
mod hooks;
#[cfg(test)]
mod isolation;
#[cfg(test)]
mod routes;
#[cfg(test)]
mod server;
#[cfg(test)]
mod shapes;
#[cfg(test)]
mod sim;
#[cfg(test)]
mod weak;
