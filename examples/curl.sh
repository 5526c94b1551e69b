#!/bin/sh
# Add a memory with curl, wait until it is stored, search for it; then follow events, hang up, and go on from there.
#
#   set -a; . .agentmem/dev.env; set +a      # the address and the key of a stack that `make run` started
#   sh examples/curl.sh
set -eu

user="curl-$$"
events=$(mktemp)
trap 'kill "$follower" 2>/dev/null || true; rm -f "$events"' EXIT
follower=

call() { # METHOD PATH [BODY]
    curl --silent --show-error --fail-with-body --request "$1" "$AGENTMEM_URL$2" \
        --header "Authorization: Token $AGENTMEM_API_KEY" \
        --header 'Content-Type: application/json' ${3:+--data "$3"}
}

field() { # NAME: its text in the JSON that comes in
    sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"
}

add() { # TEXT: returns when it is stored
    event=$(call POST /v3/memories/add/ "{\"user_id\": \"$user\", \"messages\": \"$1\"}" | field event_id)
    while status=$(call GET "/v1/event/$event/" | field status); [ "$status" != SUCCEEDED ]; do
        [ "$status" != FAILED ] || exit 1
        sleep 0.1
    done
    echo "stored: $1"
}

follow() { # [CURSOR]: the user's events into a file, in the background
    : > "$events"
    curl --silent --no-buffer "$AGENTMEM_URL/v1/events/stream?user_id=$user" \
        --header "Authorization: Token $AGENTMEM_API_KEY" ${1:+--header "Last-Event-ID: $1"} > "$events" &
    follower=$!
}

await() { # PATTERN
    until grep "$1" "$events"; do
        kill -0 "$follower" # it must still be there
        sleep 0.1
    done
}

follow
await '^id: ' > /dev/null # from here on nothing is missed
add 'Ada moved to Lisbon.'
await 'data: .*Lisbon' > /dev/null # when its event is there, a search finds it
call POST /v3/memories/search/ "{\"query\": \"Where is Ada?\", \"filters\": {\"user_id\": \"$user\"}}"
echo

kill "$follower"
cursor=$(sed -n 's/^id: //p' "$events" | tail -n 1)
echo "heard of it, and hung up at $cursor"
add 'Ada sings in a choir.'

follow "$cursor"
await 'data: .*choir' | field text
! grep -q Lisbon "$events" # nothing comes twice
