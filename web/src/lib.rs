//! The dashboard's built files, embedded in the binary.
//!
//! With the feature `dashboard` the crate's build script builds the page in this folder with Node and [`asset`] finds its
//! files. Without it nothing is built, nothing is embedded, and [`asset`] finds nothing.

use std::borrow::Cow;

/// One file of the dashboard, with what an HTTP answer says about it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Asset {
    /// The file's content.
    pub bytes: Cow<'static, [u8]>,
    /// The value of `content-type`.
    pub content_type: &'static str,
    /// Whether the file's name changes with its content, so that it may be cached for ever.
    pub immutable: bool,
    /// The value of `etag`, with its quotation marks: the SHA-256 of the content in hex.
    pub etag: String,
}

/// The file at `path`, the path of a URL with or without its leading slash; the empty path is the page itself.
///
/// `None`: there is no such file, or the crate was built without the feature `dashboard`.
#[must_use]
pub fn asset(path: &str) -> Option<Asset> {
    let path = path.strip_prefix('/').unwrap_or(path);
    embedded(if path.is_empty() { "index.html" } else { path })
}

#[cfg(feature = "dashboard")]
fn embedded(path: &str) -> Option<Asset> {
    use rust_embed::RustEmbed;

    #[derive(RustEmbed)]
    #[folder = "$DASHBOARD_DIST_DIR"]
    struct Files;

    let file = Files::get(path)?;
    let digest: String = file.metadata.sha256_hash().iter().map(|byte| format!("{byte:02x}")).collect();
    Some(Asset {
        bytes: file.data,
        content_type: content_type(path),
        // Vite puts the content's hash into the name of what it writes to this folder.
        immutable: path.starts_with("assets/"),
        etag: format!("\"{digest}\""),
    })
}

#[cfg(not(feature = "dashboard"))]
fn embedded(_path: &str) -> Option<Asset> {
    None
}

/// By the name's ending. Every answer is sent with `nosniff`, so an ending missing here shows at once.
#[cfg(feature = "dashboard")]
fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}

#[cfg(all(test, feature = "dashboard"))]
mod tests {
    use super::*;

    /// The addresses that the page names in `src` and `href`.
    fn linked(page: &str) -> Vec<&str> {
        page.split(['"', '\'']).filter(|text| text.starts_with("./")).collect()
    }

    #[test]
    fn the_page_is_served_at_the_root_and_never_cached_for_ever() {
        let page = asset("/").expect("the page is embedded");
        assert_eq!(asset("index.html"), Some(page.clone()));
        assert_eq!(page.content_type, "text/html; charset=utf-8");
        assert!(!page.immutable);
    }

    #[test]
    fn every_file_the_page_names_is_embedded() {
        let page = asset("").expect("the page is embedded");
        let text = String::from_utf8(page.bytes.into_owned()).expect("HTML is UTF-8");
        let links = linked(&text);
        assert!(links.len() >= 3, "script, style and icon, got {links:?}");
        for link in links {
            let file = asset(&link[1..]).unwrap_or_else(|| panic!("{link} is not embedded"));
            assert_ne!(file.content_type, "application/octet-stream", "{link}");
            assert_eq!(file.immutable, link.starts_with("./assets/"), "{link}");
        }
    }

    #[test]
    fn the_page_has_no_inline_script_or_style() {
        let page = asset("").expect("the page is embedded");
        let text = String::from_utf8(page.bytes.into_owned()).expect("HTML is UTF-8");
        assert!(!text.contains("<style") && !text.contains("style="), "{text}");
        assert!(text.split("<script").skip(1).all(|tag| tag.starts_with(" type=\"module\"")), "{text}");
        assert!(text.split("<script").skip(1).all(|tag| tag.contains("src=")), "{text}");
    }

    #[test]
    fn an_etag_is_quoted_and_differs_between_files() {
        let (page, icon) = (asset("").expect("embedded"), asset("favicon.svg").expect("embedded"));
        assert!(page.etag.starts_with('"') && page.etag.ends_with('"') && page.etag.len() == 66);
        assert_ne!(page.etag, icon.etag);
    }

    #[test]
    fn an_unknown_path_is_not_the_page() {
        for path in ["nowhere", "/v1/node", "../Cargo.toml", "//index.html", "assets"] {
            assert_eq!(asset(path), None, "{path}");
        }
    }
}
