package compat.starter;

import com.alibaba.nacos.api.annotation.NacosInjected;
import com.alibaba.nacos.api.config.annotation.NacosConfigListener;
import com.alibaba.nacos.api.config.annotation.NacosValue;
import com.alibaba.nacos.api.naming.NamingService;
import com.alibaba.nacos.spring.context.annotation.config.NacosPropertySource;
import compat.Protocol;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.core.env.Environment;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

/** Provider and consumer alike, by the annotations of nacos-spring. The names of the settings come from the environment. */
@SpringBootApplication
@NacosPropertySource(dataId = "${compat.msg}", groupId = "DEFAULT_GROUP", autoRefreshed = true)
@NacosPropertySource(dataId = "${compat.fixed}", groupId = "DEFAULT_GROUP", autoRefreshed = false)
@RestController
public class App {

    @NacosInjected
    private NamingService naming;

    @NacosValue(value = "${demo.msg:none}", autoRefreshed = true)
    private String msg;

    @NacosValue(value = "${demo.msg:none}", autoRefreshed = false)
    private String first;

    @NacosValue(value = "${demo.fixed:none}", autoRefreshed = true)
    private String fixed;

    private final Environment environment;

    public App(Environment environment) {
        this.environment = environment;
    }

    NamingService naming() {
        return naming;
    }

    @NacosConfigListener(dataId = "${compat.msg}", groupId = "DEFAULT_GROUP")
    public void changed(String content) {
        Protocol.event("changed", environment.getProperty("compat.id"), "keys", Set.of("demo.msg"));
    }

    @GetMapping("/who")
    public String who() {
        return environment.getProperty("local.server.port");
    }

    @GetMapping("/settings")
    public Map<String, String> settings() {
        Map<String, String> settings = new LinkedHashMap<>();
        settings.put("msg", msg);
        settings.put("first", first);
        settings.put("fixed", fixed);
        return settings;
    }
}
