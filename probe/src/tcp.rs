//! TCP: how a connect ends, and whether the application behind it says anything.
