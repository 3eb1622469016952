# Lives long enough to be sent while it runs, then starts more than a small trace holds.
sleep 1.3
for i in 1 2 3 4 5; do
    /bin/true
done
sh -c '/bin/true; exit 4'
exit 5
