//! Serves a simulated Proxmox VE over HTTPS until its standard input ends, for clients in any language.
//!
//! Prints one line of JSON: where it listens, what to present, and the certificate's fingerprint.

#![allow(clippy::print_stdout, reason = "a program tells where it listens")]

use std::net::SocketAddr;

use proxmox_client::simulator::{Clock, Simulator, World};
use tokio::io::AsyncReadExt;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::args().nth(1).map_or(Ok(0), |port| port.parse())?;
    let world = World::lab()
        .with_user("root@pam", "lab-password")
        .with_volume("local:import/guest.qcow2", 64 << 20);
    let clock = Clock::accelerated(world.now(), 20.0);
    let simulator = Simulator::with_clock(world, clock);
    let server = simulator
        .serve_on(SocketAddr::from(([127, 0, 0, 1], port)))
        .await?;
    println!(
        "{{\"endpoint\":\"{}\",\"token\":\"root@pam!lab=lab-secret\",\"user\":\"root@pam\",\"password\":\"lab-password\",\"fingerprint\":\"{}\"}}",
        server.endpoint(),
        server.fingerprint()
    );
    // Whoever started the program ends it by closing its input.
    let mut rest = Vec::new();
    tokio::io::stdin().read_to_end(&mut rest).await?;
    Ok(())
}
