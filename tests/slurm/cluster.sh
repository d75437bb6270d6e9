#!/usr/bin/env bash
# A real one-node Slurm cluster on this machine, for the tests of sweeps on Slurm.
#
#   eval "$(tests/slurm/cluster.sh start)"    # starts it; sets SLURM_CONF in this shell
#   tests/slurm/cluster.sh status             # exit code 0 when it answers
#   tests/slurm/cluster.sh stop               # ends its jobs and daemons, removes its folder
#
# It needs root but no systemd. Everything it writes is in $VAEKL_SLURM_DIR.
set -euo pipefail

# Absolute, because the daemons change their folder, and the shell that uses SLURM_CONF may too.
DIR=$(realpath -m "${VAEKL_SLURM_DIR:-${TMPDIR:-/tmp}/vaekl-slurm}")
PATH=$PATH:/usr/sbin:/sbin # the daemons are there, and a user's PATH may lack it
export SLURM_CONF=$DIR/slurm.conf

die() { echo "cluster.sh: $*" >&2; exit 1; }

# `timeout`, because sinfo retries for long when no controller answers. Any other state (down, or
# idle* for a node that does not reply) takes no jobs.
answers() {
    timeout 3 sinfo -h -o %T 2>/dev/null | grep -qxE 'idle|mixed|allocated|completing|planned'
}

# A pid file may outlive its daemon and the pid be reused, so look at the program too. Debian's is
# called slurmd-wlm. A zombie, where nobody reaps orphans, has no program.
alive() {
    local pid
    pid=$(cat "$DIR/$1.pid" 2>/dev/null) && [[ $(readlink "/proc/$pid/exe") == */"$1"* ]]
}

install_packages() {
    local tool
    for tool in slurmctld slurmd munged sbatch; do
        command -v "$tool" >/dev/null && continue
        [[ $(id -u) == 0 ]] || die "$tool is missing, and only root can install slurm-wlm and munge."
        { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y slurm-wlm munge; } >&2 ||
            die "$tool is missing, and \`apt-get install slurm-wlm munge\` failed."
        return
    done
}

write_config() {
    local ports
    # Any free ports: the usual ones belong to a real cluster this machine may be part of.
    mapfile -t ports < <(python3 -c 'import socket
sockets = [socket.create_server(("", 0)) for _ in range(2)]
for s in sockets: print(s.getsockname()[1])')
    [[ ${#ports[@]} == 2 ]] || die "python3 found no two free ports."
    mkdir -p "$DIR"/{state,spool,log,munge}
    chmod 755 "$DIR" "$DIR/munge" # munged refuses a socket's folder that others cannot enter
    (umask 077 && head -c 128 /dev/urandom >"$DIR/munge.key")
    : >"$DIR/plugstack.conf" # else this machine's own in /etc/slurm would be read
    # linuxproc and task/none need no cgroups, which a container may not be allowed to write.
    # CPUs are shared out but memory is not, and there is no accounting, so sacct fails.
    # A job that is put back begins again when its credential has expired: soon.
    cat >"$SLURM_CONF" <<CONF
ClusterName=vaekl
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=${ports[0]}
SlurmdPort=${ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$DIR/munge/socket,cred_expire=5
StateSaveLocation=$DIR/state
SlurmdSpoolDir=$DIR/spool
SlurmctldPidFile=$DIR/slurmctld.pid
SlurmdPidFile=$DIR/slurmd.pid
SlurmctldLogFile=$DIR/log/slurmctld.log
SlurmdLogFile=$DIR/log/slurmd.log
PlugStackConfig=$DIR/plugstack.conf
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
MailProg=/bin/true
ReturnToService=2
NodeName=$(hostname -s) NodeAddr=127.0.0.1 CPUs=$(env -u OMP_NUM_THREADS nproc) RealMemory=$(awk '/^MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo) State=UNKNOWN
PartitionName=debug Nodes=ALL Default=YES MaxTime=01:00:00 State=UP
CONF
}

start() {
    if ! answers; then
        install_packages
        [[ $(id -u) == 0 ]] || die "slurmctld and slurmd run as root here: start it as root."
        stop # what is left of a cluster that no longer answers
        write_config
        # The daemons must not keep the caller's stdout, or `eval "$(cluster.sh start)"` would hang.
        # --force: else munged refuses a socket under a folder that all may write to, like /tmp.
        munged --force --key-file="$DIR/munge.key" --socket="$DIR/munge/socket" --pid-file="$DIR/munged.pid" \
            --log-file="$DIR/log/munged.log" --seed-file="$DIR/munge.seed" </dev/null >"$DIR/log/start.log" 2>&1 &&
            slurmctld </dev/null >>"$DIR/log/start.log" 2>&1 &&
            slurmd </dev/null >>"$DIR/log/start.log" 2>&1 || true # the wait below says why
        local end=$((SECONDS + 30))
        until answers; do
            if ((SECONDS > end)); then
                tail -n 30 "$DIR"/log/* >&2
                stop
                die "the node was not idle within 30 s; the logs are above."
            fi
            sleep 0.3
        done
    fi
    echo "export SLURM_CONF=$SLURM_CONF"
}

stop() {
    [[ -d $DIR ]] || return 0
    # A folder without a config is not ours, so remove it only when that loses nothing.
    if [[ ! -f $SLURM_CONF ]]; then rmdir "$DIR" || die "$DIR is not a cluster's folder."; return; fi
    local name
    # The jobs first, since they outlive slurmd. Their processes are killed, because scancel would
    # give those that ignore SIGTERM half a minute, and lose their children.
    if alive slurmctld && alive slurmd; then
        timeout 10 scancel --state=PENDING || true
        timeout 10 scontrol listpids | awk 'NR > 1 && $1 > 0 {print $1}' | xargs -r kill -9 || true
        for _ in {1..40}; do [[ $(timeout 5 squeue -h) ]] || break; sleep 0.25; done
    fi 2>/dev/null
    for name in slurmd slurmctld munged; do
        if alive "$name"; then kill "$(cat "$DIR/$name.pid")"; fi
        for _ in {1..40}; do alive "$name" || break; sleep 0.25; done
        if alive "$name"; then kill -9 "$(cat "$DIR/$name.pid")"; fi
    done
    rm -rf "$DIR"
}

case ${1:-} in
    start | stop) "$1" ;;
    status) if answers; then sinfo >&2; else die "it does not run in $DIR."; fi ;;
    *) die "usage: cluster.sh start|stop|status" ;;
esac
