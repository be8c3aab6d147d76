//! Documents: nothing is lost, and edits touch only the lines concerned.

use wireguard_config::{Change, Document, Peer, PublicKey};

const TEXT: &str = "# the cellar\r\n[Interface]\r\n  PrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\t# secret\r\n\r\n# Alice's laptop\r\n[Peer]\r\nPublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\r\nAllowedIPs = 10.0.0.2/32\r\n# Bob\r\n[Peer]\r\nPublicKey = TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=";

fn key(text: &str) -> PublicKey {
    text.parse().unwrap()
}

fn alice() -> PublicKey {
    key("xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=")
}

#[test]
fn a_text_prints_as_it_was() {
    assert_eq!(Document::parse(TEXT).unwrap().as_bytes(), TEXT.as_bytes());
    let odd = b"\xff\xfe[Peer\n\r\n= =\n#\x00\n";
    assert_eq!(Document::parse(odd).unwrap().as_bytes(), odd);
}

#[test]
fn comments_belong_to_the_section_below() {
    let document = Document::parse(TEXT).unwrap();
    let first: Vec<_> = document
        .sections()
        .map(|section| section.lines().next().unwrap().number())
        .collect();
    assert_eq!(first, [1, 5, 9]);
}

#[test]
fn setting_a_value_changes_nothing_else_in_the_line_or_file() {
    let mut document = Document::parse(TEXT).unwrap();
    assert_eq!(
        document
            .set_peer(&alice(), "allowedips", "10.0.0.9/32")
            .unwrap(),
        Change::Updated
    );
    assert_eq!(
        document.as_str().unwrap(),
        TEXT.replace("10.0.0.2/32", "10.0.0.9/32")
    );
    assert_eq!(
        document
            .set_peer(&alice(), "AllowedIPs", "10.0.0.9/32")
            .unwrap(),
        Change::Unchanged
    );
}

#[test]
fn a_new_key_takes_the_indent_and_line_end_of_its_section() {
    let mut document = Document::parse(TEXT).unwrap();
    assert_eq!(
        document.set_interface("MTU", "1420").unwrap(),
        Change::Created
    );
    assert_eq!(
        document.as_str().unwrap(),
        TEXT.replace("# secret\r\n", "# secret\r\n  MTU = 1420\r\n")
    );
    assert_eq!(document.unset_interface("mtu"), Change::Removed);
    assert_eq!(document.as_str().unwrap(), TEXT);
}

#[test]
fn removing_a_peer_takes_its_comment_and_leaves_the_others() {
    let mut document = Document::parse(TEXT).unwrap();
    assert_eq!(document.remove_peer(&alice()), Change::Removed);
    assert_eq!(
        document.as_str().unwrap(),
        "# the cellar\r\n[Interface]\r\n  PrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\t# secret\r\n\r\n# Bob\r\n[Peer]\r\nPublicKey = TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0="
    );
    assert_eq!(document.remove_peer(&alice()), Change::Unchanged);
}

#[test]
fn a_peer_is_added_at_the_end_once() {
    let mut document = Document::parse(TEXT).unwrap();
    let peer = Peer::new(PublicKey::from_bytes([9; 32]));
    assert_eq!(document.add_peer(&peer), Change::Created);
    assert_eq!(document.add_peer(&peer), Change::Unchanged);
    let expected = format!(
        "{TEXT}\r\n\r\n[Peer]\r\nPublicKey = {}\r\n",
        peer.public_key
    );
    assert_eq!(document.as_str().unwrap(), expected);
}

#[test]
fn a_value_cannot_break_out_of_its_line() {
    let mut document = Document::parse(TEXT).unwrap();
    assert!(
        document
            .set_interface("MTU", "1420\nPostUp = evil")
            .is_err()
    );
    assert!(document.set_interface("MT U", "1420").is_err());
    assert_eq!(document.as_str().unwrap(), TEXT);
}

#[test]
fn what_is_too_large_is_refused() {
    let long = vec![b'a'; (1 << 20) + 1];
    assert_eq!(
        Document::parse(&long).unwrap_err().kind(),
        wireguard_config::ErrorKind::TooLarge
    );
    let sections = "[Peer]\n".repeat(100_001);
    assert_eq!(
        Document::parse(&sections).unwrap_err().kind(),
        wireguard_config::ErrorKind::TooLarge
    );
}

#[test]
fn setting_a_list_leaves_no_other_line_that_counts() {
    let text = "[Interface]\nAddress = 10.0.0.1/24\n# both\nAddress = fd00::1/64 # six\n";
    let mut document = Document::parse(text).unwrap();
    assert_eq!(
        document.set_interface("Address", "10.0.0.9/24").unwrap(),
        Change::Updated
    );
    assert_eq!(
        document.as_str(),
        Some("[Interface]\n# both\nAddress = 10.0.0.9/24 # six\n")
    );
    assert!(document.set_interface("MTU", "14#20").is_err());
    assert_eq!(
        document.set_interface("PostUp", "echo # done").unwrap(),
        Change::Created
    );
}

#[test]
fn an_interface_is_made_where_stray_lines_stay_outside() {
    let mut document = Document::parse("MTU = 1\n[Peer]\n").unwrap();
    assert_eq!(
        document.set_interface("MTU", "1420").unwrap(),
        Change::Created
    );
    assert_eq!(
        document.as_str(),
        Some("MTU = 1\n[Interface]\nMTU = 1420\n[Peer]\n")
    );
}
