//! Keys: the texts of the tools, comparison, and secrecy.

use wireguard_config::{ErrorKind, PresharedKey, PrivateKey, PublicKey};

use crate::support::Seeded;

#[test]
fn a_public_key_is_what_wg_pubkey_prints() {
    let private = PrivateKey::from_base64("yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=").unwrap();
    assert_eq!(
        private.public_key().to_string(),
        "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw="
    );
}

#[test]
fn generated_keys_are_clamped_and_differ() {
    let mut random = Seeded::new(5);
    let (one, other) = (
        PrivateKey::generate(&mut random),
        PrivateKey::generate(&mut random),
    );
    assert!(one.is_clamped() && other.is_clamped());
    assert_ne!(one, other);
    assert_ne!(one.public_key(), other.public_key());
}

#[test]
fn clamping_does_not_change_the_public_key() {
    let key = PrivateKey::take_bytes(&mut [0xff; 32]);
    assert!(!key.is_clamped());
    assert_eq!(key.clamped().public_key(), key.public_key());
}

#[test]
fn taking_bytes_wipes_the_callers_copy() {
    let mut bytes = [7; 32];
    let key = PresharedKey::take_bytes(&mut bytes);
    assert_eq!(bytes, [0; 32]);
    assert_eq!(key.expose_bytes(), &[7; 32]);
}

#[test]
fn texts_go_both_ways() {
    let mut random = Seeded::new(6);
    for _ in 0..100 {
        let key = PrivateKey::generate(&mut random);
        assert_eq!(PrivateKey::from_base64(&key.expose_base64()).unwrap(), key);
        let mut hex = String::new();
        key.push_hex(&mut hex);
        assert_eq!(PrivateKey::from_hex(&hex).unwrap(), key);
        let public = key.public_key();
        assert_eq!(public.to_string().parse::<PublicKey>().unwrap(), public);
    }
}

#[test]
fn errors_and_debug_show_no_key() {
    let text = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk";
    let error = PrivateKey::from_base64(text).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Key);
    assert!(!format!("{error}{error:?}").contains("yAnz5"));
    let key = PrivateKey::from_base64(&format!("{text}=")).unwrap();
    assert_eq!(format!("{key:?}"), "PrivateKey(redacted)");
}
