//! Bodies of HTTP requests.

use bytes::Bytes;
use futures::FutureExt;
use nacre_model::limits;
use nacre_server::http::{
    config::{metadata, zip},
    multipart as multiparts,
    params::Params,
};

/// A query or an urlencoded form: every pair without a broken escape is there, in order, and a name finds its first value.
pub fn form(data: &[u8]) {
    let mut params = Params::default();
    let (query, body) = crate::two(data);
    params.add_urlencoded(query);
    params.add_urlencoded(body);
    let wanted = [query, body].into_iter().flat_map(|part| part.split(|b| *b == b'&')).filter(|pair| is_taken(pair));
    let pairs: Vec<(String, String)> = params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    assert_eq!(pairs.len(), wanted.count().min(limits::HTTP_PARAMS as usize));
    for (name, _) in &pairs {
        let first = pairs.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
        assert_eq!(params.get(name), first);
    }
    let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let written: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    let mut again = Params::default();
    again.add_urlencoded(written.join("&").as_bytes());
    let back: Vec<(String, String)> = again.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    assert_eq!(back, pairs);
    let _ = params.required("ip");
    if let Some((name, _)) = pairs.first() {
        params.set(name, "x");
        assert_eq!(params.all(name).collect::<Vec<_>>(), ["x"]);
    }
}

/// Old Go clients send the JSON of a beat as it is, so its escapes may be broken.
fn is_taken(pair: &[u8]) -> bool {
    let whole = |text: &[u8]| {
        let mut rest = text.split(|byte| *byte == b'%');
        rest.next();
        rest.all(|after| after.len() >= 2 && after[..2].iter().all(u8::is_ascii_hexdigit))
    };
    let name = pair.split(|byte| *byte == b'=').next().unwrap_or(&[]);
    !pair.is_empty() && (whole(pair) || name == b"beat")
}

/// The first line is the content type, the rest the body.
pub fn multipart(data: &[u8]) {
    let (content_type, body) = crate::two(data);
    let mut params = Params::default();
    let content_type = crate::text(content_type);
    let read = multiparts::read(&mut params, &content_type, Bytes::copy_from_slice(body));
    let read = read.now_or_never().expect("the reader waits although the body is there");
    assert!(params.uploads.iter().all(|upload| upload.data.len() <= body.len()));
    if let Err(error) = read {
        assert_eq!(error.status, 400, "{error:?}");
    }
}

/// An archive that somebody uploads: what it unpacks to is bounded, and what we pack reads back.
pub fn import_zip(data: &[u8]) {
    let Some(entries) = zip::read(data) else { return };
    let unpacked: usize = entries.iter().filter_map(|entry| entry.data.as_ref().ok()).map(Vec::len).sum();
    assert!(unpacked as u64 <= limits::IMPORT_BYTES && entries.len() as u64 <= limits::IMPORT_ENTRIES);
    let whole: Vec<_> = entries.into_iter().filter(|entry| entry.data.is_ok()).collect();
    let mut writer = zip::Writer::default();
    for entry in &whole {
        let data = entry.data.as_ref().expect("chosen above");
        if writer.add(&entry.name, data).is_err() {
            return;
        }
    }
    let again = zip::read(&writer.finish()).expect("what we pack is an archive");
    let contents =
        |entries: &[zip::Entry]| entries.iter().map(|e| (e.name.clone(), e.data.clone())).collect::<Vec<_>>();
    assert_eq!(contents(&again), contents(&whole));
}

/// `.metadata.yml` and `.meta.yml` of an archive.
pub fn import_metadata(data: &[u8]) {
    let text = crate::text(data);
    if let Ok(items) = metadata::read(&text) {
        let written = metadata::write(&items);
        let again = metadata::read(&written).expect("what we write can be read");
        assert_eq!(again, items, "{written}");
    }
    let _ = metadata::read_old(&text);
}
