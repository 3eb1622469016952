# The lives that a process can have, one line each. Started by tests/lifecycle.rs, on old kernels too, so nothing but
# sh and what coreutils has is used. The context that it was given goes to standard output.
echo "$TRACEPARENT"
(exit 3)
/bin/true
/bin/false
sh -c 'exit 7'
sh -c 'kill -KILL $$'
env A=1 /bin/true
/bin/true first & /bin/true second & wait
(/bin/true grandchild; (exit 4))
exit 42
