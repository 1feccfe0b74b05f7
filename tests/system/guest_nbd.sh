#!/bin/sh
# guest_nbd.sh - Debian 12's own kernel uses a mirror through its nbd client.
exec "$(dirname "$0")/guest" bookworm nbd
