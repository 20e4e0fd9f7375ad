package compat;

import com.alibaba.nacos.api.exception.NacosException;
import com.alibaba.nacos.api.naming.NamingMaintainService;
import com.alibaba.nacos.api.naming.pojo.Service;
import com.alibaba.nacos.api.selector.NoneSelector;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;

/** Every way in which the maintain API creates, reads, changes and deletes a service; each step tells what was there then. */
final class Maintenance {

    private static final String LABELS = "CONSUMER.label.zone = PROVIDER.label.zone";

    private Maintenance() {
    }

    static List<Object> walk(NamingMaintainService maintain, String name, String group) throws NacosException {
        List<Object> seen = new ArrayList<>();
        maintain.createService(name);
        seen.add(shown(maintain.queryService(name)));
        seen.add(maintain.deleteService(name));
        maintain.createService(name, group);
        seen.add(shown(maintain.queryService(name, group)));
        seen.add(maintain.deleteService(name, group));
        maintain.createService(name, group, 0.25f);
        seen.add(shown(maintain.queryService(name, group)));
        seen.add(maintain.deleteService(name, group));
        maintain.createService(name, group, 0.5f, LABELS);
        seen.add(shown(maintain.queryService(name, group)));
        seen.add(maintain.deleteService(name, group));

        Service service = new Service();
        service.setName(name);
        service.setGroupName(group);
        service.setProtectThreshold(0.75f);
        service.setMetadata(Collections.singletonMap("made", "with 🦪"));
        maintain.createService(service, new NoneSelector());
        seen.add(shown(maintain.queryService(name, group)));
        maintain.updateService(name, group, 0.125f, Collections.singletonMap("changed", "1"));
        seen.add(shown(maintain.queryService(name, group)));
        maintain.updateService(name, group, 0.375f);
        seen.add(maintain.queryService(name, group).getProtectThreshold());
        service.setProtectThreshold(0.5f);
        maintain.updateService(service, new NoneSelector());
        seen.add(shown(maintain.queryService(name, group)));
        seen.add(maintain.deleteService(name, group));
        return seen;
    }

    private static List<Object> shown(Service service) {
        return Arrays.asList(service.getName(), service.getGroupName(), service.getProtectThreshold(), service.getMetadata());
    }
}
