//! One binary for all targets: the first byte chooses.

#![no_main]

mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = data.split_first() else { return };
    match choice % 4 {
        0 => targets::documents(data),
        1 => targets::tools(data),
        2 => targets::states(data),
        _ => targets::inventories(data),
    }
});
