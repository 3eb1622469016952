# A pipeline in a shell, with a subshell, a program that fails, one that a signal ends, and an exec at the end.
seq 1 23 | grep 1 | sort -r | wc -l
(ls /nowhere 2>/dev/null; true) || true
sh -c 'exit 3'
sh -c 'kill -TERM $$'
cat /dev/null &
wait
exec sh -c 'exit 7'
