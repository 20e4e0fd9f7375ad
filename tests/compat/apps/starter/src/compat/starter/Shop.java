package compat.starter;

import com.alibaba.nacos.api.naming.NamingService;
import com.alibaba.nacos.api.naming.pojo.Instance;
import com.fasterxml.jackson.databind.JsonNode;
import compat.Op;
import compat.Protocol;
import compat.app.Traffic;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.springframework.boot.builder.SpringApplicationBuilder;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.web.client.RestTemplate;

/** Starts and closes applications in this process as the runner says; each is a context with a port of its own. */
public final class Shop {

    private final String address;

    private final Map<String, ConfigurableApplicationContext> contexts = new ConcurrentHashMap<>();

    private Shop(JsonNode target) {
        address = target.get("host").asText() + ":" + target.get("port").asInt();
    }

    public static void main(String[] args) throws Exception {
        Protocol.serve(args, (ops, target) -> new Shop(target).addTo(ops));
    }

    private void addTo(Map<String, Op> ops) {
        ops.put("start", a -> {
            ConfigurableApplicationContext context = start(a);
            contexts.put(key(a), context);
            return Integer.parseInt(context.getEnvironment().getProperty("local.server.port"));
        });
        ops.put("close", a -> {
            contexts.remove(key(a)).close();
            return null;
        });
        ops.put("services", a -> naming(a).getServicesOfServer(1, Integer.MAX_VALUE).getData());
        ops.put("call", a -> {
            NamingService naming = naming(a);
            RestTemplate rest = new RestTemplate();
            String service = a.get("service").asText();
            ops.put("traffic", Traffic.begin(() -> {
                Instance chosen = naming.selectOneHealthyInstance(service);
                return rest.getForObject("http://" + chosen.getIp() + ":" + chosen.getPort() + "/who", String.class);
            }));
            return null;
        });
        ops.put("shutdown", a -> null);
    }

    private ConfigurableApplicationContext start(JsonNode a) {
        List<String> args = new ArrayList<>(Arrays.asList(
            "--spring.application.name=" + a.get("service").asText(),
            "--compat.id=" + key(a),
            "--server.port=0",
            "--server.address=127.0.0.1",
            "--spring.main.banner-mode=off",
            "--nacos.config.server-addr=" + address,
            "--nacos.discovery.server-addr=" + address,
            "--nacos.discovery.auto-register=true",
            "--nacos.discovery.register.ip=127.0.0.1"));
        a.path("args").forEach(arg -> args.add(arg.asText()));
        return new SpringApplicationBuilder(App.class).run(args.toArray(new String[0]));
    }

    private NamingService naming(JsonNode a) {
        return contexts.get(key(a)).getBean(App.class).naming();
    }

    private static String key(JsonNode a) {
        return a.get("as").asText();
    }
}
