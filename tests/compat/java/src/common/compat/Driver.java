package compat;

/** The SDK's operations, for the runner. */
public final class Driver {

    private Driver() {
    }

    public static void main(String[] args) throws Exception {
        Protocol.serve(args, (ops, target) -> {
            Clients clients = new Clients(target);
            clients.addTo(ops);
            Generation.addTo(ops, clients);
        });
    }
}
