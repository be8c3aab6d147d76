//! Volumes and their encryption.

use talos_client::SystemVolume;
use talos_client::UserVolume;
use talos_client::documents::block::EncryptionKey;
use talos_client::documents::block::EncryptionSpec;

use super::{holds, refused};

#[test]
fn volumes() {
    let keys = || EncryptionSpec::luks2([EncryptionKey::node_id_in(0), EncryptionKey::tpm_in(1)]);
    holds(
        |patch| {
            patch.user_volume(
                UserVolume::new("longhorn", "!system_disk")
                    .min_size("10GiB")
                    .max_size("1TiB")
                    .grow(true)
                    .filesystem("ext4"),
            )
        },
        &[(
            10,
            14,
            &[
                "+kind: UserVolumeConfig",
                "+match: '!system_disk'",
                "+minSize: 10GiB",
                "+maxSize: 1TiB",
                "+grow: true",
                "+type: ext4",
            ],
        )],
    );
    holds(
        |patch| {
            patch
                .user_volume(UserVolume::directory("data"))
                .user_volume(UserVolume::whole_disk("disk", "!system_disk"))
        },
        &[(12, 14, &["+volumeType: directory", "+volumeType: disk"])],
    );
    holds(
        |patch| {
            patch.user_volume(
                UserVolume::new("v", "!system_disk")
                    .min_size("1GiB")
                    .encryption(keys()),
            )
        },
        &[(11, 14, &["+provider: luks2", "+nodeID: {}"])],
    );
    holds(
        |patch| {
            patch.system_volume(
                SystemVolume::ephemeral()
                    .selector("disk.transport == \"nvme\"")
                    .max_size("60GiB")
                    .grow(false),
            )
        },
        &[(
            10,
            14,
            &[
                "+match: disk.transport == \"nvme\"",
                "+maxSize: 60GiB",
                "+grow: false",
            ],
        )],
    );
    holds(
        |patch| {
            patch
                .disk_encryption("STATE", keys())
                .disk_encryption("EPHEMERAL", keys())
        },
        &[
            (
                10,
                10,
                &[
                    "+systemDiskEncryption:",
                    "+state:",
                    "+ephemeral:",
                    "+- nodeID: {}",
                ],
            ),
            (
                11,
                14,
                &["+name: STATE", "+encryption:", "+- slot: 0", "+nodeID: {}"],
            ),
        ],
    );
    refused(
        |patch| patch.user_volume(UserVolume::new("v", "")),
        &[9],
        "came with v1.10",
    );
    refused(
        |patch| patch.user_volume(UserVolume::directory("v")),
        &[11],
        "came with v1.12",
    );
    refused(
        |patch| patch.user_volume(UserVolume::new("v", "").filesystem("btrfs")),
        &[13],
        "this value; it came with v1.14",
    );
    refused(
        |patch| patch.user_volume(UserVolume::new("v", "").filesystem("zfs")),
        &[14],
        "not a known filesystem",
    );
    refused(
        |patch| patch.user_volume(UserVolume::new("v", "").min_size("much")),
        &[14],
        "not a size",
    );
    let locked = || EncryptionSpec::luks2([EncryptionKey::node_id_in(0).with_lock_to_state(true)]);
    refused(
        |patch| patch.disk_encryption("STATE", locked()),
        &[10],
        "lockToState",
    );
}
