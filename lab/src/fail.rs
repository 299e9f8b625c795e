//! How the lab fails: it panics, in one place, with what it was doing.

use std::fmt::Debug;

/// Turns an error into a panic that names the operation: a lab that cannot be built is a broken
/// test or a kernel without the feature, and no test has a use for the error.
pub(crate) trait OrFail<T> {
    /// The value, or a panic at the caller that says `what` could not be done.
    fn or_fail(self, what: &str) -> T;
}

impl<T, E: Debug> OrFail<T> for Result<T, E> {
    #[track_caller]
    fn or_fail(self, what: &str) -> T {
        match self {
            Ok(value) => value,
            Err(error) => fail(&format!("{what}: {error:?}")),
        }
    }
}

impl<T> OrFail<T> for Option<T> {
    #[track_caller]
    fn or_fail(self, what: &str) -> T {
        match self {
            Some(value) => value,
            None => fail(what),
        }
    }
}

/// Ends the test with `what`.
#[track_caller]
#[expect(clippy::panic, reason = "the one place where the lab fails a test")]
pub(crate) fn fail(what: &str) -> ! {
    panic!("sojourner-lab: {what}")
}
