package compat.spring;

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
import org.springframework.cloud.client.ServiceInstance;
import org.springframework.cloud.client.discovery.DiscoveryClient;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.web.client.RestTemplate;

/** Starts and closes Spring applications in this process as the runner says; each is a context with a port of its own. */
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
        ops.put("property", a -> context(a).getEnvironment().getProperty(a.get("key").asText()));
        ops.put("services", a -> context(a).getBean(DiscoveryClient.class).getServices());
        ops.put("ports", a -> ports(context(a), a.get("service").asText()));
        ops.put("call", a -> {
            RestTemplate balanced = context(a).getBean(RestTemplate.class);
            String url = "http://" + a.get("service").asText() + "/who";
            ops.put("traffic", Traffic.begin(() -> balanced.getForObject(url, String.class)));
            return null;
        });
        ops.put("shutdown", a -> null);
    }

    private ConfigurableApplicationContext start(JsonNode a) {
        List<String> args = new ArrayList<>(Arrays.asList(
            "--spring.application.name=" + a.get("service").asText(),
            "--compat.id=" + a.get("as").asText(),
            "--server.port=0",
            "--server.address=127.0.0.1",
            "--spring.main.banner-mode=off",
            "--spring.cloud.nacos.server-addr=" + address,
            "--spring.cloud.nacos.discovery.ip=127.0.0.1",
            "--spring.cloud.nacos.discovery.graceful-shutdown-wait-time=0",
            // Without its cache of 35 s the load balancer asks the discovery client for each call.
            "--spring.cloud.loadbalancer.cache.enabled=false",
            "--management.endpoints.web.exposure.include=*",
            "--management.endpoint.health.show-details=always"));
        a.path("args").forEach(arg -> args.add(arg.asText()));
        return new SpringApplicationBuilder(App.class).run(args.toArray(new String[0]));
    }

    private static List<Integer> ports(ConfigurableApplicationContext context, String service) {
        List<Integer> ports = new ArrayList<>();
        for (ServiceInstance instance : context.getBean(DiscoveryClient.class).getInstances(service)) {
            ports.add(instance.getPort());
        }
        return ports;
    }

    private ConfigurableApplicationContext context(JsonNode a) {
        return contexts.get(key(a));
    }

    private static String key(JsonNode a) {
        return a.get("as").asText();
    }
}
