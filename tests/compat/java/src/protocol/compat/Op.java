package compat;

import com.fasterxml.jackson.databind.JsonNode;

/** One command of the runner: arguments in, a value that JSON can carry out. */
public interface Op {

    Object run(JsonNode args) throws Exception;
}
