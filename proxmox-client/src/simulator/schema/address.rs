//! Addresses and networks as formats ask for them.

use std::net::{Ipv4Addr, Ipv6Addr};

pub(super) fn is_v4(text: &str) -> bool {
    text.parse::<Ipv4Addr>().is_ok()
}

pub(super) fn is_v6(text: &str) -> bool {
    text.parse::<Ipv6Addr>().is_ok()
}

pub(super) fn is_ip(text: &str) -> bool {
    is_v4(text) || is_v6(text)
}

/// An address and the length of its prefix.
fn network(text: &str) -> Option<(&str, u64)> {
    let (address, length) = text.split_once('/')?;
    let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    Some((address, length.parse().ok().filter(|_| digits)?))
}

/// A network of 8 bits or more; the server takes shorter prefixes for a mistake.
pub(super) fn is_network_v4(text: &str) -> bool {
    network(text).is_some_and(|(address, length)| is_v4(address) && (8..=32).contains(&length))
}

pub(super) fn is_network_v6(text: &str) -> bool {
    network(text).is_some_and(|(address, length)| is_v6(address) && (8..=128).contains(&length))
}

/// An address, or a network with any prefix that its family has.
pub(super) fn is_ip_or_network(text: &str) -> bool {
    match network(text) {
        None => is_ip(text),
        Some((address, length)) => {
            is_v4(address) && length <= 32 || is_v6(address) && length <= 128
        }
    }
}

/// A mask of set bits followed by cleared ones.
pub(super) fn is_mask(text: &str) -> bool {
    text.parse::<Ipv4Addr>().is_ok_and(|mask| {
        (!mask.to_bits()).wrapping_add(1).is_power_of_two() || mask.to_bits() == 0
    })
}

/// What rules of the firewall may name: a set, an alias, one range, or a list of addresses of one family.
pub(super) fn firewall_list(text: &str) -> Result<(), String> {
    if let Some(set) = text.strip_prefix('+')
        && !set.is_empty()
        && !set.contains(char::is_whitespace)
    {
        return match text.len() > 65 {
            true => Err("ipset name too long\n".to_owned()),
            false => Ok(()),
        };
    }
    if is_alias(text) {
        return match text.len() > 64 {
            true => Err("alias name too long\n".to_owned()),
            false => Ok(()),
        };
    }
    let elements: Vec<&str> = text.split(',').collect();
    if text.ends_with(',') {
        return Err("extraneous commas in list\n".to_owned());
    }
    let mut family = None;
    for element in &elements {
        let (first, last) = element.split_once('-').unwrap_or((element, element));
        if !is_ip_or_network(first) || !is_ip_or_network(last) {
            return Err(format!(
                "invalid IP address: Cannot determine IP version for {element}\n"
            ));
        }
        let is_six = element.contains(':');
        if family.is_some_and(|family| family != is_six) {
            return Err(format!(
                "detected mixed ipv4/ipv6 addresses in address list '{text}'\n"
            ));
        }
        family = Some(is_six);
    }
    match elements.len() > 1 && text.contains('-') {
        true => Err("you can't use a range in a list\n".to_owned()),
        false => Ok(()),
    }
}

/// `name`, `dc/name` or `guest/name`.
pub(super) fn is_alias(text: &str) -> bool {
    let name = text
        .strip_prefix("dc/")
        .or_else(|| text.strip_prefix("guest/"))
        .unwrap_or(text);
    let mut bytes = name.bytes();
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic())
        && name.len() > 1
        && bytes.all(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_have_a_prefix_that_is_plausible() {
        assert!(is_network_v4("10.0.0.0/8") && is_network_v4("10.0.0.1/32"));
        for wrong in [
            "10.0.0.0/7",
            "10.0.0.0/33",
            "10.0.0.0",
            "10.0.0/8",
            "10.0.0.0/+8",
            "::/0",
        ] {
            assert!(!is_network_v4(wrong), "{wrong}");
        }
        assert!(is_network_v6("fd00::/64") && !is_network_v6("fd00::/129"));
        assert!(is_ip_or_network("0.0.0.0/0") && !is_ip_or_network("0.0.0.0/33"));
        assert!(is_mask("255.255.128.0") && is_mask("0.0.0.0") && !is_mask("255.0.255.0"));
    }

    #[test]
    fn a_rule_names_a_set_an_alias_a_range_or_a_list() {
        for right in [
            "+dc/ipset",
            "dc/office",
            "lan-1",
            "10.0.0.1",
            "10.0.0.0/8,10.1.0.1",
            "10.0.0.1-10.0.0.9",
            "fd00::1",
        ] {
            assert_eq!(firewall_list(right), Ok(()), "{right}");
        }
        for (wrong, why) in [
            ("10.0.0.1,", "extraneous commas in list\n"),
            (
                "10.0.0.1,fd00::1",
                "detected mixed ipv4/ipv6 addresses in address list '10.0.0.1,fd00::1'\n",
            ),
            (
                "10.0.0.1-10.0.0.9,10.1.0.1",
                "you can't use a range in a list\n",
            ),
        ] {
            assert_eq!(firewall_list(wrong), Err(why.to_owned()), "{wrong}");
        }
    }
}
