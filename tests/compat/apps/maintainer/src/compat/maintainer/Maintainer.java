package compat.maintainer;

import com.alibaba.nacos.api.exception.NacosException;
import com.alibaba.nacos.common.utils.JacksonUtils;
import com.alibaba.nacos.maintainer.client.ai.A2aMaintainerService;
import com.alibaba.nacos.maintainer.client.ai.AgentSpecMaintainerService;
import com.alibaba.nacos.maintainer.client.ai.AiMaintainerFactory;
import com.alibaba.nacos.maintainer.client.ai.AiMaintainerService;
import com.alibaba.nacos.maintainer.client.ai.McpMaintainerService;
import com.alibaba.nacos.maintainer.client.ai.PipelineMaintainerService;
import com.alibaba.nacos.maintainer.client.ai.PromptMaintainerService;
import com.alibaba.nacos.maintainer.client.ai.SkillMaintainerService;
import com.alibaba.nacos.maintainer.client.config.BetaConfigMaintainerService;
import com.alibaba.nacos.maintainer.client.config.ConfigHistoryMaintainerService;
import com.alibaba.nacos.maintainer.client.config.ConfigMaintainerFactory;
import com.alibaba.nacos.maintainer.client.config.ConfigMaintainerService;
import com.alibaba.nacos.maintainer.client.config.ConfigOpsMaintainerService;
import com.alibaba.nacos.maintainer.client.core.CoreMaintainerService;
import com.alibaba.nacos.maintainer.client.naming.InstanceMaintainerService;
import com.alibaba.nacos.maintainer.client.naming.NamingClientMaintainerService;
import com.alibaba.nacos.maintainer.client.naming.NamingMaintainerFactory;
import com.alibaba.nacos.maintainer.client.naming.NamingMaintainerService;
import com.alibaba.nacos.maintainer.client.naming.ServiceMaintainerService;
import com.fasterxml.jackson.databind.JavaType;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.type.TypeFactory;
import compat.Op;
import compat.Protocol;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.Parameter;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.stream.Collectors;

/**
 * Every method that the maintainer client has, by reflection: the runner asks which there are and calls each overload with
 * arguments by the names of its parameters, so that none can be forgotten.
 */
public final class Maintainer {

    private static final ObjectMapper JSON = new ObjectMapper();

    /** What the areas' methods are called on. */
    private final Map<Class<?>, Object> areas = new LinkedHashMap<>();

    private final Map<String, Method> methods = new LinkedHashMap<>();

    private Maintainer(JsonNode target) throws NacosException {
        Properties properties = new Properties();
        properties.setProperty("serverAddr", target.get("host").asText() + ":" + target.get("port").asInt());
        NamingMaintainerService naming = NamingMaintainerFactory.createNamingMaintainerService(properties);
        for (Class<?> area : List.of(CoreMaintainerService.class, ServiceMaintainerService.class,
            InstanceMaintainerService.class, NamingClientMaintainerService.class, NamingMaintainerService.class)) {
            areas.put(area, naming);
        }
        ConfigMaintainerService config = ConfigMaintainerFactory.createConfigMaintainerService(properties);
        for (Class<?> area : List.of(ConfigMaintainerService.class, BetaConfigMaintainerService.class,
            ConfigHistoryMaintainerService.class, ConfigOpsMaintainerService.class)) {
            areas.put(area, config);
        }
        AiMaintainerService ai = AiMaintainerFactory.createAiMaintainerService(properties);
        areas.put(AiMaintainerService.class, ai);
        areas.put(McpMaintainerService.class, ai.mcp());
        areas.put(A2aMaintainerService.class, ai.a2a());
        areas.put(SkillMaintainerService.class, ai.skill());
        areas.put(AgentSpecMaintainerService.class, ai.agentSpec());
        areas.put(PromptMaintainerService.class, ai.prompt());
        areas.put(PipelineMaintainerService.class, ai.pipeline());
        for (Class<?> area : areas.keySet()) {
            Arrays.stream(area.getDeclaredMethods())
                .filter(method -> Modifier.isPublic(method.getModifiers()) && !method.isSynthetic()
                    && !Modifier.isStatic(method.getModifiers()))
                .sorted(Comparator.comparing(Method::getName).thenComparing(Method::getParameterCount))
                .forEach(method -> methods.put(signature(area, method), method));
        }
    }

    public static void main(String[] args) throws Exception {
        // What fails is reported at once.
        System.setProperty("MAINTAINER.CLIENT.MAX.RETRY.TIMES", "0");
        Protocol.serve(args, (ops, target) -> new Maintainer(target).addTo(ops));
    }

    private void addTo(Map<String, Op> ops) {
        ops.put("methods", a -> new ArrayList<>(methods.keySet()));
        ops.put("call", a -> call(methods.get(a.get("method").asText()), a.get("values")));
        ops.put("shutdown", a -> null);
    }

    private Object call(Method method, JsonNode values) throws Exception {
        List<Object> arguments = new ArrayList<>();
        for (Parameter parameter : method.getParameters()) {
            JavaType type = TypeFactory.defaultInstance().constructType(parameter.getParameterizedType());
            JsonNode value = values.get(parameter.getName());
            if (value == null) {
                throw new IllegalArgumentException("no value for " + parameter.getName());
            }
            arguments.add(value.isNull() ? null : JacksonUtils.toObj(JSON.writeValueAsString(value), type));
        }
        Object result;
        try {
            result = method.invoke(areas.get(method.getDeclaringClass()), arguments.toArray());
        } catch (InvocationTargetException failure) {
            throw failure.getCause() instanceof Exception ? (Exception) failure.getCause() : failure;
        }
        if (areas.containsValue(result)) {
            return result.getClass().getSimpleName();
        }
        // As its own getters show it, whatever class it is of.
        return result == null ? null : JSON.readTree(JacksonUtils.toJson(result));
    }

    private static String signature(Class<?> area, Method method) {
        String parameters = Arrays.stream(method.getParameters())
            .map(parameter -> parameter.getParameterizedType().getTypeName() + " " + parameter.getName())
            .collect(Collectors.joining(", "));
        return area.getSimpleName() + "." + method.getName() + "(" + parameters + ")";
    }
}
