#!/bin/sh
# guest_ublk.sh - Debian 13's own kernel uses a mirror through ublk.
exec "$(dirname "$0")/guest" trixie ublk
