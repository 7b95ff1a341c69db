//! Signal names: their hashes in a module, and their form in errors.

/// The hash by which a Circom 2 module identifies an input signal: 64-bit FNV-1a of the name
/// without `main.` and without trailing indices (`pathElements`, `order.items[2].price`).
pub fn signal_hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// Maximum length of a name in an error, in characters.
const SHOWN: usize = 96;

/// An untrusted name for an error message: escaped, and of bounded length.
pub(crate) fn shown(name: &str) -> String {
    let mut text: String = name.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if name.chars().nth(SHOWN).is_some() {
        text.push('…');
    }
    text
}

/// The key of the input that a `.sym` name belongs to, if it is one of `main`'s own signals or a
/// field of a bus of it: `main.path[3]` gives `path`, `main.order[1].price[0]` gives `order[1].price`.
///
/// Also returns names for signals of subcomponents, which `.sym` does not distinguish; a module has
/// no input with their hash.
pub(crate) fn input_key(sym: &str) -> Option<&str> {
    let mut name = sym.strip_prefix("main.")?;
    while let Some(open) = name.strip_suffix(']').and_then(|head| head.rfind('[')) {
        name = &name[..open];
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a() {
        // The test vectors of FNV's authors.
        assert_eq!(signal_hash(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(signal_hash("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(signal_hash("foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn a_sym_name_leads_to_the_key_of_its_input() {
        assert_eq!(input_key("main.a"), Some("a"));
        assert_eq!(input_key("main.a[2][13]"), Some("a"));
        assert_eq!(input_key("main.bus[1].x[0]"), Some("bus[1].x"));
        assert_eq!(input_key("one"), None);
    }

    #[test]
    fn names_from_outside_cannot_flood_or_steer_a_terminal() {
        assert_eq!(shown("a\u{1b}[2J\n"), "a\\u{1b}[2J\\n");
        assert_eq!(shown(&"x".repeat(1000)).chars().count(), SHOWN + 1);
    }
}
