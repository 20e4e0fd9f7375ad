package compat.app;

import compat.Op;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Calls one after the other, as users do, and counts who answered and what failed until the runner asks. */
public final class Traffic {

    private static final long PAUSE_MS = 5;

    /** Errors shown; the others are counted. */
    private static final int SHOWN = 5;

    private final Call call;

    private Map<String, Integer> answers = new TreeMap<>();

    private List<String> errors = new ArrayList<>();

    private int failed;

    /** One call to whichever provider is chosen; the answer says which. */
    public interface Call {

        String call() throws Exception;
    }

    private Traffic(Call call) {
        this.call = call;
    }

    /** The operation that tells what happened since it was asked last; the calls begin at once. */
    public static Op begin(Call call) {
        Traffic traffic = new Traffic(call);
        Thread caller = new Thread(traffic::run, "traffic");
        caller.setDaemon(true);
        caller.start();
        return args -> traffic.take();
    }

    private void run() {
        while (true) {
            try {
                answered(call.call());
            } catch (Throwable failure) {
                failed(failure);
            }
            try {
                Thread.sleep(PAUSE_MS);
            } catch (InterruptedException stop) {
                return;
            }
        }
    }

    private synchronized void answered(String by) {
        answers.merge(by, 1, Integer::sum);
    }

    private synchronized void failed(Throwable failure) {
        failed++;
        if (errors.size() < SHOWN) {
            errors.add(failure.toString());
        }
    }

    private synchronized Map<String, Object> take() {
        Map<String, Object> since = new LinkedHashMap<>();
        since.put("answers", answers);
        since.put("failed", failed);
        since.put("errors", errors);
        answers = new TreeMap<>();
        errors = new ArrayList<>();
        failed = 0;
        return since;
    }
}
