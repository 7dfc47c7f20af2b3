#!/bin/sh
# An example for SEGMENTATION_ALERT_COMMAND: tells a chat channel (Slack, Mattermost, Teams by workflow) and a mailbox.
# It is given one JSON object on its standard input: kind, dag, run, as_of, step, exit_code, meaning, remedy, log_url,
# details.
#
#   ALERT_WEBHOOK_FILE  a file with the webhook's address, readable for its owner alone: who has it can post
#   ALERT_MAIL_TO       an address, where this machine can send mail
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/alert.json"

python3 - "$folder" <<'PYTHON'
import json, pathlib, sys

folder = pathlib.Path(sys.argv[1])
alert = json.loads((folder / "alert.json").read_text())
where = f"{alert['step']} of {alert['as_of']}" if alert["step"] else alert["as_of"]
lines = [f"{alert['dag']}: {alert['kind'].replace('_', ' ')}, {where}", alert["meaning"], alert["remedy"]]
text = "\n".join([*lines, alert["log_url"] or ""]).strip()
(folder / "message.txt").write_text(text + "\n")
(folder / "message.json").write_text(json.dumps({"text": text}))
PYTHON

if [ -n "${ALERT_WEBHOOK_FILE:-}" ]; then
    # By its standard input: on curl's command line everybody on this machine could read the address.
    printf 'url = "%s"\n' "$(cat "$ALERT_WEBHOOK_FILE")" |
        curl --silent --show-error --fail --output /dev/null --max-time 20 --config - \
            --header 'Content-Type: application/json' --data @"$folder/message.json"
fi

if [ -n "${ALERT_MAIL_TO:-}" ]; then
    mail -s "customer_segmentation: alert" "$ALERT_MAIL_TO" <"$folder/message.txt"
fi
