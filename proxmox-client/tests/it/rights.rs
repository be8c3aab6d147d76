//! What users and tokens may do in the simulator, and what the client tells of it.

use std::collections::BTreeMap;

use proxmox_client::property::{ContainerNic, Drive, Features, MountPoint, Nic};
use proxmox_client::rights::Needs;
use proxmox_client::simulator::{Simulator, World};
use proxmox_client::wire::{Answer, Method, Request};
use proxmox_client::{
    BackupGuests, BackupOptions, Client, CloneOptions, Grant, Kind, Login, LxcConfig, NewLxc,
    QemuConfig, Sent, Size, UserSettings,
};

const TOKEN: &str = "ci@pve!deploy";

/// A cluster with a user `ci@pve` whose token has what the user was given.
fn world() -> World {
    World::lab()
        .with_user("ci@pve", "ci-password")
        .with_token(TOKEN, "s")
        .with_volume("local:import/talos.qcow2", 1 << 30)
        .with_volume("local:iso/tools.iso", 1 << 20)
        .with_guest(
            "pve1",
            100,
            &QemuConfig::new()
                .with_name("kept")
                .with_drive(
                    "scsi0",
                    Drive::default().with_file("local-lvm:vm-100-disk-0"),
                )
                .with_net(0, Nic::virtio("vmbr0")),
        )
        .with_guest("pve1", 200, &QemuConfig::new().with_name("other"))
}

fn with(give: &[(&str, &str)]) -> (Simulator, Client) {
    let give = give.iter();
    let world = give.fold(world(), |world, (role, path)| {
        world.with_role_for("ci@pve", role, path)
    });
    let simulator = Simulator::new(world);
    let client = simulator.builder().token(format!("{TOKEN}=s")).build();
    (simulator, client.unwrap())
}

async fn told(simulator: &Simulator, request: Request) -> (u16, String) {
    let answer: Answer = simulator
        .answer(&format!("{TOKEN}=s"), &request)
        .await
        .unwrap();
    (answer.status(), answer.reason().to_owned())
}

fn get(path: &str) -> Request {
    Request::new(Method::Get, path, &[])
}

#[tokio::test(start_paused = true)]
async fn whoever_was_given_nothing_sees_empty_lists_and_is_refused_the_rest() {
    let (simulator, client) = with(&[]);
    assert!(client.version().await.is_ok());
    for path in [
        "/nodes/pve1/qemu",
        "/nodes/pve1/lxc",
        "/storage",
        "/nodes/pve1/storage",
        "/pools",
        "/cluster/tasks",
        "/nodes/pve1/tasks",
        "/access/acl",
        "/access/groups",
    ] {
        let answer = simulator.answer(&format!("{TOKEN}=s"), &get(path)).await;
        let body: serde_json::Value = serde_json::from_slice(answer.unwrap().body()).unwrap();
        assert_eq!(body["data"], serde_json::json!([]), "{path}");
    }
    let resources = client.resources(None).await.unwrap();
    assert_eq!(resources.len(), 1, "only the node");
    assert_eq!(resources[0].max_memory, None, "without figures");
    let table = [
        (get("/nodes/pve1/status"), "/nodes/pve1, Sys.Audit"),
        (get("/nodes/pve1/qemu/100/config"), "/vms/100, VM.Audit"),
        // A machine that is not there is not told apart.
        (get("/nodes/pve1/qemu/999/config"), "/vms/999, VM.Audit"),
        (
            Request::new(Method::Post, "/nodes/pve1/qemu/100/status/start", &[]),
            "/vms/100, VM.PowerMgmt",
        ),
        (get("/cluster/options"), "/, Sys.Audit"),
        (
            Request::new(Method::Put, "/access/acl", &[])
                .with("path", "/")
                .with("roles", "Administrator"),
            "/, Permissions.Modify",
        ),
        (
            Request::new(Method::Post, "/nodes/pve1/execute", &[]),
            "user != root@pam",
        ),
        // Rights come before parameters.
        (
            Request::new(Method::Post, "/pools", &[])
                .with("poolid", "web")
                .with("x", "1"),
            "/pool/web, Pool.Allocate",
        ),
    ];
    for (request, missing) in table {
        let path = request.path().to_owned();
        let expected = format!("Permission check failed ({missing})");
        assert_eq!(told(&simulator, request).await, (403, expected), "{path}");
    }
    let create = Request::new(Method::Post, "/nodes/pve1/qemu", &[]).with("vmid", "555");
    let bare = (403, "Permission check failed".to_owned());
    assert_eq!(told(&simulator, create).await, bare);
}

#[tokio::test(start_paused = true)]
async fn keys_of_a_machine_ask_for_their_privilege() {
    let mut table: Vec<(&str, &str, &str)> = vec![
        ("cores", "2", "VM.Config.CPU"),
        ("numa0", "cpus=0", "VM.Config.CPU"),
        ("memory", "2048", "VM.Config.Memory"),
        ("balloon", "0", "VM.Config.Memory"),
        ("scsihw", "virtio-scsi-pci", "VM.Config.HWType"),
        ("serial0", "socket", "VM.Config.HWType"),
        ("name", "new", "VM.Config.Options"),
        ("tags", "prod", "VM.Config.Options"),
        ("boot", "order=scsi0", "VM.Config.Disk"),
        ("net0", "virtio,bridge=vmbr0", "VM.Config.Network"),
        ("ciuser", "ops", "VM.Config.Cloudinit|VM.Config.Network"),
        ("ide2", "none,media=cdrom", "VM.Config.CDROM"),
        ("delete", "scsi0", "VM.Config.Disk"),
        ("delete", "net0", "VM.Config.Network"),
    ];
    let either = "VM.Config.Cloudinit|VM.Config.Network";
    table.push(("ipconfig0", "ip=dhcp", either));
    for (key, value, privilege) in table {
        // The call itself asks for any of these; one that does not matter here lets it through.
        let other = match privilege {
            "VM.Config.CPU" => "VM.Config.Memory",
            _ => "VM.Config.CPU",
        };
        let simulator = Simulator::new(
            world()
                .with_role("Other", &[other])
                .with_role_for("ci@pve", "Other", "/vms"),
        );
        let request = Request::new(Method::Put, "/nodes/pve1/qemu/100/config", &[]);
        assert_eq!(
            told(&simulator, request.with(key, value)).await,
            (
                403,
                format!("Permission check failed (/vms/100, {privilege})")
            ),
            "{key}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn some_keys_are_roots_and_some_ask_for_more_than_the_machine() {
    let (simulator, _) = with(&[("PVEVMAdmin", "/vms")]);
    let put = |key: &str, value: &str| {
        Request::new(Method::Put, "/nodes/pve1/qemu/100/config", &[]).with(key, value)
    };
    let failed = |text: &str| (500, text.to_owned());
    let denied = |text: &str| (403, format!("Permission check failed ({text})"));
    let table = [
        (put("args", "-x"), failed("only root can set 'args' config")),
        (
            put("affinity", "0-3"),
            failed("only root can set 'affinity' config"),
        ),
        (put("startup", "order=1"), denied("/, Sys.Modify")),
        (
            put("serial0", "/dev/ttyS0"),
            failed("only root can modify 'serial0' config for real devices"),
        ),
        (
            put("hostpci0", "0000:01:00"),
            failed("only root can set 'hostpci0' config for non-mapped devices"),
        ),
        (
            put("hostpci0", "mapping=gpu"),
            denied("/mapping/pci/gpu, Mapping.Use"),
        ),
        (
            put("net1", "virtio,bridge=vmbr0"),
            denied("/sdn/zones/localnetwork/vmbr0, SDN.Use"),
        ),
        (
            put("net1", "virtio,bridge=vmbr0,tag=30"),
            denied("/sdn/zones/localnetwork/vmbr0/30, SDN.Use"),
        ),
        (
            put("scsi1", "local-lvm:8"),
            denied("/storage/local-lvm, Datastore.AllocateSpace"),
        ),
        (
            put("scsi1", "local-lvm:0,import-from=local:import/talos.qcow2"),
            denied("/storage/local-lvm, Datastore.AllocateSpace"),
        ),
        (
            put("scsi1", "/dev/sda"),
            failed("Only root can pass arbitrary filesystem paths."),
        ),
    ];
    for (request, expected) in table {
        let what = format!("{:?}", request.params().iter().collect::<Vec<_>>());
        assert_eq!(told(&simulator, request).await, expected, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_clone_asks_for_the_new_place_the_storage_and_the_bridge() {
    let clone = || {
        Request::new(Method::Post, "/nodes/pve1/qemu/100/clone", &[])
            .with("newid", "101")
            .with("full", "1")
    };
    let refusal = |give: &'static [(&'static str, &'static str)]| async move {
        let (simulator, _) = with(give);
        told(&simulator, clone()).await.1
    };
    assert_eq!(
        refusal(&[]).await,
        "Permission check failed (/vms/100, VM.Clone)"
    );
    assert_eq!(
        refusal(&[("PVETemplateUser", "/vms/100")]).await,
        "Permission check failed"
    );
    assert_eq!(
        refusal(&[("PVETemplateUser", "/vms/100"), ("PVEVMAdmin", "/vms/101")]).await,
        "Permission check failed (/storage/local-lvm, Datastore.AllocateSpace)"
    );
    assert_eq!(
        refusal(&[
            ("PVETemplateUser", "/vms/100"),
            ("PVEVMAdmin", "/vms/101"),
            ("PVEDatastoreUser", "/storage/local-lvm"),
        ])
        .await,
        "Permission check failed (/sdn/zones/localnetwork/vmbr0, SDN.Use)"
    );
    let (_simulator, client) = with(&[
        ("PVETemplateUser", "/vms/100"),
        ("PVEVMAdmin", "/vms/101"),
        ("PVEDatastoreUser", "/storage/local-lvm"),
        ("PVESDNUser", "/sdn/zones/localnetwork"),
    ]);
    let vm = client.node("pve1").qemu(100);
    vm.clone_to(101, CloneOptions::new().with_full(true))
        .await
        .unwrap();
    let error = client.node("pve1").qemu(101).config().await;
    assert!(error.is_ok(), "its owner sees it");
}

#[tokio::test(start_paused = true)]
async fn lists_show_what_one_may_see() {
    let (simulator, client) = with(&[
        ("PVEVMUser", "/vms/100"),
        ("PVEDatastoreUser", "/storage/local-lvm"),
    ]);
    let machines = client.node("pve1").qemus().await.unwrap();
    assert_eq!(machines.len(), 1);
    let resources = client.resources(None).await.unwrap();
    let mut ids: Vec<&str> = resources.iter().map(|entry| entry.id.as_str()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["node/pve1", "qemu/100", "storage/pve1/local-lvm"]);
    let content = get("/nodes/pve1/storage/local-lvm/content");
    let answer = simulator.answer(&format!("{TOKEN}=s"), &content).await;
    let text = String::from_utf8(answer.unwrap().body().to_vec()).unwrap();
    assert!(
        !text.contains("vm-100-disk-0"),
        "VM.Config.Disk is missing: {text}"
    );
    // A token finds its own tasks on the node, though the cluster's list shows it none.
    client.node("pve1").qemu(100).start().await.unwrap();
    let tasks = get("/nodes/pve1/tasks");
    let answer = simulator
        .answer(&format!("{TOKEN}=s"), &tasks)
        .await
        .unwrap();
    let text = String::from_utf8(answer.body().to_vec()).unwrap();
    assert!(
        text.contains("qmstart") && text.contains("\"total\":1"),
        "{text}"
    );
    let root = simulator.connect();
    root.node("pve1").qemu(200).start().await.unwrap();
    let all = root.request(get("/nodes/pve1/tasks")).await.unwrap();
    assert_eq!(all.total, Some(2));
}

#[tokio::test(start_paused = true)]
async fn users_who_ended_or_are_disabled_are_let_in_nowhere() {
    let (simulator, client) = with(&[("PVEAuditor", "/")]);
    let access = simulator.connect().access();
    let log_in = || {
        let login = Login::new("ci@pve", "ci-password");
        simulator.builder().login(login).build().unwrap()
    };
    let session = log_in();
    assert!(session.version().await.is_ok());
    let off = UserSettings::new().with_enabled(false);
    access.ensure_user("ci@pve", &off).await.unwrap();
    for client in [&client, &session, &log_in()] {
        let error = client.version().await.unwrap_err();
        assert_eq!(error.kind(), Kind::Authentication);
    }
    let over = UserSettings::new().with_enabled(true).with_expiry(1);
    access.ensure_user("ci@pve", &over).await.unwrap();
    let error = client.version().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Authentication);
    let back = UserSettings::new().with_expiry(0);
    access.ensure_user("ci@pve", &back).await.unwrap();
    assert!(client.version().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn roles_are_handed_out_up_to_what_one_has_oneself() {
    let (simulator, client) = with(&[("PVEVMAdmin", "/vms")]);
    let root = simulator.connect().access();
    root.ensure_user("guest@pve", &UserSettings::new())
        .await
        .unwrap();
    let access = client.access();
    let grant = |role: &str| Grant::to_user("guest@pve", role, "/vms/100");
    access.grant(&grant("PVEVMUser")).await.unwrap();
    let more = access.grant(&grant("PVEAuditor")).await.unwrap_err();
    let why = &more.parameters()["role"];
    assert!(
        why.starts_with("Cannot add role 'PVEAuditor' - requires"),
        "{why}"
    );
    let none = access.grant(&grant("NoAccess")).await.unwrap_err();
    assert!(none.parameters().contains_key("role"));
    let elsewhere = Grant::to_user("guest@pve", "PVEVMUser", "/vms");
    let refused = access.grant(&elsewhere).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Permission);
    // Only one's own part of the list is shown.
    let acl = access.acl().await.unwrap();
    assert!(acl.iter().all(|entry| entry.path == "/vms/100"), "{acl:?}");
}

/// Everything that a program does with one machine of its own.
async fn whole_life(client: &Client, wanted: &QemuConfig) -> Result<(), proxmox_client::Error> {
    let vm = client
        .node("pve1")
        .create_qemu(8101, wanted.clone())
        .await?
        .qemu;
    vm.ensure_config(&wanted.clone().with_cores(2).with_memory_mib(1024))
        .await?;
    let other = wanted
        .clone()
        .with_net(0, Nic::virtio("vmbr0").with_tag(20u16).with_mtu(1400u32));
    vm.ensure_config(&other).await?;
    vm.grow_disk("scsi0", Size::gib(32)).await?;
    vm.start().await?;
    vm.stop().await?;
    vm.ensure_config(&QemuConfig::new().with_cloud_init_user("ops"))
        .await?;
    vm.ensure_config(&QemuConfig::new().with_drive("ide0", Drive::cdrom("local:iso/tools.iso")))
        .await?;
    vm.detach_disk("ide2").await?;
    vm.ensure_config(&QemuConfig::new().with_name("renamed").with("tablet", "0"))
        .await?;
    vm.delete().await?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_a_plan_needs_is_enough_and_nothing_of_it_is_too_much() {
    let wanted = QemuConfig::new()
        .with_name("talos-cp-1")
        .with_cores(4)
        .with_memory_mib(4096)
        .with("scsihw", "virtio-scsi-pci")
        .with("serial0", "socket")
        .with_cloud_init_user("talos")
        .with_drive(
            "scsi0",
            Drive::import("local-lvm", "local:import/talos.qcow2"),
        )
        .with_drive("ide0", Drive::empty_cdrom())
        .with_drive("ide2", Drive::cloud_init("local-lvm"))
        .with_net(0, Nic::virtio("vmbr0").with_tag(20u16));
    let needs = Needs::new().with_qemu(8101, &wanted).with_power(8101);
    let lives = async |client: &Client| whole_life(client, &wanted).await;
    enough_and_not_too_much(world(), &needs, lives).await;
}

/// A token that has just what is needed lives the life, and one that lacks any of it does not.
async fn enough_and_not_too_much(
    world: World,
    needs: &Needs,
    lives: impl AsyncFn(&Client) -> Result<(), proxmox_client::Error>,
) {
    assert_eq!(needs.root_only().count(), 0);
    let all: Vec<(String, String)> = needs
        .iter()
        .flat_map(|(path, names)| names.map(move |name| (path.to_owned(), name.to_owned())))
        .collect();
    let client_without = |left_out: Option<usize>| {
        let mut world = world.clone();
        let mut by_path: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (index, (path, name)) in all.iter().enumerate() {
            if Some(index) != left_out {
                by_path.entry(path).or_default().push(name);
            }
        }
        for (index, (path, names)) in by_path.into_iter().enumerate() {
            let role = format!("Part{index}");
            world = world
                .with_role(&role, &names)
                .with_role_for("ci@pve", &role, path);
        }
        let simulator = Simulator::new(world);
        simulator
            .builder()
            .token(format!("{TOKEN}=s"))
            .build()
            .unwrap()
    };
    let enough = client_without(None);
    assert_eq!(enough.access().missing(needs).await.unwrap(), []);
    lives(&enough).await.unwrap();
    for (index, (path, name)) in all.iter().enumerate() {
        // Room on the storage of an image serves for reading it as well.
        let client = client_without(Some(index));
        let missing = client.access().missing(needs).await.unwrap();
        let told: Vec<String> = missing.iter().map(ToString::to_string).collect();
        assert_eq!(told, [format!("{name} on {path}")]);
        let lived = lives(&client).await;
        let error = lived.expect_err(&format!("{name} on {path} is not needed"));
        assert_eq!(
            error.kind(),
            Kind::Permission,
            "without {name} on {path}: {error}"
        );
        if let Some(right) = error.missing_right() {
            assert!(
                right.path == *path && right.privileges.contains(name),
                "without {name} on {path}: {error}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_container_and_its_clone_need_is_enough_and_nothing_of_it_is_too_much() {
    let template = "local:vztmpl/debian-13.tar.zst";
    let wanted = LxcConfig::new()
        .with_hostname("dns")
        .with_cores(1)
        .with_memory_mib(256)
        .with_unprivileged(true)
        .with_features(&Features::default().with_nesting(true))
        .with_rootfs(&MountPoint::allocate("local-lvm", 4))
        .with_mount_point(0, &MountPoint::allocate("local-hdd", 8).with_path("/data"))
        .with_net(0, &ContainerNic::new("eth0", "vmbr0").with_tag(20u16))
        .with_description("of a test");
    let new = NewLxc::new(template, wanted.clone());
    let needs = Needs::new()
        .with_lxc(8201, &new)
        .with_power(8201)
        .with_lxc_clone(8201, &wanted, 8202, None);
    let world = world().with_volume(template, 100 << 20);
    enough_and_not_too_much(world, &needs, async |client: &Client| {
        let node = client.node("pve1");
        let ct = node.create_lxc(8201, new.clone()).await?.lxc;
        let other = LxcConfig::new().with_memory_mib(512).with_cores(2);
        ct.ensure_config(&other).await?;
        ct.grow_volume("rootfs", Size::gib(6)).await?;
        ct.clone_to(8202, CloneOptions::new().with_full(true))
            .await?;
        node.lxc(8202).config().await?;
        ct.start().await?;
        ct.stop().await?;
        node.lxc(8202).delete().await?;
        ct.delete().await?;
        Ok(())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_processor_of_the_clusters_own_asks_for_what_its_release_asks_for() {
    let put =
        |cpu: &str| Request::new(Method::Put, "/nodes/pve1/qemu/200/config", &[]).with("cpu", cpu);
    let denied = |text: &str| (403, format!("Permission check failed ({text})"));
    let (simulator, _) = with(&[("PVEVMAdmin", "/vms")]);
    let refused = told(&simulator, put("custom-avx")).await;
    assert_eq!(refused, denied("/nodes, Sys.Audit"));
    assert_eq!(told(&simulator, put("host")).await.0, 200);
    let newer = world()
        .with_version("9.2.6")
        .with_role_for("ci@pve", "PVEVMAdmin", "/vms")
        .with_role_for("ci@pve", "PVEAuditor", "/nodes");
    let simulator = Simulator::new(newer);
    let refused = told(&simulator, put("cputype=custom-avx")).await;
    assert_eq!(refused, denied("/mapping/cpu/avx, Mapping.Use"));
    // Who may not choose a model may change what else is said of the processor.
    let root = simulator.connect().node("pve1").qemu(200);
    let model = |text: &str| QemuConfig::new().with("cpu", text);
    root.ensure_config(&model("custom-avx")).await.unwrap();
    assert_eq!(told(&simulator, put("custom-avx,hidden=1")).await.0, 200);
    let clone = Request::new(Method::Post, "/nodes/pve1/qemu/200/clone", &[]);
    let refused = told(&simulator, clone.with("newid", "201")).await;
    assert_eq!(refused, denied("/mapping/cpu/avx, Mapping.Use"));
}

#[tokio::test(start_paused = true)]
async fn of_all_guests_those_are_backed_up_that_one_may_back_up_and_a_pool_fails() {
    let (simulator, client) = with(&[
        ("PVEDatastoreUser", "/storage/local"),
        ("PVEVMUser", "/vms/100"),
    ]);
    let node = client.node("pve1");
    let options = BackupOptions::to("local");
    node.vzdump(&BackupGuests::all(), &options).await.unwrap();
    let made = simulator.connect().node("pve1").storage("local");
    let made = made.backups(None).await.unwrap();
    let guests: Vec<_> = made.iter().map(|backup| backup.vmid).collect();
    assert_eq!(guests, [Some(100)]);
    let pool = simulator.connect().pool("both");
    pool.ensure("").await.unwrap();
    pool.ensure_guests(&[100, 200]).await.unwrap();
    let error = node.vzdump(&BackupGuests::pool("both"), &options).await;
    assert_eq!(
        error.unwrap_err().missing_right().unwrap().to_string(),
        "VM.Backup on /vms/200"
    );
}

#[tokio::test(start_paused = true)]
async fn a_job_for_a_pool_asks_for_backups_on_the_pool() {
    let job = |pool: &str| {
        let request = Request::new(Method::Post, "/cluster/backup", &[]);
        let request = request.with("schedule", "daily").with("storage", "local");
        request.with("pool", pool)
    };
    let give = world()
        .with_role("Jobs", &["Sys.Modify"])
        .with_role_for("ci@pve", "Jobs", "/")
        .with_role_for("ci@pve", "PVEDatastoreAdmin", "/storage/local");
    let simulator = Simulator::new(give);
    simulator.connect().pool("web").ensure("").await.unwrap();
    for (pool, why) in [
        ("web", "Permission check failed (/pool/web, VM.Backup)"),
        (
            "none",
            "Permission check failed (pool 'none' does not exist)",
        ),
    ] {
        assert_eq!(told(&simulator, job(pool)).await, (403, why.to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_roots_alone_is_refused_before_it_is_sent() {
    let world = world().with_user("root@pam", "root-password");
    let simulator = Simulator::new(world.with_role_for("ci@pve", "Administrator", "/"));
    let token = simulator.builder().token(format!("{TOKEN}=s"));
    let log_in = |user, password| simulator.builder().login(Login::new(user, password));
    let (token, user, root) = (
        token.check_caller().build().unwrap(),
        log_in("ci@pve", "ci-password")
            .check_caller()
            .build()
            .unwrap(),
        log_in("root@pam", "root-password")
            .check_caller()
            .build()
            .unwrap(),
    );
    let config = |key: &str, value: &str| {
        Request::new(Method::Put, "/nodes/pve1/qemu/100/config", &[]).with(key, value)
    };
    let execute = || Request::new(Method::Post, "/nodes/pve1/execute", &[]);
    let password = || Request::new(Method::Get, "/access/tfa", &[]);
    for client in [&token, &user] {
        for request in [config("args", "-x"), config("delete", "args"), execute()] {
            simulator.clear_journal();
            let error = client.request(request).await.unwrap_err();
            assert_eq!((error.kind(), error.sent()), (Kind::RootOnly, Sent::No));
            assert!(simulator.journal().is_empty(), "{error}");
        }
        let fine = config("name", "renamed").with_flag("skiplock", false);
        client.request(fine).await.unwrap();
    }
    root.request(config("args", "-x")).await.unwrap();
    let unlock = Request::new(Method::Put, "/access/password", &[]);
    let unlock = unlock
        .with("userid", "ci@pve")
        .with("password", "long enough");
    let error = token.request(unlock).await.unwrap_err();
    assert_eq!((error.kind(), error.sent()), (Kind::TicketOnly, Sent::No));
    user.request(password()).await.unwrap();
}

/// Two lists of the same, made apart: that of the generated calls, and the simulator's handlers.
#[tokio::test(start_paused = true)]
async fn what_is_known_to_be_roots_alone_the_server_refuses_to_others() {
    use proxmox_client::rights::Reserved;
    let (simulator, _) = with(&[("Administrator", "/")]);
    let path = "/nodes/pve1/qemu/100/config";
    let mut tried = 0;
    for (key, value) in [
        ("affinity", "0-3"),
        ("amd-sev", "std"),
        ("arch", "x86_64"),
        ("args", "-x"),
        ("hookscript", "local:snippets/a.sh"),
        ("hugepages", "2"),
        ("intel-tdx", "tdx,attestation=1"),
        ("ivshmem", "size=16"),
        ("keephugepages", "0"),
        ("lock", "backup"),
        ("parallel0", "/dev/parport0"),
        ("spice_enhancements", "foldersharing=1"),
        ("vmgenid", "1"),
    ] {
        let request = Request::new(Method::Put, path, &[]).with(key, value);
        assert_eq!(Reserved::of(&request).len(), 1, "{key}");
        let (status, why) = told(&simulator, request).await;
        assert_eq!(
            (status, why),
            (500, format!("only root can set '{key}' config"))
        );
        tried += 1;
    }
    let info = proxmox_client::api::find(Method::Put, path).unwrap();
    let flags = ["skiplock"];
    let known = info.root_parameters.iter();
    assert_eq!(known.filter(|name| !flags.contains(name)).count(), tried);
}

#[tokio::test(start_paused = true)]
async fn rights_are_read_of_oneself_of_others_and_of_a_path() {
    let (simulator, client) = with(&[("PVEVMUser", "/vms"), ("NoAccess", "/vms/200")]);
    let access = client.access();
    let own = access.permissions().await.unwrap();
    assert_eq!(own.paths().collect::<Vec<_>>(), ["/vms"]);
    assert!(own.allows("/vms/100", "VM.Console"));
    assert!(!own.allows("/vms/100", "VM.Allocate"));
    // Where access is taken away the whole answer is silent; the path's own is not.
    let there = access.permissions_on("/vms/200").await.unwrap();
    assert!(!there.allows("/vms/200", "VM.Console"));
    let of_other = access.permissions_of("root@pam").await.unwrap_err();
    let right = of_other.missing_right().unwrap();
    assert_eq!(right.to_string(), "Sys.Audit on /access");
    let root = simulator.connect().access();
    let same = root.permissions_of(TOKEN).await.unwrap();
    assert_eq!(same, own);
    let all = root.permissions().await.unwrap();
    assert!(all.allows("/anything/at/all", "Permissions.Modify"));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_inside_another_text_keeps_its_kind_and_its_right() {
    let (_simulator, client) = with(&[("PVEPoolAdmin", "/pool")]);
    let pool = client.pool("web");
    pool.ensure("").await.unwrap();
    let error = pool.ensure_guests(&[100]).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.status()),
        (Kind::Permission, Some(500))
    );
    let right = error.missing_right().unwrap();
    assert_eq!(
        right.to_string(),
        "Permissions.Modify or VM.Allocate on /vms/100"
    );
}

#[tokio::test(start_paused = true)]
async fn a_backup_of_a_guest_that_one_may_not_back_up_fails_in_its_task() {
    let (_simulator, client) = with(&[
        ("PVEDatastoreUser", "/storage/local"),
        ("PVEVMUser", "/vms/100"),
    ]);
    let node = client.node("pve1");
    let options = BackupOptions::to("local");
    node.back_up(100, &options).await.unwrap();
    let error = node.back_up(200, &options).await.unwrap_err();
    assert!(error.upid().is_some(), "the call itself is let through");
    assert_eq!(error.kind(), Kind::Permission);
    assert_eq!(
        error.missing_right().unwrap().to_string(),
        "VM.Backup on /vms/200"
    );
    let elsewhere = node.back_up(100, &BackupOptions::to("local-lvm")).await;
    assert_eq!(elsewhere.unwrap_err().status(), Some(403));
}

/// A role as documentations of Terraform providers tell it, on the places that one cluster needs.
#[tokio::test(start_paused = true)]
async fn a_token_with_the_least_rights_builds_its_machine_and_nothing_else() {
    let builder = [
        "VM.Allocate",
        "VM.Audit",
        "VM.Config.CDROM",
        "VM.Config.CPU",
        "VM.Config.Cloudinit",
        "VM.Config.Disk",
        "VM.Config.HWType",
        "VM.Config.Memory",
        "VM.Config.Network",
        "VM.Config.Options",
        "VM.PowerMgmt",
    ];
    let world = world()
        .with_role("Builder", &builder)
        .with_separate_token("ci@pve!least", "s")
        .with_role_for("ci@pve", "Administrator", "/");
    let give = [
        ("Builder", "/vms/8101"),
        ("PVEDatastoreUser", "/storage/local-lvm"),
        ("PVEDatastoreUser", "/storage/local"),
        ("PVESDNUser", "/sdn/zones/localnetwork/vmbr0/20"),
    ];
    let world = give.iter().fold(world, |world, (role, path)| {
        world.with_role_for("ci@pve!least", role, path)
    });
    let simulator = Simulator::new(world);
    let client = simulator.builder().token("ci@pve!least=s").build().unwrap();
    let wanted = QemuConfig::new()
        .with_name("talos-cp-1")
        .with_cores(4)
        .with_memory_mib(4096)
        .with_drive(
            "scsi0",
            Drive::import("local-lvm", "local:import/talos.qcow2"),
        )
        .with_net(0, Nic::virtio("vmbr0").with_tag(20u16));
    let node = client.node("pve1");
    let vm = node.create_qemu(8101, wanted.clone()).await.unwrap().qemu;
    vm.grow_disk("scsi0", Size::gib(32)).await.unwrap();
    vm.start().await.unwrap();
    vm.ensure_config(&wanted).await.unwrap();
    assert!(vm.status().await.unwrap().is_running());

    let denied = |error: proxmox_client::Error| {
        assert_eq!(error.kind(), Kind::Permission, "{error}");
    };
    denied(node.create_qemu(8102, wanted.clone()).await.unwrap_err());
    denied(node.qemu(100).start().await.unwrap_err());
    denied(node.qemu(100).config().await.unwrap_err());
    denied(vm.clone_to(8103, CloneOptions::new()).await.unwrap_err());
    denied(node.status().await.unwrap_err());
    let other_net = QemuConfig::new().with_net(1, Nic::virtio("vmbr0"));
    denied(vm.ensure_config(&other_net).await.unwrap_err());
    let elsewhere = QemuConfig::new().with_drive("scsi1", Drive::allocate("local-hdd", 1));
    denied(vm.ensure_config(&elsewhere).await.unwrap_err());
    let ids: Vec<u32> = client
        .resources(None)
        .await
        .unwrap()
        .iter()
        .filter_map(|entry| entry.vmid)
        .collect();
    assert_eq!(ids, [8101]);
}
