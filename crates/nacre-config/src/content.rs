//! What a config's content is: its md5, its type, and the content type of an HTTP answer.

use std::sync::Arc;

use md5::{Digest, Md5};

/// The md5 that stands for "no config", on both sides of the wire.
pub const NO_MD5: &str = "";

/// Lower-case hex md5 over the UTF-8 bytes, as stored (ciphertext for encrypted configs).
pub fn md5(content: &str) -> Arc<str> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 32];
    for (byte, pair) in Md5::digest(content.as_bytes()).iter().zip(text.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    // Digits are ASCII.
    std::str::from_utf8(&text).unwrap_or_default().into()
}

/// Types a publish may name; anything else becomes `text` (Nacos 2.5.1/3.1 `ConfigType`).
pub const TYPES: [&str; 8] = ["properties", "xml", "json", "text", "html", "yaml", "toml", "unset"];

/// The type a publish is stored with: a known one as it is, everything else `text`.
pub fn config_type(given: Option<&str>) -> &'static str {
    match given {
        Some(given) => TYPES.iter().copied().find(|known| *known == given).unwrap_or("text"),
        None => "text",
    }
}

/// The type an import infers from a dataId's extension when its metadata names none.
pub fn type_of_data_id(data_id: &str) -> &'static str {
    match data_id.rsplit_once('.').map(|(_, extension)| extension) {
        Some("yml") => "yaml",
        Some("htm") => "html",
        extension => config_type(extension),
    }
}

/// The HTTP content type of a config type (Nacos up to 2.4; later versions always say `text/plain`).
pub fn mime(config_type: &str) -> &'static str {
    match config_type {
        "json" => "application/json;charset=UTF-8",
        "xml" => "application/xml;charset=UTF-8",
        "html" | "htm" => "text/html;charset=UTF-8",
        _ => "text/plain;charset=UTF-8",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn md5_is_over_the_bytes_as_they_are() {
        assert_eq!(&*md5(""), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(&*md5("v2"), "1b267619c4812cc46ee281747884ca50");
        assert_ne!(md5("\u{feff}a\r\n"), md5("a\n"));
    }

    #[test]
    fn unknown_types_become_text() {
        assert_eq!(config_type(Some("yaml")), "yaml");
        assert_eq!(config_type(Some("YAML")), "text");
        assert_eq!(config_type(Some("nonsense")), "text");
        assert_eq!(config_type(None), "text");
        assert_eq!(type_of_data_id("a.yml"), "yaml");
        assert_eq!(type_of_data_id("a.conf"), "text");
        assert_eq!(type_of_data_id("plain"), "text");
    }
}
