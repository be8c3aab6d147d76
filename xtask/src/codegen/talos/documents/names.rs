//! From keys and values of the configuration to names in Rust.

/// `nodeCIDRMaskSizeIPv4` in words: `node`, `CIDR`, `Mask`, `Size`, `IPv4`.
fn words(key: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for part in key.split(['-', '_', '.', '/']) {
        let letters: Vec<char> = part.replace("IPv", "Ipv").chars().collect();
        let mut word = String::new();
        for (at, &letter) in letters.iter().enumerate() {
            let before = at.checked_sub(1).map(|at| letters[at]);
            // The letter after, where a plural of capitals (`SANs`) counts as the capitals alone.
            let after = letters.get(at + 1).copied();
            let plural =
                after == Some('s') && letters.get(at + 2).is_none_or(|next| next.is_uppercase());
            let starts = letter.is_uppercase()
                && before.is_some_and(|before| {
                    !before.is_uppercase() || (after.is_some_and(char::is_lowercase) && !plural)
                });
            if starts && !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            word.push(letter);
        }
        if !word.is_empty() {
            words.push(word);
        }
    }
    words
}

/// `clusterDNS` is `cluster_dns`; a word of the language is written raw.
pub(super) fn field(key: &str) -> String {
    let name = plain(key);
    if ["type", "static", "match", "mod", "use", "ref", "in"].contains(&name.as_str()) {
        format!("r#{name}")
    } else {
        name
    }
}

/// The name without the mark of a raw word, for `with_` and for texts.
pub(super) fn plain(key: &str) -> String {
    words(key).join("_").to_lowercase()
}

/// `adLACPActive` is `AdLacpActive`.
pub(super) fn pascal(key: &str) -> String {
    words(key).iter().map(|word| capital(word)).collect()
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + &letters.as_str().to_lowercase()
    })
}

/// The variant of a value: `balance-rr` is `BalanceRr`, `layer3+4` is `Layer3And4`, `802.3ad` is `Ieee8023ad`.
pub(super) fn variant(value: &str) -> String {
    if value.is_empty() {
        return "Unset".to_owned();
    }
    if let Some(standard) = value.strip_prefix("802.") {
        return format!("Ieee802{standard}");
    }
    if value.starts_with(|first: char| first.is_ascii_digit()) {
        return format!("V{}", value.replace('.', "_"));
    }
    let parts = value.split(['-', '_', '.', '+', '/', ',']);
    let joined = if value.contains('+') { "And" } else { "" };
    let capitals: Vec<String> = parts
        .map(|part| {
            let mut letters = part.chars();
            letters.next().map_or_else(String::new, |first| {
                first.to_uppercase().collect::<String>() + letters.as_str()
            })
        })
        .collect();
    let name = capitals.join(joined);
    // All capitals (`RBAC`) would not be a name in Rust's manner.
    if name.chars().all(char::is_uppercase) {
        capital(&name)
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capitals_are_one_word_and_plurals_belong_to_them() {
        for (key, name) in [
            ("clusterDNS", "cluster_dns"),
            ("certSANs", "cert_sans"),
            ("acceptedCAs", "accepted_cas"),
            ("allowedIPs", "allowed_ips"),
            ("issuerURL", "issuer_url"),
            ("forwardKubeDNSToHost", "forward_kube_dns_to_host"),
            ("nodeCIDRMaskSizeIPv4", "node_cidr_mask_size_ipv4"),
            ("kubernetesTalosAPIAccess", "kubernetes_talos_api_access"),
            ("tlsServerName", "tls_server_name"),
            ("rx-mini", "rx_mini"),
            ("nsIp6Targets", "ns_ip6_targets"),
            ("grubUseUKICmdline", "grub_use_uki_cmdline"),
            ("type", "r#type"),
        ] {
            assert_eq!(field(key), name, "{key}");
        }
    }

    #[test]
    fn values_become_variants() {
        for (value, name) in [
            ("balance-rr", "BalanceRr"),
            ("layer3+4", "Layer3And4"),
            ("802.3ad", "Ieee8023ad"),
            ("1.2", "V1_2"),
            ("", "Unset"),
            ("RBAC", "Rbac"),
            ("DoT", "DoT"),
        ] {
            assert_eq!(variant(value), name, "{value}");
        }
    }
}
