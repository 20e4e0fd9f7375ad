package compat.dubbo;

/** What the providers offer: the answer says which of them gave it. */
public interface Hello {

    String who();
}
