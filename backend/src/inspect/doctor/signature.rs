//! The signature by which nginx knows whether a module was built for it: the sizes of
//! three types and 35 flags of how it was configured, such as
//! `8,4,8,0011111111010111001111111111111111`. It stands as text in nginx's program and
//! in each of its modules (`ngx_module.h`).

/// The flags that differ between builds on one kind of machine, by their place.
const NAMES: [(usize, &str); 8] = [
    (13, "TCP fast open"),
    (22, "--with-threads or --with-compat"),
    (23, "PCRE"),
    (24, "--with-http_ssl_module or --with-compat"),
    (29, "--with-http_realip_module"),
    (31, "--with-http_dav_module"),
    (32, "the HTTP cache"),
    (34, "--with-compat"),
];

/// How many flags there are at least.
const FLAGS: usize = 20;

/// The signature in a program or module; `None` if there is none, so that it is
/// neither.
#[must_use]
pub fn find(bytes: &[u8]) -> Option<&str> {
    let is_flag = |byte: &u8| matches!(byte, b'0' | b'1');
    let commas = |at: usize| {
        let head = bytes.get(at..at + 6)?;
        let sizes = [head[0], head[2], head[4]];
        let is_head = sizes.iter().all(u8::is_ascii_digit)
            && [head[1], head[3], head[5]].iter().all(|byte| *byte == b',');
        is_head.then_some(at + 6)
    };
    (0..bytes.len()).find_map(|at| {
        // A comma in the second place is rare enough to be looked for first.
        if bytes.get(at + 1) != Some(&b',') {
            return None;
        }
        let flags = commas(at)?;
        let length = bytes[flags..]
            .iter()
            .take_while(|byte| is_flag(byte))
            .count();
        let text = bytes.get(at..flags + length)?;
        (length >= FLAGS).then(|| std::str::from_utf8(text).ok())?
    })
}

/// How the signature of a module differs from that of nginx, in words; empty if it
/// does not.
#[must_use]
pub fn differences(nginx: &str, module: &str) -> Vec<String> {
    let parts = |text: &str| -> Vec<String> { text.split(',').map(str::to_owned).collect() };
    let (nginx, module) = (parts(nginx), parts(module));
    let mut found = Vec::new();
    if nginx.len() != module.len() || nginx[..nginx.len() - 1] != module[..module.len() - 1] {
        found.push("sizes of types: another kind of machine".to_owned());
    }
    let flags = |parts: &[String]| parts.last().cloned().unwrap_or_default();
    let (ours, theirs) = (flags(&nginx), flags(&module));
    if ours.len() != theirs.len() {
        found.push("the number of flags: another age of nginx".to_owned());
        return found;
    }
    let pairs = ours.bytes().zip(theirs.bytes()).enumerate();
    found.extend(pairs.filter(|(_, (a, b))| a != b).map(|(at, (ours, _))| {
        // The first flag follows the sizes, which are number 0.
        let place = at + 1;
        let name = NAMES.iter().find(|(known, _)| *known == place);
        let name = name.map_or_else(|| format!("flag {place}"), |(_, name)| (*name).to_owned());
        match ours {
            b'1' => format!("{name}: nginx has it, the module was built without"),
            _ => format!("{name}: the module was built with it, nginx is without"),
        }
    }));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN: &str = "8,4,8,0011111111010111001111111111111111";

    #[test]
    fn a_signature_is_found_amidst_other_bytes() {
        let program = format!("\x7fELF 1,2,3 8,4,8,01\0{DEBIAN}\0more 7,7,7,");
        assert_eq!(find(program.as_bytes()), Some(DEBIAN));
        assert_eq!(find(b"8,4,8,0011"), None);
        assert_eq!(find(b""), None);
    }

    #[test]
    fn a_flag_that_differs_is_named_with_the_side_that_lacks_it() {
        let without = "8,4,8,0011111111010111001111111111111110";
        assert_eq!(
            differences(DEBIAN, without),
            ["--with-compat: nginx has it, the module was built without"]
        );
        assert_eq!(
            differences(without, DEBIAN),
            ["--with-compat: the module was built with it, nginx is without"]
        );
        assert!(differences(DEBIAN, DEBIAN).is_empty());
    }

    #[test]
    fn another_kind_of_machine_or_another_age_is_named() {
        let small = DEBIAN.replacen("8,4,8", "4,4,4", 1);
        assert_eq!(differences(DEBIAN, &small).len(), 1);
        assert_eq!(
            differences(DEBIAN, &format!("{DEBIAN}1")),
            ["the number of flags: another age of nginx"]
        );
    }
}
