package compat;

import static compat.Clients.instances;
import static compat.Clients.text;

import java.util.Map;

/** What came with 2.2: batches. */
final class Batch {

    private Batch() {
    }

    static void addTo(Map<String, Op> ops, Clients clients) {
        ops.put("batch_register", a -> {
            clients.naming.batchRegisterInstance(text(a, "service"), text(a, "group"), instances(a.get("instances")));
            return null;
        });
        ops.put("batch_deregister", a -> {
            clients.naming.batchDeregisterInstance(text(a, "service"), text(a, "group"), instances(a.get("instances")));
            return null;
        });
    }
}
