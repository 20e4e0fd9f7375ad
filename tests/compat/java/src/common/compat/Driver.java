package compat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Obeys the runner: one JSON command per line on standard input, one JSON reply per line on standard output, and events
 * (pushes, config changes) between them as the SDK delivers them. What the operations mean stands in tests/compat/README.md.
 */
public final class Driver {

    private static final ObjectMapper JSON = new ObjectMapper();

    private static PrintStream out;

    private Driver() {
    }

    public static void main(String[] args) throws Exception {
        out = new PrintStream(System.out, false, "UTF-8");
        System.setOut(System.err);

        Map<String, Op> ops = new LinkedHashMap<>();
        Clients clients = new Clients(JSON.readTree(args[0]));
        clients.addTo(ops);
        Generation.addTo(ops, clients);

        Map<String, Object> hello = new LinkedHashMap<>();
        hello.put("event", "hello");
        hello.put("ops", ops.keySet());
        send(hello);

        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            JsonNode command = JSON.readTree(line);
            String name = command.get("op").asText();
            send(reply(command, ops.get(name)));
            if ("shutdown".equals(name)) {
                break;
            }
        }
        System.exit(0);
    }

    private static Map<String, Object> reply(JsonNode command, Op op) {
        Map<String, Object> reply = new LinkedHashMap<>();
        reply.put("id", command.get("id").asInt());
        try {
            reply.put("value", op.run(command));
            reply.put("ok", true);
        } catch (Throwable failure) {
            failure.printStackTrace();
            reply.put("ok", false);
            reply.put("error", failure.toString());
        }
        return reply;
    }

    /** Lines come from several SDK threads at once, so one lock keeps them whole. */
    static synchronized void send(Map<String, Object> message) {
        try {
            out.println(JSON.writeValueAsString(message));
            out.flush();
        } catch (Exception failure) {
            failure.printStackTrace();
        }
    }

    static void event(String kind, String tag, String key, Object value) {
        Map<String, Object> event = new LinkedHashMap<>();
        event.put("event", kind);
        event.put("tag", tag);
        event.put(key, value);
        send(event);
    }
}
