# What seldom happens to a process, once each. Run in a directory to write to, as root.
# No error of these is one of the program: each line is on its own.

# A script: the kernel runs its interpreter, by a path that was not asked for.
printf '#!/bin/sh\nexit 2\n' > script
chmod +x script
./script
# A symbolic link.
ln -s /usr/bin/expr link
./link 1 + 2
# An executable that has no name any more.
cp /usr/bin/true gone
exec 3< gone
rm gone
/proc/self/fd/3
exec 3<&-
# A core dump, where the machine allows one.
ulimit -c unlimited
sh -c 'kill -SEGV $$'
ulimit -c 0
# A secret, a text that is no UTF-8, an empty argument, and more arguments than anybody reads.
/usr/bin/true --password=hunter2 "$(printf '\377\376')" ''
/usr/bin/true $(seq 1 23456)
# More variables than are searched for a TRACEPARENT.
env $(seq -f 'VARIABLE_%.0f=' 1 3456) /usr/bin/true
# Another user; another pid namespace.
setpriv --reuid 65534 --clear-groups /usr/bin/true
unshare --pid --fork /usr/bin/true
# Lives longer than --live-after, then starts something.
sh -c 'sleep 2; expr 3 + 4; exit 5'
# Outlives the command, and --linger.
sleep 5 &
