//! Names: the system resolver beside trusted ones, and whether their answers can be believed.
