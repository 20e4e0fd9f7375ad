//! gRPC and its TLS.

use super::{Kind, Known, LONGEST, MIB, bytes, int, millis, row};

#[rustfmt::skip]
pub(super) const ROWS: &[Known] = &[
    row("nacos.remote.server.grpc.sdk.max-inbound-message-size", bytes(1024, 64 * MIB), "10485760", "2.2.1", "Max gRPC message on port+1000.").now().also(&["nacos.remote.server.grpc.maxinbound.message.size"]),
    row("nacos.remote.server.grpc.sdk.keep-alive-time", millis(1_000, LONGEST), "7200000", "2.2.1", "Server keep-alive ping period (ms).").now(),
    row("nacos.remote.server.grpc.sdk.keep-alive-timeout", millis(1_000, LONGEST), "20000", "2.2.1", "Keep-alive timeout (ms).").now(),
    row("nacos.remote.server.grpc.sdk.permit-keep-alive-time", millis(0, LONGEST), "300000", "2.2.1", "Minimum client ping interval; here no client is cut off for pinging.").never(),
    row("nacos.remote.server.grpc.cluster.max-inbound-message-size", bytes(1024, 64 * MIB), "10485760", "2.2.1", "As above, port+1001.").later(),
    row("nacos.remote.server.grpc.cluster.keep-alive-time", millis(0, LONGEST), "7200000", "2.2.1", "As above, port+1001.").later(),
    row("nacos.remote.server.grpc.cluster.keep-alive-timeout", millis(0, LONGEST), "20000", "2.2.1", "As above, port+1001.").later(),
    row("nacos.remote.server.grpc.cluster.permit-keep-alive-time", millis(0, LONGEST), "300000", "2.2.1", "As above, port+1001.").later(),
    row("nacos.remote.server.rpc.tls.enableTls", Kind::Bool, "false", "2.2.1", "TLS on the SDK gRPC port.").later(),
    row("nacos.remote.server.rpc.tls.mutualAuthEnable", Kind::Bool, "false", "2.2.1", "Require client certificates.").later(),
    row("nacos.remote.server.rpc.tls.compatibility", Kind::Bool, "true", "2.2.1", "Accept plaintext beside TLS on the same port.").later(),
    row("nacos.remote.server.rpc.tls.certChainFile", Kind::Text, "", "2.2.1", "Server certificate and key (file:, classpath:).").later(),
    row("nacos.remote.server.rpc.tls.certPrivateKey", Kind::Text, "", "2.2.1", "Server certificate and key (file:, classpath:).").later(),
    row("nacos.remote.server.rpc.tls.certPrivateKeyPassword", Kind::Text, "", "2.2.1", "Server certificate and key (file:, classpath:).").later().secret(),
    row("nacos.remote.server.rpc.tls.trustCollectionCertFile", Kind::Text, "", "2.2.1", "Client CA; trustAll skips verification.").later(),
    row("nacos.remote.server.rpc.tls.trustAll", Kind::Bool, "true", "2.2.1", "Client CA; trustAll skips verification.").later(),
    row("nacos.remote.server.rpc.tls.ciphers", Kind::Text, "", "2.2.1", "TLS details and certificate reload SPI.").later(),
    row("nacos.remote.server.rpc.tls.protocols", Kind::Text, "", "2.2.1", "TLS details and certificate reload SPI.").later(),
    row("nacos.remote.server.rpc.tls.sslProvider", Kind::Text, "", "2.2.1", "TLS details and certificate reload SPI.").later(),
    row("nacos.remote.server.rpc.tls.sslContextRefresher", Kind::Text, "", "2.2.1", "TLS details and certificate reload SPI.").later(),
    row("nacos.remote.peer.rpc.tls.*", Kind::Text, "", "2.4.0", "TLS on the cluster gRPC port.").later(),
    row("nacos.remote.server.rpc.protocol.negotiator.type", Kind::Text, "", "2.3.0", "Netty negotiator SPI type for the SDK port.").never(),
    row("nacos.remote.cluster.server.rpc.protocol.negotiator.type", Kind::Text, "", "2.4.0", "Netty negotiator SPI for the cluster port.").never(),
    row("nacos.server.grpc.port.offset", int(1, 20_000), "1000", "2.0.0", "Distance of the gRPC port from the main port; clients must be told the same.").now(),
];
