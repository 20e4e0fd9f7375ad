//! Framing of [`Payload`]: tonic's protobuf codec with buffers that start small. The default of 8 KiB a direction would
//! be most of what an idle connection costs.

use nacre_wire::grpc::Payload;
use tonic::codec::{BufferSettings, Codec};
use tonic_prost::{ProstDecoder, ProstEncoder};

/// First allocation of a message buffer; grows with the message.
const BUFFER: usize = 512;
/// A body is handed to HTTP/2 once this much is encoded.
const YIELD: usize = 32 * 1024;

#[derive(Clone, Copy, Debug, Default)]
pub struct PayloadCodec;

impl Codec for PayloadCodec {
    type Encode = Payload;
    type Decode = Payload;
    type Encoder = ProstEncoder<Payload>;
    type Decoder = ProstDecoder<Payload>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::new(BufferSettings::new(BUFFER, YIELD))
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::new(BufferSettings::new(BUFFER, YIELD))
    }
}
