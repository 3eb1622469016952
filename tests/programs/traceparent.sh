# An agent that gives some of its children a span of its own as parent, well and badly.
trace=${TRACEPARENT#00-}
trace=${trace%%-*}
other=0af7651916cd43dd8448eb211c80319c

# Handed on unchanged: no news.
expr 1 + 1
# A span of the same trace, as an agent with an SDK does for each tool call; the grandchild follows.
TRACEPARENT=00-$trace-00000000000000aa-01 sh -c 'expr 2 + 2; true'
# A span of another trace, with the state of a vendor and a service name.
TRACEPARENT=00-$other-00000000000000bb-01 TRACESTATE=vendor=1 OTEL_SERVICE_NAME=tool sh -c 'expr 3 + 3; true'
# One that is not sampled.
TRACEPARENT=00-$other-00000000000000cc-00 expr 4 + 4
# None at all.
TRACEPARENT=nonsense expr 5 + 5
