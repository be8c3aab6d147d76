//! Makes a cloud-init image: `nocloud-iso INSTANCE-ID < user-data > cidata.iso`.

use std::io::{Read, Write};

use proxmox_client::NoCloud;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let id = std::env::args()
        .nth(1)
        .ok_or("usage: nocloud-iso INSTANCE-ID < user-data")?;
    let mut user_data = Vec::new();
    std::io::stdin().read_to_end(&mut user_data)?;
    let image = NoCloud::new(&id, "").with_user_data(user_data).build()?;
    std::io::stdout().write_all(&image)?;
    Ok(())
}
