//! Machines for tests: network namespaces on one bridge, each with a user-space WireGuard.

use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use wireguard_config::live::{Client, Synced};
use wireguard_config::rotation::Stage;
use wireguard_config::{Changes, Config, Device, Plan};

/// Interface names are unique on a machine, because all namespaces share the folder of the sockets.
static COUNTER: AtomicU32 = AtomicU32::new(0);

pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) interface: String,
    namespace: String,
}

pub(crate) struct Lab {
    tag: String,
    switch: String,
    pub(crate) nodes: Vec<Node>,
    extra: Vec<String>,
}

fn run(line: &str) -> Result<(), String> {
    let mut words = line.split_whitespace();
    let program = words.next().unwrap_or_default();
    let output = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("{line}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{line}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    ))
}

/// Whether a program is nowhere on the path, in the words that name an absent peer.
pub(crate) fn absent(program: &str) -> Option<String> {
    let found = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    });
    (!found).then(|| format!("ABSENT {program}"))
}

/// Why the machines cannot be had here, if so.
pub(crate) fn obstacle() -> Option<String> {
    let absent = ["ip", "wireguard-go", "ping"].into_iter().find_map(absent);
    if absent.is_some() {
        return absent;
    }
    if !PathBuf::from("/dev/net/tun").exists() {
        return Some("/dev/net/tun is absent".to_owned());
    }
    let probe = format!("wgprobe{}", std::process::id());
    let made = run(&format!("ip netns add {probe}"));
    let gone = run(&format!("ip netns del {probe}"));
    made.and(gone)
        .err()
        .map(|error| format!("network namespaces are not allowed here ({error})"))
}

/// The address of a machine below the tunnel, counted from 1.
pub(crate) fn underlay(number: usize) -> IpAddr {
    IpAddr::from([192, 0, 2, number as u8])
}

impl Lab {
    /// One machine for each name, without configuration. Panics when the system refuses: [`obstacle`] comes first.
    pub(crate) fn new(names: &[&str]) -> Self {
        let tag = format!(
            "{}x{}",
            std::process::id() % 100_000,
            COUNTER.fetch_add(1, Ordering::Relaxed)
        );
        let switch = format!("wgs{tag}");
        let mut lab = Self {
            tag,
            switch,
            nodes: Vec::new(),
            extra: Vec::new(),
        };
        lab.must(&format!("ip netns add {}", lab.switch));
        lab.must(&format!("ip -n {} link add br0 type bridge", lab.switch));
        lab.must(&format!("ip -n {} link set br0 up", lab.switch));
        for (i, name) in names.iter().enumerate() {
            let node = Node {
                name: (*name).to_owned(),
                interface: format!("w{}n{i}", lab.tag),
                namespace: format!("wgn{}n{i}", lab.tag),
            };
            lab.nodes.push(node);
            let (namespace, interface) = (
                lab.nodes[i].namespace.clone(),
                lab.nodes[i].interface.clone(),
            );
            lab.must(&format!("ip netns add {namespace}"));
            lab.must(&format!("ip -n {namespace} link set lo up"));
            lab.must(&format!(
                "ip link add ve0 netns {namespace} type veth peer name v{i} netns {}",
                lab.switch
            ));
            lab.must(&format!("ip -n {} link set v{i} master br0 up", lab.switch));
            lab.must(&format!(
                "ip -n {namespace} addr add {}/24 dev ve0",
                underlay(i + 1)
            ));
            lab.must(&format!("ip -n {namespace} link set ve0 up"));
            let started = Command::new("ip")
                .args(["netns", "exec", &namespace, "wireguard-go", &interface])
                .env("LOG_LEVEL", "error")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            assert!(
                started.is_ok_and(|status| status.success()),
                "wireguard-go {interface}"
            );
        }
        for node in &lab.nodes {
            let socket = PathBuf::from(format!("/var/run/wireguard/{}.sock", node.interface));
            wait("the socket of wireguard-go", || socket.exists());
        }
        lab
    }

    fn must(&self, line: &str) {
        if let Err(error) = run(line) {
            panic!("{error}");
        }
    }

    fn node(&self, name: &str) -> &Node {
        self.nodes
            .iter()
            .find(|node| node.name == name)
            .expect("a machine of the lab")
    }

    /// Runs something on a thread inside a machine's namespace.
    pub(crate) fn inside<T: Send>(
        &self,
        name: &str,
        work: impl FnOnce(&Client, &str) -> T + Send,
    ) -> T {
        let node = self.node(name);
        std::thread::scope(|scope| {
            let run = || {
                let path = format!("/var/run/netns/{}", node.namespace);
                let file = std::fs::File::open(path).expect("the namespace");
                rustix::thread::move_into_link_name_space(
                    file.as_fd(),
                    Some(rustix::thread::LinkNameSpaceType::Network),
                )
                .expect("entering the namespace");
                work(&Client::builder().build(), &node.interface)
            };
            scope.spawn(run).join().expect("the work in the namespace")
        })
    }

    pub(crate) fn sync(&self, name: &str, config: &Config) -> Synced {
        self.inside(name, |client, interface| {
            client.sync(interface, config).expect("sync")
        })
    }

    /// What the real `wg setconf` says to a file: whether it takes it, and its words.
    pub(crate) fn setconf(&self, name: &str, file: &std::path::Path) -> (bool, String) {
        let node = self.node(name);
        let output = Command::new("ip")
            .args(["netns", "exec", &node.namespace, "wg", "setconf"])
            .arg(&node.interface)
            .arg(file)
            .env("WG_ENDPOINT_RESOLUTION_RETRIES", "0")
            .stdin(Stdio::null())
            .output()
            .expect("wg starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), said)
    }

    /// Brings every machine to the plan.
    pub(crate) fn sync_all(&self, plan: &Plan) {
        for member in plan.members() {
            self.sync(member.name(), &member.config());
        }
    }

    pub(crate) fn device(&self, name: &str) -> Device {
        self.inside(name, |client, interface| {
            client.device(interface).expect("the state")
        })
    }

    pub(crate) fn carry_out(&self, stage: &Stage) {
        for action in &stage.actions {
            let changes = Changes::from_operations(action.operations.clone());
            self.inside(&action.member, |client, interface| {
                client.apply(interface, &changes).expect("a stage")
            });
        }
    }

    pub(crate) fn forward(&self, name: &str) {
        forward(&self.node(name).namespace);
    }

    /// A host in a local network behind a machine: `gateway` is the machine's address there, `host` the host's.
    pub(crate) fn host_behind(&mut self, name: &str, gateway: &str, host: &str) -> String {
        let outer = self.node(name).namespace.clone();
        let namespace = format!("wgh{}n{}", self.tag, self.extra.len());
        self.extra.push(namespace.clone());
        self.must(&format!("ip netns add {namespace}"));
        self.must(&format!(
            "ip link add eth0 netns {namespace} type veth peer name lan0 netns {outer}"
        ));
        self.must(&format!("ip -n {outer} addr add {gateway}/24 dev lan0"));
        self.must(&format!("ip -n {outer} link set lan0 up"));
        self.must(&format!("ip -n {namespace} addr add {host}/24 dev eth0"));
        self.must(&format!("ip -n {namespace} link set eth0 up"));
        self.must(&format!(
            "ip -n {namespace} route add default via {gateway}"
        ));
        namespace
    }

    /// Puts a machine behind a router that translates addresses, so that nobody can begin a conversation with it. Gives the
    /// router's outer address.
    pub(crate) fn hide(&mut self, name: &str) -> IpAddr {
        let inner = self.node(name).namespace.clone();
        let number = self.extra.len() + 1;
        let router = format!("wgr{}n{number}", self.tag);
        self.extra.push(router.clone());
        let (outside, lan) = (underlay(100 + number), format!("10.200.{number}"));
        let switch = self.switch.clone();
        for line in [
            format!("ip netns add {router}"),
            format!("ip -n {inner} link del ve0"),
            format!("ip link add out0 netns {router} type veth peer name r{number} netns {switch}"),
            format!("ip -n {switch} link set r{number} master br0 up"),
            format!("ip -n {router} addr add {outside}/24 dev out0"),
            format!("ip -n {router} link set out0 up"),
            format!("ip link add in0 netns {router} type veth peer name ve0 netns {inner}"),
            format!("ip -n {router} addr add {lan}.1/24 dev in0"),
            format!("ip -n {router} link set in0 up"),
            format!("ip -n {inner} addr add {lan}.2/24 dev ve0"),
            format!("ip -n {inner} link set ve0 up"),
            format!("ip -n {inner} route add default via {lan}.1"),
        ] {
            self.must(&line);
        }
        forward(&router);
        nft(
            &router,
            "table ip nat {\n chain out {\n  type nat hook postrouting priority srcnat; policy accept;\n  oifname \"out0\" masquerade\n }\n}\n",
        );
        outside
    }

    /// Loads rules on a machine.
    pub(crate) fn nft(&self, name: &str, rules: &str) {
        nft(&self.node(name).namespace, rules);
    }

    fn ping_command(&self, namespace: &str, to: IpAddr, arguments: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", namespace, "ping", "-n", "-q"])
            .args(arguments)
            .arg(to.to_string());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        command
    }

    /// Whether an address answers within some seconds; `patience` is how many pings, one a second.
    pub(crate) fn pings(&self, name: &str, to: IpAddr, patience: u32) -> bool {
        self.pings_from(&self.node(name).namespace, to, patience)
    }

    pub(crate) fn pings_from(&self, namespace: &str, to: IpAddr, patience: u32) -> bool {
        (0..patience).any(|_| {
            let status = self
                .ping_command(namespace, to, &["-c", "1", "-W", "1"])
                .status();
            status.is_ok_and(|status| status.success())
        })
    }

    /// Starts a stream of 100 pings a second.
    pub(crate) fn stream(&self, name: &str, to: IpAddr, count: u32) -> Stream {
        let count = count.to_string();
        let mut command = self.ping_command(
            &self.node(name).namespace,
            to,
            &["-i", "0.01", "-c", &count, "-W", "2"],
        );
        Stream(command.spawn().expect("ping"))
    }
}

fn forward(namespace: &str) {
    let script =
        "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding";
    let status = Command::new("ip")
        .args(["netns", "exec", namespace, "sh", "-c", script])
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "forwarding in {namespace}"
    );
}

fn nft(namespace: &str, rules: &str) {
    let mut child = Command::new("ip")
        .args(["netns", "exec", namespace, "nft", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("nft starts");
    let mut input = child.stdin.take().expect("its input");
    std::io::Write::write_all(&mut input, rules.as_bytes()).expect("it reads");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}{rules}");
}

pub(crate) struct Stream(Child);

impl Stream {
    /// How many were lost.
    pub(crate) fn lost(self) -> u32 {
        let output = self.0.wait_with_output().expect("ping ends");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text
            .lines()
            .find(|line| line.contains("packets transmitted"))
            .expect("a summary");
        let numbers: Vec<u32> = line
            .split(' ')
            .filter_map(|word| word.parse().ok())
            .collect();
        numbers[0] - numbers[1]
    }
}

pub(crate) fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < end, "waited for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let namespaces: Vec<String> = self
            .nodes
            .iter()
            .map(|n| n.namespace.clone())
            .chain(self.extra.clone())
            .chain([self.switch.clone()])
            .collect();
        for namespace in &namespaces {
            let pids = Command::new("ip")
                .args(["netns", "pids", namespace])
                .output();
            let pids = pids
                .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
                .unwrap_or_default();
            for pid in pids
                .split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .filter_map(rustix::process::Pid::from_raw)
            {
                // A process that has ended meanwhile is as good.
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        for namespace in &namespaces {
            let _ = run(&format!("ip netns del {namespace}"));
        }
        for node in &self.nodes {
            let _ = std::fs::remove_file(format!("/var/run/wireguard/{}.sock", node.interface));
        }
    }
}
