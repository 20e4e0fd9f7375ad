package compat.dubbo;

import com.fasterxml.jackson.databind.JsonNode;
import compat.Op;
import compat.Protocol;
import compat.app.Traffic;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.ConfigCenterConfig;
import org.apache.dubbo.config.MetadataReportConfig;
import org.apache.dubbo.config.ProtocolConfig;
import org.apache.dubbo.config.ReferenceConfig;
import org.apache.dubbo.config.RegistryConfig;
import org.apache.dubbo.config.ServiceConfig;
import org.apache.dubbo.config.bootstrap.DubboBootstrap;
import org.apache.dubbo.rpc.model.ApplicationModel;
import org.apache.dubbo.rpc.model.FrameworkModel;

/** Starts and stops Dubbo applications in this process as the runner says. */
public final class Shop {

    private static final int CALL_TIMEOUT_MS = 3000;

    /** Both ways of Dubbo 3 to find providers: by interface, as Dubbo 2 did, and by application. */
    private static final String[] STEPS = {"FORCE_INTERFACE", "FORCE_APPLICATION"};

    private final String address;

    private final Map<String, ApplicationModel> applications = new ConcurrentHashMap<>();

    private Shop(JsonNode target) {
        address = "nacos://" + target.get("host").asText() + ":" + target.get("port").asInt();
    }

    public static void main(String[] args) throws Exception {
        Protocol.serve(args, (ops, target) -> new Shop(target).addTo(ops));
    }

    private void addTo(Map<String, Op> ops) {
        ops.put("start", a -> {
            provide(a.get("as").asText(), a.get("service").asText(), a.get("args").get(0).asInt());
            return a.get("args").get(0).asInt();
        });
        ops.put("close", a -> {
            applications.remove(a.get("as").asText()).destroy();
            return null;
        });
        ops.put("property", a -> applications.get(a.get("as").asText()).modelEnvironment().getConfiguration()
            .getString(a.get("key").asText()));
        ops.put("call", a -> {
            Hello[] found = {consume(a.get("service").asText(), STEPS[0]), consume(a.get("service").asText(), STEPS[1])};
            AtomicInteger turn = new AtomicInteger();
            ops.put("traffic", Traffic.begin(() -> {
                int step = turn.getAndIncrement() % found.length;
                return STEPS[step] + " " + found[step].who();
            }));
            return null;
        });
        ops.put("shutdown", a -> null);
    }

    private void provide(String as, String name, int port) {
        ServiceConfig<Hello> service = new ServiceConfig<>();
        service.setInterface(Hello.class);
        service.setRef(() -> String.valueOf(port));
        applications.put(as, bootstrap(name).protocol(new ProtocolConfig("dubbo", port)).service(service).start()
            .getApplicationModel());
    }

    private Hello consume(String name, String step) {
        ReferenceConfig<Hello> reference = new ReferenceConfig<>();
        reference.setInterface(Hello.class);
        reference.setCheck(false);
        // Past the providers of this process, over the wire.
        reference.setScope("remote");
        reference.setRetries(0);
        reference.setTimeout(CALL_TIMEOUT_MS);
        reference.setLoadbalance("roundrobin");
        reference.setParameters(Map.of("migration.step", step));
        DubboBootstrap bootstrap = bootstrap(name + "-" + step.toLowerCase().replace('_', '-'));
        applications.put(step, bootstrap.reference(reference).start().getApplicationModel());
        return reference.get();
    }

    private DubboBootstrap bootstrap(String name) {
        ApplicationConfig application = new ApplicationConfig(name);
        application.setRegisterMode("all");
        application.setMetadataType("remote");
        application.setQosEnable(false);
        application.setEnableFileCache(false);
        ConfigCenterConfig configCenter = new ConfigCenterConfig();
        configCenter.setAddress(address);
        MetadataReportConfig metadataReport = new MetadataReportConfig();
        metadataReport.setAddress(address);
        metadataReport.setReportDefinition(true);
        return DubboBootstrap.newInstance(new FrameworkModel()).application(application)
            .registry(new RegistryConfig(address)).configCenter(configCenter).metadataReport(metadataReport);
    }
}
