package compat.spring;

import compat.Protocol;
import java.util.LinkedHashMap;
import java.util.Map;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.context.properties.ConfigurationProperties;
import org.springframework.boot.context.properties.EnableConfigurationProperties;
import org.springframework.cloud.client.loadbalancer.LoadBalanced;
import org.springframework.cloud.context.config.annotation.RefreshScope;
import org.springframework.cloud.context.environment.EnvironmentChangeEvent;
import org.springframework.context.annotation.Bean;
import org.springframework.context.event.EventListener;
import org.springframework.core.env.Environment;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.client.RestTemplate;

/** Provider and consumer alike: it says who it is and which settings it sees, and it can call others by their name. */
@SpringBootApplication
@EnableConfigurationProperties(App.Bound.class)
public class App {

    @Bean
    @LoadBalanced
    public RestTemplate balanced() {
        return new RestTemplate();
    }

    /** Bound again, in place, when its values change. */
    @ConfigurationProperties("demo")
    public static class Bound {

        private String msg = "none";

        public String getMsg() {
            return msg;
        }

        public void setMsg(String msg) {
            this.msg = msg;
        }
    }

    @RestController
    public static class Who {

        private final Environment environment;

        public Who(Environment environment) {
            this.environment = environment;
        }

        @GetMapping("/who")
        public String who() {
            return environment.getProperty("local.server.port");
        }

        @EventListener
        public void changed(EnvironmentChangeEvent event) {
            Protocol.event("changed", environment.getProperty("compat.id"), "keys", event.getKeys());
        }
    }

    /** Made anew when its values change. */
    @RestController
    @RefreshScope
    public static class Settings {

        @Value("${demo.msg:none}")
        private String msg;

        @Value("${demo.yaml:none}")
        private String yaml;

        @Value("${demo.fixed:none}")
        private String fixed;

        private final Bound bound;

        public Settings(Bound bound) {
            this.bound = bound;
        }

        @GetMapping("/settings")
        public Map<String, String> settings() {
            Map<String, String> settings = new LinkedHashMap<>();
            settings.put("msg", msg);
            settings.put("yaml", yaml);
            settings.put("fixed", fixed);
            settings.put("bound", bound.getMsg());
            return settings;
        }
    }
}
