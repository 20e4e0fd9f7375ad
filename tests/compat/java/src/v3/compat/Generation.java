package compat;

import static compat.Clients.text;

import com.alibaba.nacos.api.config.listener.ConfigFuzzyWatchChangeEvent;
import com.alibaba.nacos.api.naming.listener.AbstractFuzzyWatchEventWatcher;
import com.alibaba.nacos.api.naming.listener.FuzzyWatchChangeEvent;
import java.util.ArrayList;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** What came with 3.x: fuzzy watch of services and of configs. */
final class Generation {

    private static final long INITIAL_SYNC_SECONDS = 20;

    private Generation() {
    }

    static void addTo(Map<String, Op> ops, Clients clients) {
        Grpc.addTo(ops, clients);
        Batch.addTo(ops, clients);
        ops.put("fuzzy_naming", a -> {
            String tag = text(a, "tag");
            return clients.naming.fuzzyWatchWithServiceKeys(text(a, "pattern"), text(a, "group"),
                new AbstractFuzzyWatchEventWatcher() {
                    @Override
                    public void onEvent(FuzzyWatchChangeEvent event) {
                        Protocol.event("fuzzy", tag, "change", new String[] {event.getChangeType(), event.getServiceName()});
                    }
                }).get(INITIAL_SYNC_SECONDS, TimeUnit.SECONDS).getData();
        });
        ops.put("fuzzy_config", a -> {
            String tag = text(a, "tag");
            return new ArrayList<>(clients.config.fuzzyWatchWithGroupKeys(text(a, "pattern"), text(a, "group"),
                new com.alibaba.nacos.api.config.listener.AbstractFuzzyWatchEventWatcher() {
                    @Override
                    public void onEvent(ConfigFuzzyWatchChangeEvent event) {
                        Protocol.event("fuzzy", tag, "change", new String[] {event.getChangedType(), event.getDataId()});
                    }
                }).get(INITIAL_SYNC_SECONDS, TimeUnit.SECONDS));
        });
    }
}
