#!/bin/bash
# Says on the console what the installed unit is and does on a machine that systemd runs: lines of `fact NAME VALUE`.
export AGENTSIGHT_COLOR=never
fact() { echo "fact $*" >/dev/ttyS0; }
of_unit() { systemctl show --property "$1" --value agentsight; }
as_nobody() { runuser -u nobody -- "$@"; }
# until COMMAND...: as long as it takes, up to a minute.
until_is() {
    local want=$1 end=$((SECONDS + 60)) is
    shift
    while ((SECONDS < end)); do
        is=$("$@")
        [[ $is != "$want" ]] || return 0
        sleep 0.25
    done
    fact late "$*: $is, not $want"
}

dpkg --install /root/agentsight.deb >/dev/ttyS0 2>&1
fact after-install "$?" "$(systemctl is-active agentsight)" "$(systemctl is-enabled agentsight)"
cp /root/good.yaml /etc/agentsight/agentsight.yaml
systemctl restart agentsight
fact type "$(of_unit Type)" "$(of_unit WatchdogUSec)"
pid=$(of_unit MainPID)
fact priority "$(cut -d ' ' -f 19 "/proc/$pid/stat")" "$(of_unit CPUWeight)"
fact capabilities "$(sed -n 's/^CapBnd:\t//p' "/proc/$pid/status")" "$(sed -n 's/^CapEff:\t//p' "/proc/$pid/status")" \
    "$(sed -n 's/^NoNewPrivs:\t//p' "/proc/$pid/status")"
fact modes "$(stat -c %a /var/lib/agentsight)" "$(stat -c %a /run/agentsight)" "$(stat -c %a /run/agentsight/daemon.sock)"

as_nobody agentsight run --no-tree -- sh -c 'exit 7'
fact run-of-a-user "$?"
sh -c ': tulip; sleep 3; exit 3'
until_is 2 bash -c "agentsight sessions --format ndjson | wc -l"
fact sessions "$(agentsight sessions --format ndjson | wc -l)" "$(as_nobody agentsight sessions --format ndjson | wc -l)"
fact codes "$(agentsight query --exe dash --format ndjson | grep -o '"process.exit.code":[0-9]*' | sort -u | tr '\n' ' ')"

# A bad configuration is refused with its place, and the old one stays; systemd does not hear of it.
printf 'rules:\n  - executable: "*/dash"\n    colour: red\n' >/etc/agentsight/agentsight.yaml
systemctl reload agentsight
fact bad-reload "$?"
until_is 1 bash -c "journalctl -u agentsight -o cat | grep -c 'agentsight.yaml:3'"
fact bad-reload-said "$(journalctl -u agentsight -o cat | grep -c 'agentsight.yaml:3')" "$(systemctl is-active agentsight)"
cp /root/good.yaml /etc/agentsight/agentsight.yaml
systemctl reload agentsight
fact good-reload "$?" "$(systemctl is-active agentsight)"
fact same-process "$([[ $(of_unit MainPID) == "$pid" ]] && echo yes)"

# What stands still is found out and started anew; what does not, is not.
mkdir -p /run/systemd/system/agentsight.service.d
printf '[Service]\nWatchdogSec=8\n' >/run/systemd/system/agentsight.service.d/watchdog.conf
systemctl daemon-reload
systemctl restart agentsight
sleep 20
fact watched "$(of_unit NRestarts)" "$(systemctl is-active agentsight)"
kill -STOP "$(of_unit MainPID)"
until_is 1 of_unit NRestarts
until_is active systemctl is-active agentsight
fact after-standstill "$(of_unit NRestarts)" "$(systemctl is-active agentsight)"
as_nobody agentsight run --no-tree -- sh -c 'exit 5'
fact run-after-standstill "$?"

systemctl stop agentsight
fact stopped "$(systemctl is-active agentsight)" "$(of_unit Result)" "$(of_unit ExecMainStatus)"
fact kept "$(agentsight sessions --format ndjson | wc -l)"
systemctl start agentsight
dpkg --purge agentsight >/dev/ttyS0 2>&1
fact after-purge "$?" "$(systemctl is-active agentsight)" "$(find /etc /usr -name '*agentsight*' | wc -l)" "$(ls /var/lib/agentsight/agentsight.db)"
journalctl -u agentsight -o cat --no-pager | sed 's/^/journal /' >/dev/ttyS0
fact end
systemctl poweroff --force --force
