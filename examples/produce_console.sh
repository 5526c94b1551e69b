#!/bin/sh
# Publish one memory request with Kafka's console producer. A line is: key, tab, value.
set -eu

request_id=$(cat /proc/sys/kernel/random/uuid)
key='default/user:alice'
value="{\"request_id\": \"$request_id\", \"op\": \"add\", \"user_id\": \"alice\", \"text\": \"Alice plays the cello.\"}"

printf '%s\t%s\n' "$key" "$value" |
    kafka-console-producer.sh \
        --bootstrap-server "$AGENTMEM_KAFKA_BOOTSTRAP_SERVERS" \
        --topic "${AGENTMEM_KAFKA_TOPIC_PREFIX:-}memory-requests" \
        --property parse.key=true
echo "$request_id is published"
