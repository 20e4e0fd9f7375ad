package compat;

import com.alibaba.nacos.api.NacosFactory;
import com.alibaba.nacos.api.config.ConfigService;
import com.alibaba.nacos.api.config.listener.Listener;
import com.alibaba.nacos.api.naming.NamingMaintainService;
import com.alibaba.nacos.api.naming.NamingService;
import com.alibaba.nacos.api.naming.listener.EventListener;
import com.alibaba.nacos.api.naming.listener.NamingEvent;
import com.alibaba.nacos.api.naming.pojo.Instance;
import com.alibaba.nacos.api.naming.pojo.ListView;
import com.alibaba.nacos.api.naming.pojo.Service;
import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Executor;

/** The SDK's client objects and the operations that every generation offers. */
final class Clients {

    private static final long READ_TIMEOUT_MS = 5000;

    final NamingService naming;

    final ConfigService config;

    private final NamingMaintainService maintain;

    private final Map<String, EventListener> subscriptions = new HashMap<>();

    private final Map<String, Listener> listeners = new HashMap<>();

    Clients(JsonNode to) throws Exception {
        int port = to.get("port").asInt();
        System.setProperty("nacos.server.grpc.port.offset", String.valueOf(to.get("grpcPort").asInt() - port));
        Properties properties = new Properties();
        properties.setProperty("serverAddr", text(to, "host") + ":" + port);
        // On two cores 3.0 makes two threads, which its two endless loops take: a fuzzy watch of configs would never be sent.
        properties.setProperty("clientWorkerThreadCount", "4");
        for (String name : new String[] {"namespace", "username", "password"}) {
            if (!text(to, name).isEmpty()) {
                properties.setProperty(name, text(to, name));
            }
        }
        naming = NacosFactory.createNamingService(properties);
        config = NacosFactory.createConfigService(properties);
        maintain = NacosFactory.createMaintainService(properties);
    }

    void addTo(Map<String, Op> ops) {
        addNaming(ops);
        addServiceAdmin(ops);
        addConfig(ops);
        ops.put("status", a -> naming.getServerStatus());
    }

    private void addNaming(Map<String, Op> ops) {
        ops.put("register", a -> {
            naming.registerInstance(text(a, "service"), text(a, "group"), instance(a.get("instance")));
            return null;
        });
        ops.put("deregister", a -> {
            naming.deregisterInstance(text(a, "service"), text(a, "group"), instance(a.get("instance")));
            return null;
        });
        ops.put("list", a -> hosts(
            naming.getAllInstances(text(a, "service"), text(a, "group"), strings(a.get("clusters")), false)));
        ops.put("select_healthy", a -> hosts(
            naming.selectInstances(text(a, "service"), text(a, "group"), strings(a.get("clusters")), true, false)));
        ops.put("select_one", a -> host(
            naming.selectOneHealthyInstance(text(a, "service"), text(a, "group"), strings(a.get("clusters")), false)));
        ops.put("services", a -> {
            ListView<String> view = naming.getServicesOfServer(a.get("page").asInt(), a.get("size").asInt(), text(a, "group"));
            Map<String, Object> value = new LinkedHashMap<>();
            value.put("count", view.getCount());
            value.put("names", view.getData());
            return value;
        });
        ops.put("subscribe", a -> {
            String tag = text(a, "tag");
            EventListener listener = event -> Protocol.event("hosts", tag, "hosts", hosts(((NamingEvent) event).getInstances()));
            subscriptions.put(tag, listener);
            naming.subscribe(text(a, "service"), text(a, "group"), strings(a.get("clusters")), listener);
            return null;
        });
        ops.put("unsubscribe", a -> {
            naming.unsubscribe(text(a, "service"), text(a, "group"), strings(a.get("clusters")),
                subscriptions.remove(text(a, "tag")));
            return null;
        });
    }

    private void addServiceAdmin(Map<String, Op> ops) {
        ops.put("maintain_instance", a -> {
            if (a.has("group")) {
                maintain.updateInstance(text(a, "service"), text(a, "group"), instance(a.get("instance")));
            } else {
                maintain.updateInstance(text(a, "service"), instance(a.get("instance")));
            }
            return null;
        });
        ops.put("service_ways", a -> Maintenance.walk(maintain, text(a, "service"), text(a, "group")));
        ops.put("service_create", a -> {
            maintain.createService(text(a, "service"), text(a, "group"), (float) a.get("threshold").asDouble());
            return null;
        });
        ops.put("service_update", a -> {
            maintain.updateService(text(a, "service"), text(a, "group"), (float) a.get("threshold").asDouble(),
                metadata(a.get("metadata")));
            return null;
        });
        ops.put("service_get", a -> {
            Service service = maintain.queryService(text(a, "service"), text(a, "group"));
            Map<String, Object> value = new LinkedHashMap<>();
            value.put("name", service.getName());
            value.put("group", service.getGroupName());
            value.put("threshold", service.getProtectThreshold());
            value.put("metadata", service.getMetadata());
            return value;
        });
        ops.put("service_delete", a -> maintain.deleteService(text(a, "service"), text(a, "group")));
    }

    private void addConfig(Map<String, Op> ops) {
        ops.put("publish", a -> config.publishConfig(text(a, "dataId"), text(a, "group"), text(a, "content")));
        ops.put("get", a -> config.getConfig(text(a, "dataId"), text(a, "group"), READ_TIMEOUT_MS));
        ops.put("remove", a -> config.removeConfig(text(a, "dataId"), text(a, "group")));
        ops.put("listen", a -> {
            String tag = text(a, "tag");
            Listener listener = new Listener() {
                @Override
                public Executor getExecutor() {
                    return null;
                }

                @Override
                public void receiveConfigInfo(String content) {
                    Protocol.event("config", tag, "content", content);
                }
            };
            listeners.put(tag, listener);
            config.addListener(text(a, "dataId"), text(a, "group"), listener);
            return null;
        });
        ops.put("unlisten", a -> {
            config.removeListener(text(a, "dataId"), text(a, "group"), listeners.remove(text(a, "tag")));
            return null;
        });
    }

    static String text(JsonNode args, String name) {
        return args.get(name).asText();
    }

    static Instance instance(JsonNode node) {
        Instance instance = new Instance();
        instance.setIp(text(node, "ip"));
        instance.setPort(node.get("port").asInt());
        instance.setWeight(node.get("weight").asDouble());
        instance.setEnabled(node.get("enabled").asBoolean());
        instance.setEphemeral(node.get("ephemeral").asBoolean());
        instance.setClusterName(text(node, "cluster"));
        instance.setMetadata(metadata(node.get("metadata")));
        return instance;
    }

    static List<Instance> instances(JsonNode nodes) {
        List<Instance> instances = new ArrayList<>();
        nodes.forEach(node -> instances.add(instance(node)));
        return instances;
    }

    private static Map<String, String> metadata(JsonNode node) {
        Map<String, String> metadata = new LinkedHashMap<>();
        node.fields().forEachRemaining(field -> metadata.put(field.getKey(), field.getValue().asText()));
        return metadata;
    }

    private static List<String> strings(JsonNode nodes) {
        List<String> strings = new ArrayList<>();
        nodes.forEach(node -> strings.add(node.asText()));
        return strings;
    }

    private static List<Object> hosts(List<Instance> instances) {
        List<Object> hosts = new ArrayList<>();
        instances.forEach(instance -> hosts.add(host(instance)));
        return hosts;
    }

    private static Map<String, Object> host(Instance instance) {
        Map<String, Object> host = new LinkedHashMap<>();
        host.put("ip", instance.getIp());
        host.put("port", instance.getPort());
        host.put("weight", instance.getWeight());
        host.put("healthy", instance.isHealthy());
        host.put("enabled", instance.isEnabled());
        host.put("ephemeral", instance.isEphemeral());
        host.put("cluster", instance.getClusterName());
        host.put("metadata", instance.getMetadata());
        return host;
    }
}
