package compat;

import java.util.Map;

/** What only the 1.x client does: HTTP with beats, UDP push, long polling. */
final class Generation {

    private Generation() {
    }

    static void addTo(Map<String, Op> ops, Clients clients) {
        // The 1.x shutDown waits three seconds for each of its thread pools and sends nothing: leaving is the same to the server.
        ops.put("shutdown", a -> null);
    }
}
