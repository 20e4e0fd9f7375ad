//! `multipart/form-data`: fields become parameters, files are kept apart.

use bytes::Bytes;
use nacre_model::{NacosError, limits::HTTP_PARAMS};

use super::params::{Params, Upload};

/// The field that imports expect their archive in.
const UPLOAD: &str = "file";

/// A `Content-Type` somebody wrote by hand (`curl -H 'Content-Type: multipart/form-data'`).
pub fn is_without_boundary(content_type: &str) -> bool {
    let multipart = content_type.trim_start().get(..10).is_some_and(|start| start.eq_ignore_ascii_case("multipart/"));
    multipart && !content_type.to_ascii_lowercase().contains("boundary=")
}

/// Whether nothing follows the last boundary: else the body was cut off.
fn is_over(body: &[u8], boundary: &str) -> bool {
    let mark = format!("--{boundary}");
    let after = memchr::memmem::rfind(body, mark.as_bytes()).and_then(|at| body.get(at + mark.len()..));
    after.is_none_or(|after| after.iter().all(|byte| b"-\r\n \t".contains(byte)))
}

/// Reads a whole body into `params`.
pub async fn read(params: &mut Params, content_type: &str, body: Bytes) -> Result<(), NacosError> {
    let bad = |error: multer::Error| NacosError::invalid(format!("the multipart body cannot be read: {error}"));
    // Every kind of multipart is read as a form.
    let named = content_type.split_once(';').map_or("", |(_, named)| named);
    let boundary = multer::parse_boundary(format!("multipart/form-data;{named}")).map_err(bad)?;
    let over = is_over(&body, &boundary);
    let stream = futures::stream::once(async move { Ok::<_, std::convert::Infallible>(body) });
    let mut multipart = multer::Multipart::new(stream, boundary);
    loop {
        let field = match multipart.next_field().await {
            Ok(Some(field)) => field,
            Ok(None) => break,
            // Without a boundary there are no parts, and none need say that it is the last.
            Err(multer::Error::IncompleteStream) if over => break,
            Err(error) => return Err(bad(error)),
        };
        let name = field.name().unwrap_or("").to_owned();
        match field.file_name().map(str::to_owned) {
            Some(file_name) => {
                let data = field.bytes().await.map_err(bad)?;
                // `curl -F content=@flow.xml` means the parameter `content`; only imports mean a file (case C089).
                if name != UPLOAD
                    && let Ok(text) = std::str::from_utf8(&data)
                {
                    params.push(&name, text);
                }
                if (params.uploads.len() as u64) < HTTP_PARAMS {
                    params.uploads.push(Upload { name, file_name, data });
                }
            }
            None => {
                let data = field.bytes().await.map_err(bad)?;
                params.push(&name, &String::from_utf8_lossy(&data));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::is_without_boundary;

    #[test]
    fn a_type_written_by_hand_has_no_boundary() {
        for bare in ["multipart/form-data", " Multipart/Mixed; charset=utf-8"] {
            assert!(is_without_boundary(bare), "{bare}");
        }
        for whole in ["", "multipart/form-data; boundary=x", "multipart/form-data; BOUNDARY=x", "application/json"] {
            assert!(!is_without_boundary(whole), "{whole}");
        }
    }
}
