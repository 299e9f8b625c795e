//! The diagnosis: a plan, evidence, and rules that turn it into findings and one verdict.
