//! A bare tonic server that answers every unary call with the same recorded payload: hyper's HTTP/2 and tonic's framing and
//! codec, without router, layers or anything of Nacos. That is less than `tonic::transport::Server` does for a call.

use std::{convert::Infallible, future::Ready, future::ready, io, pin::Pin};

use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use nacre_wire::grpc::{Payload, payload::STREAM_PATH};
use prost::Message;
use tokio::net::TcpListener;
use tokio_stream::{Stream, StreamExt, pending};
use tonic::{
    Request, Response, Status, Streaming,
    server::{Grpc, StreamingService, UnaryService},
};
use tonic_prost::ProstCodec;

/// Decodes the request and answers with what was recorded.
#[derive(Clone, Copy, Debug)]
struct Echo(&'static Payload);

impl UnaryService<Payload> for Echo {
    type Response = Payload;
    type Future = Ready<Result<Response<Payload>, Status>>;

    fn call(&mut self, request: Request<Payload>) -> Self::Future {
        std::hint::black_box(request.into_inner());
        ready(Ok(Response::new(self.0.clone())))
    }
}

/// Takes what clients say on their stream and never says anything.
#[derive(Clone, Copy, Debug)]
struct Silent;

type Pushes = Pin<Box<dyn Stream<Item = Result<Payload, Status>> + Send>>;

impl StreamingService<Payload> for Silent {
    type Response = Payload;
    type ResponseStream = Pushes;
    type Future = Ready<Result<Response<Pushes>, Status>>;

    fn call(&mut self, request: Request<Streaming<Payload>>) -> Self::Future {
        let mut said = request.into_inner();
        tokio::spawn(async move { while let Some(Ok(_)) = said.next().await {} });
        ready(Ok(Response::new(Box::pin(pending()))))
    }
}

/// Serves for as long as the runtime lives.
pub async fn serve(listener: TcpListener, answer: Vec<u8>) -> io::Result<()> {
    let answer = Payload::decode(&*answer).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let answer: &'static Payload = Box::leak(Box::new(answer));
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            let service = service_fn(move |request: http::Request<Incoming>| async move {
                let streams = request.uri().path() == STREAM_PATH;
                let mut grpc = Grpc::new(ProstCodec::<Payload, Payload>::default());
                Ok::<_, Infallible>(if streams {
                    grpc.streaming(Silent, request).await
                } else {
                    grpc.unary(Echo(answer), request).await
                })
            });
            let _ = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
