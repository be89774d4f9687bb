#!/bin/sh
# preStop of a Doris container: stop.sh fe | be | broker. Asks Doris to end gracefully; the stock
# hooks of frontends kill.
set -u

root=${START_ROOT:-}
doris=$root/opt/apache-doris
run=$root/opt/doris-operator/run

# Tells start.sh that an end with status 0 is meant.
touch "$run/stopping" 2>/dev/null || true
case ${1:-} in
fe) exec "$doris/fe/bin/stop_fe.sh" --grace ;;
be) exec "$doris/be/bin/stop_be.sh" --grace ;;
broker) exec "$doris/apache_hdfs_broker/bin/stop_broker.sh" ;;
*)
    echo "usage: stop.sh fe | be | broker" >&2
    exit 2
    ;;
esac
