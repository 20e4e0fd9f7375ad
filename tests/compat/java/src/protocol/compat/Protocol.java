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
 * (pushes, config changes) between them as they come. What the operations mean stands in tests/compat/README.md.
 */
public final class Protocol {

    private static final ObjectMapper JSON = new ObjectMapper();

    private static PrintStream out;

    private Protocol() {
    }

    /** Fills the table of operations from the target that the runner named; what it creates exists before the hello. */
    public interface Setup {

        void addTo(Map<String, Op> ops, JsonNode target) throws Exception;
    }

    public static void serve(String[] args, Setup setup) throws Exception {
        out = new PrintStream(System.out, false, "UTF-8");
        System.setOut(System.err);

        Map<String, Op> ops = new LinkedHashMap<>();
        setup.addTo(ops, JSON.readTree(args[0]));

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

    /** Lines come from several threads at once, so one lock keeps them whole. */
    static synchronized void send(Map<String, Object> message) {
        try {
            out.println(JSON.writeValueAsString(message));
            out.flush();
        } catch (Exception failure) {
            failure.printStackTrace();
        }
    }

    public static void event(String kind, String tag, String key, Object value) {
        Map<String, Object> event = new LinkedHashMap<>();
        event.put("event", kind);
        event.put("tag", tag);
        event.put(key, value);
        send(event);
    }
}
