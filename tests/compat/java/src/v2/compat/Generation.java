package compat;

import java.util.Map;

final class Generation {

    private Generation() {
    }

    static void addTo(Map<String, Op> ops, Clients clients) {
        Grpc.addTo(ops, clients);
        Batch.addTo(ops, clients);
    }
}
