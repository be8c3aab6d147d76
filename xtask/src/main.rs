//! Developer automation of the workspace: `cargo xtask <command>`.

fn main() {}
