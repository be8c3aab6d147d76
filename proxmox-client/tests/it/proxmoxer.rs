//! Someone else's client against the simulator: proxmoxer, the well-known Python one.

use std::path::PathBuf;
use std::process::Stdio;

use proxmox_client::simulator::{Clock, Simulator, World};
use tokio::io::AsyncWriteExt;

/// Through login, create, template, clone, config, resize, start, snapshot, stop and delete.
const SCRIPT: &str = r#"
import sys, urllib3
from proxmoxer import ProxmoxAPI
from proxmoxer.tools import Tasks
urllib3.disable_warnings()
port = int(sys.argv[1])
logins = [dict(user='root@pam', token_name='lab', token_value='lab-secret'),
          dict(user='root@pam', password='lab-password')]
for login in logins:
    api = ProxmoxAPI('127.0.0.1', port=port, verify_ssl=False, **login)
    def done(upid):
        status = Tasks.blocking_status(api, upid, polling_interval=0.02)
        assert status['exitstatus'] == 'OK', status
    node = api.nodes('pve1')
    assert api.version.get()['version'] == '9.1.9'
    done(node.qemu.post(vmid=9000, name='tmpl', memory=512, net0='virtio,bridge=vmbr0', ide2='local:cloudinit',
                        scsi0='local:0,import-from=local:import/guest.qcow2'))
    done(node.qemu(9000).template.post())
    done(node.qemu(9000).clone.post(newid=9001, name='copy', full=0))
    text = 'line=1;&%+\u00fc'
    node.qemu(9001).config.put(cores=2, tags='b;a', description=text)
    config = node.qemu(9001).config.get()
    assert (config['cores'], config['tags'], config['description']) == (2, 'a;b', text), config
    done(node.qemu(9001).resize.put(disk='scsi0', size='2G'))
    done(node.qemu(9001).status.start.post())
    assert node.qemu(9001).status.current.get()['status'] == 'running'
    done(node.qemu(9001).snapshot.post(snapname='s1', description='d'))
    assert [entry['name'] for entry in node.qemu(9001).snapshot.get()] == ['s1', 'current']
    done(node.qemu(9001).snapshot('s1').delete())
    try:
        node.qemu(9001).delete()
        raise AssertionError('a running machine was removed')
    except Exception as error:
        assert 'VM 9001 is running - destroy failed' in str(error), error
    done(node.qemu(9001).status.stop.post())
    done(node.qemu(9001).delete())
    done(node.qemu(9000).delete())
    assert node.qemu.get() == []
print('done')
"#;

/// The interpreter of the peers' virtual environment below `target/` if there is one, else the system's.
fn python() -> PathBuf {
    if let Some(given) = std::env::var_os("PEER_PYTHON") {
        return given.into();
    }
    let target = std::env::current_exe().ok();
    let target = target
        .as_deref()
        .and_then(|program| program.ancestors().nth(3));
    let of_peers = target.map(|target| target.join("peers/python/bin/python"));
    of_peers
        .filter(|path| path.exists())
        .unwrap_or_else(|| "python3".into())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_proxmoxer_drives_the_simulator_through_the_life_of_machines() {
    let probe = tokio::process::Command::new(python())
        .args(["-c", "import proxmoxer, requests"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .await;
    if !probe.is_ok_and(|status| status.success()) {
        eprintln!(
            "did not run: no Python with proxmoxer and requests (PEER_PYTHON names another interpreter)"
        );
        return;
    }
    let world = World::lab()
        .with_user("root@pam", "lab-password")
        .with_volume("local:import/guest.qcow2", 64 << 20);
    let clock = Clock::accelerated(world.now(), 50.0);
    let server = Simulator::with_clock(world, clock).serve().await.unwrap();
    let mut child = tokio::process::Command::new(python())
        .args(["-", &server.address().port().to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(SCRIPT.as_bytes()).await.unwrap();
    drop(input);
    let output = child.wait_with_output().await.unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        "done",
        "{told}"
    );
}
