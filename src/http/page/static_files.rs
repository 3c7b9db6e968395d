//! The style sheet, the script and the pictures: inside the program, under names with a hash.
//!
//! A name changes with its content, so browsers may keep each file for good.

use std::sync::LazyLock;

use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// One file.
#[derive(Debug)]
pub struct StaticFile {
    /// The path, as pages link it: `/static/<name>.<hash>.<ext>`.
    pub path: String,
    /// The value of an `integrity` attribute.
    pub integrity: String,
    content_type: &'static str,
    content: Bytes,
}

/// Every file.
#[derive(Debug)]
pub struct StaticFiles {
    /// The style sheet.
    pub style: StaticFile,
    /// The script.
    pub script: StaticFile,
    /// The icon of the site.
    pub favicon: StaticFile,
    /// The picture on a document's tile.
    pub document: StaticFile,
    /// The mark of what is granted.
    pub granted: StaticFile,
    /// The mark of what is refused.
    pub refused: StaticFile,
    /// The mark of what has to be waited for.
    pub waiting: StaticFile,
    /// The mark of everything else.
    pub neutral: StaticFile,
}

const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";
const FOR_GOOD: &str = "public, max-age=31536000, immutable";

static FILES: LazyLock<StaticFiles> = LazyLock::new(StaticFiles::new);

/// Every file; named when first asked for.
#[must_use]
pub fn files() -> &'static StaticFiles {
    &FILES
}

/// `GET /static/{name}`.
pub async fn serve(Path(name): Path<String>) -> Response {
    let Some(file) = files().find(&name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, file.content_type),
        (header::CACHE_CONTROL, FOR_GOOD),
    ];
    (headers, file.content.clone()).into_response()
}

/// The picture of a document, for clients that ask for one by the document's name.
#[must_use]
pub fn document_picture() -> Response {
    let picture = &files().document;
    let kind = [(header::CONTENT_TYPE, picture.content_type)];
    (kind, picture.content.clone()).into_response()
}

impl StaticFiles {
    fn new() -> Self {
        let document = svg(
            "document",
            include_str!("../../../templates/static/document.svg"),
        );
        let style = include_str!("../../../templates/static/app.css")
            .replace("/static/document.svg", &document.path);
        let script = include_str!("../../../templates/static/app.js");
        Self {
            style: StaticFile::new("app", "css", CSS, style.into()),
            script: StaticFile::new("app", "js", JAVASCRIPT, script.into()),
            favicon: svg(
                "favicon",
                include_str!("../../../templates/static/favicon.svg"),
            ),
            document,
            granted: svg(
                "granted",
                include_str!("../../../templates/static/mark-granted.svg"),
            ),
            refused: svg(
                "refused",
                include_str!("../../../templates/static/mark-refused.svg"),
            ),
            waiting: svg(
                "waiting",
                include_str!("../../../templates/static/mark-waiting.svg"),
            ),
            neutral: svg(
                "neutral",
                include_str!("../../../templates/static/mark-neutral.svg"),
            ),
        }
    }

    fn find(&self, name: &str) -> Option<&StaticFile> {
        self.all()
            .into_iter()
            .find(|file| file.path.strip_prefix(FOLDER) == Some(name))
    }

    const fn all(&self) -> [&StaticFile; 8] {
        [
            &self.style,
            &self.script,
            &self.favicon,
            &self.document,
            &self.granted,
            &self.refused,
            &self.waiting,
            &self.neutral,
        ]
    }
}

const FOLDER: &str = "/static/";

impl StaticFile {
    fn new(name: &str, extension: &str, content_type: &'static str, content: Bytes) -> Self {
        let hash = Sha256::digest(&content);
        let short = const_hex::encode(&hash[..4]);
        Self {
            path: format!("{FOLDER}{name}.{short}.{extension}"),
            integrity: format!("sha256-{}", STANDARD.encode(hash)),
            content_type,
            content,
        }
    }
}

fn svg(name: &str, content: &'static str) -> StaticFile {
    StaticFile::new(name, "svg", SVG, content.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn get(path: &str) -> Response {
        let name = path.strip_prefix(FOLDER).unwrap();
        serve(Path(name.to_owned())).await
    }

    #[tokio::test]
    async fn every_file_is_served_for_good_with_its_type() {
        for file in files().all() {
            let response = get(&file.path).await;
            assert_eq!(response.status(), StatusCode::OK);
            let headers = response.headers();
            assert_eq!(headers[header::CONTENT_TYPE], file.content_type);
            assert_eq!(headers[header::CACHE_CONTROL], FOR_GOOD);
            let body = axum::body::to_bytes(response.into_body(), 1 << 20).await;
            assert_eq!(body.unwrap(), file.content);
        }
    }

    #[tokio::test]
    async fn another_name_or_hash_is_not_found() {
        let path = &files().style.path;
        let stale = path.replace(".css", "0.css");
        for path in [
            "/static/app.css",
            "/static/",
            "/static/../Cargo.toml",
            &stale,
        ] {
            assert_eq!(get(path).await.status(), StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[test]
    fn the_style_sheet_names_pictures_that_exist() {
        let style = String::from_utf8(files().style.content.to_vec()).unwrap();
        let mut urls = 0;
        for rest in style.split("url(").skip(1) {
            let url = rest.split(')').next().unwrap().trim_matches('"');
            assert!(files().all().iter().any(|file| file.path == url), "{url}");
            urls += 1;
        }
        assert!(urls > 0);
    }

    #[test]
    fn style_and_script_keep_to_what_internet_explorer_11_knows() {
        let style = include_str!("../../../templates/static/app.css");
        for newer in [
            "var(",
            "--",
            "gap:",
            "object-fit",
            "grid",
            "flex",
            "inset",
            "clamp(",
            "@supports",
        ] {
            assert!(!style.contains(newer), "{newer}");
        }
        let script = include_str!("../../../templates/static/app.js");
        for newer in [
            "=>", "let ", "const ", "`", "fetch(", "class ", "async", "...", "?.",
        ] {
            assert!(!script.contains(newer), "{newer}");
        }
    }

    #[test]
    fn pictures_and_style_need_nothing_from_elsewhere() {
        for file in files().all() {
            let content = String::from_utf8(file.content.to_vec()).unwrap();
            let content = content.replace("http://www.w3.org/2000/svg", "");
            for foreign in ["http:", "https:", "@import", "<script", "style=", "data:"] {
                assert!(!content.contains(foreign), "{foreign} in {}", file.path);
            }
        }
    }
}
