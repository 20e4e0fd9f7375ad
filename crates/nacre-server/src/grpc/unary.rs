//! One message in, one message out: the framing of gRPC without a library's layers in between. Five bytes stand in front
//! of a message: whether it is compressed, and its length. Requests that may be compressed take the library's road.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use nacre_wire::grpc::Payload;
use prost::Message;
use tonic::Status;

/// Compressed or not, and the length.
const PREFIX: usize = 5;

/// Whether the header leaves the messages as they are.
pub fn is_plain<B>(request: &Request<B>) -> bool {
    request.headers().get("grpc-encoding").is_none_or(|encoding| encoding == "identity")
}

/// The message of a call that is not compressed, of at most so many bytes; waits for the end of the client's side.
pub async fn read<B>(mut body: B, limit: usize) -> Result<Payload, Status>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let broken = |error: B::Error| Status::from_error(Box::new(error));
    let mut read = Bytes::new();
    let message = loop {
        if let Some(message) = cut(&mut read, limit)? {
            break message;
        }
        let Some(frame) = body.frame().await else {
            let text =
                if read.is_empty() { "The request has no message." } else { "The request's message is cut off." };
            return Err(Status::internal(text));
        };
        if let Ok(data) = frame.map_err(broken)?.into_data() {
            read = joined(read, data);
        }
    };
    // Whatever else comes is none of the call's.
    while !body.is_end_stream()
        && let Some(frame) = body.frame().await
    {
        frame.map_err(broken)?;
    }
    Payload::decode(message).map_err(|error| Status::internal(error.to_string()))
}

/// The first message, if it is whole.
fn cut(read: &mut Bytes, limit: usize) -> Result<Option<Bytes>, Status> {
    let Some(&[flag, a, b, c, d]) = read.first_chunk::<PREFIX>() else { return Ok(None) };
    if flag != 0 {
        return Err(Status::internal("The message is compressed, but no grpc-encoding says how."));
    }
    let size = u32::from_be_bytes([a, b, c, d]) as usize;
    if size > limit {
        return Err(Status::resource_exhausted(format!("gRPC message exceeds maximum size {limit}: {size}")));
    }
    if read.len() < PREFIX + size {
        return Ok(None);
    }
    read.advance(PREFIX);
    Ok(Some(read.split_to(size)))
}

/// A message in pieces is copied, one in one piece is not.
fn joined(read: Bytes, data: Bytes) -> Bytes {
    if read.is_empty() {
        return data;
    }
    let mut all = read.try_into_mut().unwrap_or_else(|read| {
        let mut all = BytesMut::with_capacity(2 * (read.len() + data.len()));
        all.extend_from_slice(&read);
        all
    });
    all.extend_from_slice(&data);
    all.freeze()
}

/// The answer of a call that went well.
pub fn answer(payload: &Payload) -> Response<Answer> {
    let size = payload.encoded_len();
    let mut message = Vec::with_capacity(PREFIX + size);
    message.push(0);
    message.put_u32(u32::try_from(size).unwrap_or(u32::MAX));
    payload.encode_raw(&mut message);
    let mut response = Response::new(Answer::Message(message.into()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// What is still to be sent of an answer.
#[derive(Debug)]
pub enum Answer {
    Message(Bytes),
    Status,
    Nothing,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let (frame, rest) = match std::mem::replace(&mut *self, Self::Nothing) {
            Self::Message(message) => (Frame::data(message), Self::Status),
            Self::Status => {
                let mut trailers = HeaderMap::with_capacity(1);
                trailers.insert("grpc-status", HeaderValue::from_static("0"));
                (Frame::trailers(trailers), Self::Nothing)
            }
            Self::Nothing => return Poll::Ready(None),
        };
        *self = rest;
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Nothing)
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use http_body_util::StreamBody;
    use tonic::Code;

    use super::*;

    fn framed(message: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.put_u32(message.len() as u32);
        bytes.extend_from_slice(message);
        bytes
    }

    async fn read_pieces(pieces: &[&[u8]], limit: usize) -> Result<Payload, Code> {
        let frames = pieces.iter().map(|piece| Ok::<_, Infallible>(Frame::data(Bytes::copy_from_slice(piece))));
        let frames: Vec<_> = frames.collect();
        read(StreamBody::new(stream::iter(frames)), limit).await.map_err(|status| status.code())
    }

    #[tokio::test]
    async fn a_message_may_come_in_any_pieces() {
        let payload = Payload::push("HealthCheckRequest", "10.0.0.1", Bytes::from_static(b"{\"headers\":{}}"));
        let bytes = framed(&payload.encode_to_vec());
        for size in 1..=bytes.len() {
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            assert_eq!(read_pieces(&pieces, 100).await.as_ref(), Ok(&payload), "pieces of {size}");
        }
        let more = [&bytes[..], b"more than one message"];
        assert_eq!(read_pieces(&more, 100).await, Ok(payload.clone()));
        assert_eq!(read_pieces(&[&framed(b"")], 0).await, Ok(Payload::default()));
    }

    #[tokio::test]
    async fn what_is_no_message_is_refused() {
        let bytes = framed(&Payload::push("T", "", Bytes::new()).encode_to_vec());
        assert_eq!(read_pieces(&[], 100).await, Err(Code::Internal));
        assert_eq!(read_pieces(&[&bytes[..3]], 100).await, Err(Code::Internal));
        assert_eq!(read_pieces(&[&bytes[..bytes.len() - 1]], 100).await, Err(Code::Internal));
        assert_eq!(read_pieces(&[&bytes], bytes.len() - PREFIX - 1).await, Err(Code::ResourceExhausted));
        // Refused by what its length says, not when it has come.
        assert_eq!(read_pieces(&[&[0, 0xff, 0xff, 0xff, 0xff]], 100).await, Err(Code::ResourceExhausted));
        assert_eq!(read_pieces(&[&framed(b"\xff\xff")], 100).await, Err(Code::Internal));
        let mut compressed = bytes;
        compressed[0] = 1;
        assert_eq!(read_pieces(&[&compressed], 100).await, Err(Code::Internal));
    }

    #[tokio::test]
    async fn an_answer_is_a_message_and_a_status() {
        let payload = Payload::answer("InstanceResponse", Bytes::from_static(b"{\"success\":true}"));
        let response = answer(&payload);
        assert_eq!(response.headers()["content-type"], "application/grpc");
        let body = response.into_body().collect().await.unwrap();
        assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
        assert_eq!(body.to_bytes(), framed(&payload.encode_to_vec()));
    }
}
