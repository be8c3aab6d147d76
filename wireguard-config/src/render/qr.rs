//! QR codes, which the WireGuard applications of telephones scan.

use std::fmt::Write as _;

use qrcodegen::{QrCode, QrCodeEcc};
use zeroize::Zeroizing;

use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};

use super::quick;

/// Light modules around the code; scanners need them.
const MARGIN: i32 = 4;

fn encode(config: &Config) -> Result<QrCode> {
    let text = quick::wg_quick(config);
    QrCode::encode_text(&text, QrCodeEcc::Low).map_err(|_| {
        Error::new(
            ErrorKind::TooLarge,
            format!("{} bytes do not fit into a QR code", text.len()),
        )
        .with_hint("a telephone needs one peer, its hub")
    })
}

/// The code in half blocks for a terminal with a dark background; every line ends with a line end. As secret as
/// the file.
///
/// # Errors
/// [`ErrorKind::TooLarge`] beyond 2,953 bytes.
pub fn terminal(config: &Config) -> Result<Zeroizing<String>> {
    let code = encode(config)?;
    let size = code.size();
    let light = |x: i32, y: i32| !code.get_module(x, y) && y < size + MARGIN;
    let mut out = Zeroizing::new(String::with_capacity(
        ((size + 8) * (size + 10) * 3) as usize,
    ));
    for y in (-MARGIN..size + MARGIN).step_by(2) {
        for x in -MARGIN..size + MARGIN {
            out.push(match (light(x, y), light(x, y + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        out.push('\n');
    }
    Ok(out)
}

/// The code as an SVG picture, 1 unit a module. As secret as the file.
///
/// # Errors
/// [`ErrorKind::TooLarge`] beyond 2,953 bytes.
pub fn svg(config: &Config) -> Result<Zeroizing<String>> {
    let code = encode(config)?;
    let side = code.size() + 2 * MARGIN;
    let mut out = Zeroizing::new(String::with_capacity(
        (code.size() * code.size() * 24) as usize + 512,
    ));
    // Writing into a String cannot fail.
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\"><rect width=\"{side}\" height=\"{side}\" fill=\"#fff\"/><path d=\""
    );
    for y in 0..code.size() {
        let mut x = 0;
        while x < code.size() {
            let start = x;
            while x < code.size() && code.get_module(x, y) {
                x += 1;
            }
            if x > start {
                let run = x - start;
                let _ = write!(out, "M{} {}h{run}v1h-{run}z", start + MARGIN, y + MARGIN);
            }
            x += 1;
        }
    }
    out.push_str("\"/></svg>\n");
    Ok(out)
}
