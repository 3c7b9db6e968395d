//! The content of a document as a response: whole or a part of it, in constant memory.
//!
//! Whoever calls this has already decided that the person may have the document, and has redeemed
//! the launch ticket. The file is read in chunks of [`CHUNK_BYTES`], the next one only when the
//! connection has room for it; when the client goes away the response is dropped and no further
//! chunk is read. A file that shrinks or is rewritten meanwhile breaks the response off: the client
//! sees that it is incomplete, and never gets a mixture as a whole document.

use std::fs::File;
use std::future::Future;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Response, StatusCode, header};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::documents::{OpenFile, etag_of};
use crate::domain::time::Timestamp;

/// The most that is read at once, in bytes; a response holds one such chunk in memory.
pub const CHUNK_BYTES: u64 = 64 * 1024;

const HTTP_DATE: &[BorrowedFormatItem<'_>] = format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);

/// Answers `GET` with the file or the part of it that `Range` and `If-Range` ask for, and any other
/// method (`HEAD`) with the headers of the whole alone. Must be called within a tokio runtime.
///
/// One range is answered with 206, or 416 where it holds no byte of the file; several, or one that
/// cannot be understood, with the whole. The response breaks off when `session_ended` becomes true
/// or its sender goes away.
///
/// # Errors
///
/// The headers cannot be built, which only a mistake in this file can cause.
pub fn content(
    method: &Method,
    headers: &HeaderMap,
    open: OpenFile,
    session_ended: Option<watch::Receiver<bool>>,
) -> io::Result<Response<Body>> {
    let size = open.size_bytes;
    let last_modified = http_date(open.modified_at)?;
    let is_get = *method == Method::GET;
    let selection = if is_get && may_resume(headers, &open.etag, &last_modified) {
        select(headers, size)
    } else {
        Selection::Whole
    };
    let response = Response::builder()
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::CACHE_CONTROL, "no-store");
    let (response, part) = match selection {
        Selection::Whole => (response.status(StatusCode::OK), 0..size),
        Selection::Part(part) => {
            let (first, last) = (part.start, part.end - 1);
            let content_range = format!("bytes {first}-{last}/{size}");
            let response = response.status(StatusCode::PARTIAL_CONTENT);
            (response.header(header::CONTENT_RANGE, content_range), part)
        }
        Selection::Unsatisfiable => {
            return response
                .status(StatusCode::RANGE_NOT_SATISFIABLE)
                .header(header::CONTENT_RANGE, format!("bytes */{size}"))
                .body(Body::empty())
                .map_err(io::Error::other);
        }
    };
    response
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .header(header::CONTENT_DISPOSITION, attachment(&open.file_name))
        .header(header::CONTENT_LENGTH, part.end - part.start)
        .header(header::ETAG, &open.etag)
        .header(header::LAST_MODIFIED, last_modified)
        .body(if is_get {
            Body::new(FileBody::new(open, part, session_ended))
        } else {
            Body::empty()
        })
        .map_err(io::Error::other)
}

/// What of the file is sent.
#[derive(Debug, PartialEq, Eq)]
enum Selection {
    Whole,
    /// Never empty.
    Part(Range<u64>),
    Unsatisfiable,
}

/// Whether what the client has is of the file as it is now: without `If-Range` it says so itself.
///
/// A date counts only as it was sent: the very text of `Last-Modified`. A weak tag never counts.
fn may_resume(headers: &HeaderMap, etag: &str, last_modified: &str) -> bool {
    let mut validators = headers.get_all(header::IF_RANGE).iter();
    match (validators.next(), validators.next()) {
        (None, _) => true,
        (Some(validator), None) => {
            let validator = validator.as_bytes().trim_ascii();
            validator == etag.as_bytes() || validator == last_modified.as_bytes()
        }
        (Some(_), Some(_)) => false,
    }
}

fn select(headers: &HeaderMap, size: u64) -> Selection {
    let mut ranges = headers.get_all(header::RANGE).iter();
    let (Some(range), None) = (ranges.next(), ranges.next()) else {
        return Selection::Whole;
    };
    let wanted = range.to_str().ok().and_then(single_range);
    match wanted {
        None => Selection::Whole,
        Some(Wanted::From(first)) => part(first, size, size),
        Some(Wanted::Between(first, last)) => part(first, last.saturating_add(1).min(size), size),
        Some(Wanted::Last(count)) => part(size.saturating_sub(count), size, size),
    }
}

fn part(start: u64, end: u64, size: u64) -> Selection {
    if start < size {
        Selection::Part(start..end)
    } else {
        Selection::Unsatisfiable
    }
}

/// What a `Range` header asks for; `first <= last`.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    From(u64),
    Between(u64, u64),
    Last(u64),
}

/// None for another unit, several ranges, or what is no range.
fn single_range(text: &str) -> Option<Wanted> {
    let (unit, range) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.trim().split_once('-')?;
    match (first, last) {
        ("", count) => number(count).map(Wanted::Last),
        (first, "") => number(first).map(Wanted::From),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Wanted::Between(first, last))
        }
    }
}

/// Digits alone; what is too large for a file counts as the largest.
fn number(digits: &str) -> Option<u64> {
    let are_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    are_digits.then(|| digits.parse().unwrap_or(u64::MAX))
}

fn http_date(at: Timestamp) -> io::Result<String> {
    at.calendar().format(HTTP_DATE).map_err(io::Error::other)
}

/// `Content-Disposition` with the name twice: in ASCII for old clients, and whole (RFC 6266).
fn attachment(file_name: &str) -> String {
    let ascii: String = file_name.chars().map(plain).collect();
    format!(
        "attachment; filename=\"{ascii}\"; filename*=UTF-8''{}",
        percent_encoded(file_name)
    )
}

/// Whatever ends the quotes or the header, or is read in two ways by clients, becomes `_`.
fn plain(letter: char) -> char {
    match letter {
        '"' | '\\' | '/' | '%' | ';' => '_',
        ' '..='~' => letter,
        _ => '_',
    }
}

/// As RFC 8187 wants it: letters, digits and a few marks stay.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push_str(&const_hex::encode_upper([byte]));
        }
    }
    encoded
}

/// A part of a file as a response body.
struct FileBody {
    file: Arc<File>,
    etag: String,
    /// What was not sent yet.
    left: Range<u64>,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
    session_end: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl FileBody {
    fn new(open: OpenFile, part: Range<u64>, ended: Option<watch::Receiver<bool>>) -> Self {
        Self {
            file: Arc::new(open.file),
            etag: open.etag,
            left: part,
            reading: None,
            session_end: ended.map(|ended| Box::pin(session_end(ended)) as _),
        }
    }

    fn session_has_ended(&mut self, cx: &mut Context<'_>) -> bool {
        let end = self.session_end.as_mut();
        end.is_some_and(|end| end.as_mut().poll(cx).is_ready())
    }

    /// The next chunk; one read is under way at a time, on a thread that may wait for the disk.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let reading = self.reading.get_or_insert_with(|| {
            let (file, etag, left) = (Arc::clone(&self.file), self.etag.clone(), self.left.clone());
            spawn_blocking(move || read_chunk(&file, &left, &etag))
        });
        let chunk = ready!(Pin::new(reading).poll(cx));
        self.reading = None;
        Poll::Ready(chunk.map_err(io::Error::other).flatten())
    }

    fn break_off(&mut self, error: io::Error) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.left = 0..0;
        self.session_end = None;
        Poll::Ready(Some(Err(error)))
    }
}

impl HttpBody for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        if self.session_has_ended(cx) {
            return self.break_off(io::Error::other("the session has ended"));
        }
        match ready!(self.poll_chunk(cx)) {
            Ok(chunk) => {
                self.left.start += chunk.len() as u64;
                Poll::Ready(Some(Ok(Frame::data(chunk))))
            }
            Err(error) => self.break_off(error),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.end - self.left.start)
    }
}

/// Ends when the session does, and when nobody is left who could tell.
async fn session_end(mut ended: watch::Receiver<bool>) {
    let _told_or_abandoned = ended.wait_for(|ended| *ended).await;
}

/// Reads the chunk at the beginning of what is left. A shorter file is an error; so is, before the
/// last chunk is sent, a file that is no longer the one that was opened.
fn read_chunk(file: &File, left: &Range<u64>, etag: &str) -> io::Result<Bytes> {
    let length = CHUNK_BYTES.min(left.end - left.start);
    let mut chunk = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact_at(&mut chunk, left.start)?;
    let is_last = left.start + length == left.end;
    if is_last && etag_of(&file.metadata()?) != etag {
        return Err(io::Error::other("the document changed while it was sent"));
    }
    Ok(Bytes::from(chunk))
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use std::path::Path;

    use axum::body::to_bytes;

    use super::*;
    use crate::documents::test_folder::TestFolder;
    use crate::documents::{Library, Rules};

    const GET: Method = Method::GET;

    /// The one document of a folder.
    fn open(folder: &Path) -> OpenFile {
        let library = Library::new(folder, Rules::default());
        let snapshot = library.snapshot();
        library.open(&snapshot.documents()[0].id).unwrap().unwrap()
    }

    fn folder_with(content: &[u8]) -> TestFolder {
        let folder = TestFolder::new();
        folder.write("a.qvw", content);
        folder
    }

    fn header_map(headers: &[(header::HeaderName, &str)]) -> HeaderMap {
        let parsed =
            |(name, value): &(header::HeaderName, &str)| (name.clone(), value.parse().unwrap());
        headers.iter().map(parsed).collect()
    }

    fn text<'a>(response: &'a Response<Body>, name: &header::HeaderName) -> &'a str {
        response.headers()[name].to_str().unwrap()
    }

    async fn body(response: Response<Body>) -> Bytes {
        to_bytes(response.into_body(), usize::MAX).await.unwrap()
    }

    async fn next_frame(body: &mut Body) -> Option<Result<Bytes, axum::Error>> {
        let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await?;
        Some(frame.map(|frame| frame.into_data().unwrap()))
    }

    #[tokio::test]
    async fn the_whole_is_sent_with_its_headers() {
        let folder = folder_with(b"0123456789");
        let file = open(folder.path());
        let etag = file.etag.clone();
        let response = content(&GET, &HeaderMap::new(), file, None).unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        for (name, expected) in [
            (header::CONTENT_LENGTH, "10"),
            (header::ACCEPT_RANGES, "bytes"),
            (header::CONTENT_TYPE, "application/octet-stream"),
            (header::CACHE_CONTROL, "no-store"),
            (header::ETAG, &etag),
            (
                header::CONTENT_DISPOSITION,
                "attachment; filename=\"a.qvw\"; filename*=UTF-8''a.qvw",
            ),
        ] {
            assert_eq!(text(&response, &name), expected);
        }
        assert!(text(&response, &header::LAST_MODIFIED).ends_with(" GMT"));
        assert_eq!(body(response).await, "0123456789");
    }

    #[tokio::test]
    async fn every_form_of_range_at_its_boundaries() {
        let folder = folder_with(b"0123456789");
        let whole = "0123456789";
        for (range, status, sent, content_range) in [
            ("bytes=0-0", 206, "0", Some("bytes 0-0/10")),
            ("bytes=0-9", 206, whole, Some("bytes 0-9/10")),
            ("bytes=0-10", 206, whole, Some("bytes 0-9/10")),
            ("bytes=3-5", 206, "345", Some("bytes 3-5/10")),
            ("Bytes= 3-5 ", 206, "345", Some("bytes 3-5/10")),
            ("bytes=9-9", 206, "9", Some("bytes 9-9/10")),
            ("bytes=9-", 206, "9", Some("bytes 9-9/10")),
            ("bytes=0-", 206, whole, Some("bytes 0-9/10")),
            ("bytes=10-", 416, "", Some("bytes */10")),
            ("bytes=10-11", 416, "", Some("bytes */10")),
            ("bytes=-1", 206, "9", Some("bytes 9-9/10")),
            ("bytes=-10", 206, whole, Some("bytes 0-9/10")),
            ("bytes=-11", 206, whole, Some("bytes 0-9/10")),
            ("bytes=-0", 416, "", Some("bytes */10")),
            (
                "bytes=8-18446744073709551615",
                206,
                "89",
                Some("bytes 8-9/10"),
            ),
            (
                "bytes=8-99999999999999999999999",
                206,
                "89",
                Some("bytes 8-9/10"),
            ),
            (
                "bytes=99999999999999999999999-",
                416,
                "",
                Some("bytes */10"),
            ),
            (
                "bytes=-99999999999999999999999",
                206,
                whole,
                Some("bytes 0-9/10"),
            ),
            ("bytes=5-3", 200, whole, None),
            ("bytes=0-1,3-4", 200, whole, None),
            ("bytes=0-1,", 200, whole, None),
            ("bytes=-", 200, whole, None),
            ("bytes=", 200, whole, None),
            ("bytes", 200, whole, None),
            ("bytes=+1-2", 200, whole, None),
            ("bytes=1-0x2", 200, whole, None),
            ("bytes=1--2", 200, whole, None),
            ("bytes=a-", 200, whole, None),
            ("lines=0-1", 200, whole, None),
            ("", 200, whole, None),
        ] {
            let headers = header_map(&[(header::RANGE, range)]);
            let response = content(&GET, &headers, open(folder.path()), None).unwrap();
            assert_eq!(response.status(), status, "{range}");
            let given = response.headers().get(header::CONTENT_RANGE);
            assert_eq!(
                given.map(|given| given.to_str().unwrap()),
                content_range,
                "{range}"
            );
            if status != 416 {
                assert_eq!(
                    text(&response, &header::CONTENT_LENGTH),
                    sent.len().to_string()
                );
            }
            assert_eq!(body(response).await, sent, "{range}");
        }
    }

    #[tokio::test]
    async fn two_range_headers_are_answered_with_the_whole() {
        let folder = folder_with(b"0123456789");
        let headers = header_map(&[(header::RANGE, "bytes=0-1"), (header::RANGE, "bytes=3-4")]);
        assert_eq!(headers.len(), 2);
        let response = content(&GET, &headers, open(folder.path()), None).unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn an_empty_document_is_sent_and_has_no_ranges() {
        let folder = folder_with(b"");
        let response = content(&GET, &HeaderMap::new(), open(folder.path()), None).unwrap();
        assert_eq!(text(&response, &header::CONTENT_LENGTH), "0");
        assert_eq!(body(response).await, "");
        for range in ["bytes=0-", "bytes=0-0", "bytes=-5"] {
            let headers = header_map(&[(header::RANGE, range)]);
            let response = content(&GET, &headers, open(folder.path()), None).unwrap();
            assert_eq!(response.status(), StatusCode::RANGE_NOT_SATISFIABLE);
            assert_eq!(text(&response, &header::CONTENT_RANGE), "bytes */0");
        }
    }

    #[tokio::test]
    async fn a_download_resumes_only_where_the_document_is_the_same() {
        let folder = folder_with(b"0123456789");
        let file = open(folder.path());
        let weak = format!("W/{}", file.etag);
        let date = http_date(file.modified_at).unwrap();
        for (validator, status) in [
            (&*file.etag, 206),
            (&date, 206),
            (&weak, 200),
            ("\"other\"", 200),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 200),
            ("", 200),
        ] {
            let headers = header_map(&[(header::RANGE, "bytes=5-"), (header::IF_RANGE, validator)]);
            let response = content(&GET, &headers, open(folder.path()), None).unwrap();
            assert_eq!(response.status(), status, "{validator}");
        }
        let alone = header_map(&[(header::IF_RANGE, &file.etag)]);
        let response = content(&GET, &alone, open(folder.path()), None).unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn head_tells_of_the_whole_and_sends_nothing() {
        let folder = folder_with(b"0123456789");
        let headers = header_map(&[(header::RANGE, "bytes=5-")]);
        let response = content(&Method::HEAD, &headers, open(folder.path()), None).unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(text(&response, &header::CONTENT_LENGTH), "10");
        assert_eq!(body(response).await, "");
    }

    #[test]
    fn a_date_is_written_as_http_wants_it() {
        let written = |at| http_date(Timestamp(at)).unwrap();
        assert_eq!(written(784_111_777_999), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(written(-1), "Wed, 31 Dec 1969 23:59:59 GMT");
    }

    #[tokio::test]
    async fn no_file_name_splits_or_ends_the_header() {
        for (name, ascii, encoded) in [
            ("Größe.qvw", "Gr__e.qvw", "Gr%C3%B6%C3%9Fe.qvw"),
            ("a\"b.qvw", "a_b.qvw", "a%22b.qvw"),
            ("a\\b.qvw", "a_b.qvw", "a%5Cb.qvw"),
            (
                "a\r\nSet-Cookie: x=1.qvw",
                "a__Set-Cookie: x=1.qvw",
                "a%0D%0ASet-Cookie%3A%20x%3D1.qvw",
            ),
            ("a;b%41 c.qvw", "a_b_41 c.qvw", "a%3Bb%2541%20c.qvw"),
            ("a'b\u{7f}\u{85}.qvw", "a'b__.qvw", "a%27b%7F%C2%85.qvw"),
        ] {
            let folder = TestFolder::new();
            folder.write(name, b"x");
            let response = content(&GET, &HeaderMap::new(), open(folder.path()), None).unwrap();
            let expected = format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{encoded}");
            assert_eq!(text(&response, &header::CONTENT_DISPOSITION), expected);
        }
    }

    #[tokio::test]
    async fn a_large_document_is_sent_in_small_chunks() {
        let size = 50 * 1024 * 1024 + 1;
        let folder = folder_with(b"");
        let sparse = File::create(folder.path().join("a.qvw")).unwrap();
        sparse.set_len(size).unwrap();
        let mut body = content(&GET, &HeaderMap::new(), open(folder.path()), None)
            .unwrap()
            .into_body();
        let (mut sent, mut largest) = (0, 0);
        while let Some(chunk) = next_frame(&mut body).await {
            let length = chunk.unwrap().len() as u64;
            sent += length;
            largest = largest.max(length);
        }
        assert_eq!(sent, size);
        assert_eq!(largest, CHUNK_BYTES);
    }

    #[tokio::test]
    async fn a_document_that_shrinks_or_grows_breaks_the_response_off() {
        let chunk = usize::try_from(CHUNK_BYTES).unwrap();
        for new_length in [0, CHUNK_BYTES + 5, 3 * CHUNK_BYTES] {
            let folder = folder_with(&vec![7; 2 * chunk]);
            let mut body = content(&GET, &HeaderMap::new(), open(folder.path()), None)
                .unwrap()
                .into_body();
            assert_eq!(next_frame(&mut body).await.unwrap().unwrap().len(), chunk);
            let path = folder.path().join("a.qvw");
            let file = File::options().write(true).open(path).unwrap();
            file.set_len(new_length).unwrap();
            assert!(
                next_frame(&mut body).await.unwrap().is_err(),
                "{new_length}"
            );
            assert!(next_frame(&mut body).await.is_none());
        }
    }

    #[tokio::test]
    async fn a_document_that_is_replaced_is_sent_as_it_was() {
        let chunk = usize::try_from(CHUNK_BYTES).unwrap();
        let folder = folder_with(&vec![7; 2 * chunk]);
        let mut body = content(&GET, &HeaderMap::new(), open(folder.path()), None)
            .unwrap()
            .into_body();
        next_frame(&mut body).await.unwrap().unwrap();
        let new = folder.write("new", b"new");
        std::fs::rename(new, folder.path().join("a.qvw")).unwrap();
        assert_eq!(
            next_frame(&mut body).await.unwrap().unwrap(),
            vec![7; chunk]
        );
        assert!(next_frame(&mut body).await.is_none());
    }

    #[tokio::test]
    async fn the_response_breaks_off_when_the_session_ends() {
        let folder = folder_with(&vec![7; 200_000]);
        let (end, ended) = watch::channel(false);
        let mut body = content(&GET, &HeaderMap::new(), open(folder.path()), Some(ended))
            .unwrap()
            .into_body();
        assert!(next_frame(&mut body).await.unwrap().is_ok());
        end.send(true).unwrap();
        let error = next_frame(&mut body).await.unwrap().unwrap_err();
        assert_eq!(error.to_string(), "the session has ended");
        assert!(next_frame(&mut body).await.is_none());
    }

    #[tokio::test]
    async fn the_response_breaks_off_when_nobody_could_tell_of_the_end() {
        let folder = folder_with(b"0123456789");
        let (end, ended) = watch::channel(false);
        drop(end);
        let response = content(&GET, &HeaderMap::new(), open(folder.path()), Some(ended)).unwrap();
        assert!(to_bytes(response.into_body(), 100).await.is_err());
    }

    #[tokio::test]
    async fn a_session_that_lives_lets_the_whole_through() {
        let folder = folder_with(b"0123456789");
        let (_end, ended) = watch::channel(false);
        let response = content(&GET, &HeaderMap::new(), open(folder.path()), Some(ended)).unwrap();
        assert_eq!(body(response).await, "0123456789");
    }
}
