package compat;

import static compat.Clients.text;

import com.alibaba.nacos.api.config.ConfigType;
import java.util.Map;

/** What came with the gRPC clients: compare-and-set, typed publishing, a real shutdown. */
final class Grpc {

    private Grpc() {
    }

    static void addTo(Map<String, Op> ops, Clients clients) {
        ops.put("publish", a -> clients.config.publishConfig(text(a, "dataId"), text(a, "group"), text(a, "content"),
            a.hasNonNull("type") ? text(a, "type") : ConfigType.getDefaultType().getType()));
        ops.put("cas", a -> clients.config.publishConfigCas(text(a, "dataId"), text(a, "group"), text(a, "content"),
            text(a, "md5")));
        ops.put("shutdown", a -> {
            clients.naming.shutDown();
            clients.config.shutDown();
            return null;
        });
    }
}
