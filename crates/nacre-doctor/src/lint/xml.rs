//! XML: well-formed, without regard to namespaces, which Java's parsers leave alone unless they are told otherwise.

use roxmltree::{Document, Error, ParsingOptions};

use super::Complaint;

pub fn complaint(content: &str) -> Option<Complaint> {
    let error = Document::parse_with_options(content, ParsingOptions::default()).err()?;
    match error {
        // A document type may declare what the text uses; a prefix may be meant as it is; the rest are limits of this parser.
        Error::DtdDetected
        | Error::UnknownNamespace(..)
        | Error::NodesLimitReached
        | Error::AttributesLimitReached
        | Error::NamespacesLimitReached => return None,
        _ => {}
    }
    let place = error.pos();
    let text = error.to_string();
    // Its words end with the place.
    let what = text.split(" at ").next().unwrap_or(&text);
    Some(Complaint::error(place.row as usize, place.col as usize, what))
}
