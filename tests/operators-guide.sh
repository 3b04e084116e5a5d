#!/usr/bin/env bash
# Follows docs/operators.md word for word, with network namespaces as the machines: the blocks fenced as `sh guide` are
# taken out of the text and run, in order, each on the machine it names.
#
#   tests/operators-guide.sh [FBA]      FBA: the program, default target/debug/fba
#
# A block's fence says `on=MACHINE`, and may say
#   terminal     it is left running, in a terminal of its own
#   restart      Ctrl-C in that machine's terminal first; then as `terminal`
#   exit=CODE    it ends with that exit code instead of 0
#   says=WORD    it prints that, too
#   needs=WORD   it is skipped, loudly, if this fba has no command WORD
# A line `<!-- guide: … -->` is done by this script: `interrupt MACHINE` (Ctrl-C), `wipe MACHINE PATH` (a lost disk),
# `votes MACHINE` (every other node that runs has to hear that one agree).
#
# Not real are: scp, which copies between the machines' folders, and time, which is this machine's.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."

guide=docs/operators.md
fba=$(realpath -- "${1:-${CARGO_TARGET_DIR:-target}/debug/fba}")
machines=(alpha bravo charlie delta echo)
patience=180 # seconds that anything may take

skip() {
  echo "SKIPPED: the operators' guide was not followed: $1" >&2
  # In CI, a machine that could run it must.
  if [[ ${CI:-} == true && $EUID == 0 ]]; then exit 1; fi
  exit 0
}

[[ -x $fba ]] || { echo "$fba is not there: build it (cargo build), or name another" >&2; exit 64; }
[[ $EUID == 0 ]] || skip "network namespaces need root"
for tool in ip curl jq; do command -v "$tool" >/dev/null || skip "$tool is not installed"; done

work=$(mktemp -d)
prefix=fba-guide-$$
declare -A running=() # machine → process of its terminal

clean_up() {
  local status=$?
  for machine in "${!running[@]}"; do kill -9 "${running[$machine]}" 2>/dev/null || true; done
  for machine in switch "${machines[@]}"; do ip netns del "$prefix-$machine" 2>/dev/null || true; done
  if ((status == 0)); then rm -rf "$work"; else echo "what the machines had is kept in $work" >&2; fi
}
trap clean_up EXIT

# A switch and the machines, each with one address: 192.0.2.1, .2, …
ip netns add "$prefix-switch" 2>/dev/null || skip "ip netns add fails here"
ip -n "$prefix-switch" link add lan type bridge 2>/dev/null || skip "this kernel has no bridges"
ip -n "$prefix-switch" link set lan up
for i in "${!machines[@]}"; do
  machine=${machines[$i]} space=$prefix-${machines[$i]}
  ip netns add "$space"
  ip link add "port$i" netns "$prefix-switch" type veth peer name eth0 netns "$space"
  ip -n "$prefix-switch" link set "port$i" master lan up
  ip -n "$space" address add "192.0.2.$((i + 1))/24" dev eth0
  ip -n "$space" link set eth0 up
  ip -n "$space" link set lo up
  mkdir -p "$work/$machine"
done

mkdir "$work/bin"
ln -s "$fba" "$work/bin/fba"
cat >"$work/bin/scp" <<SCP
#!/usr/bin/env bash
# scp [-r] FILE… MACHINE:[PATH]
set -euo pipefail
to=\${*: -1}
exec cp -pr \${@:1:\$#-1} "$work/\${to%%:*}/\${to#*:}"
SCP
chmod +x "$work/bin/scp"

# on MACHINE COMMAND…: there, in its folder, with nothing of this shell's environment.
on() {
  local machine=$1
  shift
  ip netns exec "$prefix-$machine" env -i -C "$work/$machine" HOME="$work/$machine" PATH="$work/bin:/usr/bin:/bin" "$@"
}

# until_true WHAT COMMAND…: an error if it is not true in time.
until_true() {
  local what=$1 deadline=$((SECONDS + patience))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || { echo "not in $patience s: $what" >&2; return 1; }
    sleep 0.2
  done
}

ended() { [[ ! -e /proc/$1 || $(awk '/^State/ { print $2 }' "/proc/$1/status" 2>/dev/null) == Z ]]; }

interrupt() {
  local machine=$1
  local process=${running[$machine]:?nothing runs on $machine}
  kill -INT "$process"
  until_true "$machine stops after Ctrl-C" ended "$process"
  wait "$process" || { echo "$machine did not end well after Ctrl-C; its terminal:" >&2; tail "$work/$machine.terminal" >&2; return 1; }
  unset "running[$machine]"
}

terminal() {
  local machine=$1 command=$2 shown=$work/$1.terminal
  : >"$shown"
  # A function would run in a shell of its own, which keeps Ctrl-C to itself: `on` is spelled out here.
  ip netns exec "$prefix-$machine" env -i -C "$work/$machine" HOME="$work/$machine" PATH="$work/bin:/usr/bin:/bin" \
    bash -c "exec $command" >"$shown" 2>&1 &
  running[$machine]=$!
  until_true "$machine serves HTTP: $(tail -n 3 "$shown")" grep -q '^serving' "$shown"
}

agrees() {
  on "$1" curl -sf http://127.0.0.1:8001/v1/quorum |
    jq -e --arg name "$2" '.nodes[] | select(.name == $name and .state == "agree")' >/dev/null
}

votes() {
  for machine in "${!running[@]}"; do
    [[ $machine == "$1" ]] || until_true "$machine hears $2 agree" agrees "$machine" "$2"
  done
}

has_command() { on alpha fba help "$1" >/dev/null 2>&1; }

# Blocks and directives, one file each, numbered in the order of the text.
mkdir "$work/steps"
awk -v folder="$work/steps" '
  function begin(what) { file = sprintf("%s/%03d", folder, ++steps); print NR " " what > (file ".head") }
  /^<!-- guide: .* -->$/ { begin($0); next }
  /^```sh guide / { begin($0); inside = 1; next }
  /^```/ { inside = 0 }
  inside { print > (file ".sh") }
' "$guide"

did=0 skipped=0
for head in "$work"/steps/*.head; do
  read -r line words <"$head"
  step=${head%.head}.sh
  if [[ $words == '<!--'* ]]; then
    read -r _ _ action machine rest _ <<<"$words"
    echo "== $guide:$line: $action $machine"
    case $action in
      interrupt) interrupt "$machine" ;;
      wipe) on "$machine" rm -rf "${rest:?}" ;;
      votes) votes "$machine" "$machine" ;;
      moved) votes "$machine" "$rest" ;;
      *) echo "$guide:$line: no such action: $action" >&2 && exit 65 ;;
    esac
    continue
  fi
  [[ $words =~ on=([a-z]+) ]] || { echo "$guide:$line: on which machine?" >&2; exit 65; }
  machine=${BASH_REMATCH[1]}
  if [[ $words =~ needs=([a-z]+) ]] && ! has_command "${BASH_REMATCH[1]}"; then
    echo "== $guide:$line: SKIPPED on $machine: this fba has no \`${BASH_REMATCH[1]}\`"
    skipped=$((skipped + 1))
    continue
  fi
  echo "== $guide:$line: on $machine"
  sed 's/^/   $ /' "$step"
  if [[ $words == *restart* ]]; then interrupt "$machine"; fi
  if [[ $words == *terminal* || $words == *restart* ]]; then
    terminal "$machine" "$(<"$step")"
  else
    [[ $words =~ exit=([0-9]+) ]] && wanted=${BASH_REMATCH[1]} || wanted=0
    status=0
    on "$machine" timeout "$patience" bash -euo pipefail "$step" >"$work/output" 2>&1 || status=$?
    sed 's/^/   /' "$work/output"
    ((status == wanted)) || { echo "$guide:$line: ended with $status, not $wanted" >&2; exit 1; }
    if [[ $words =~ says=([a-z]+) ]]; then
      grep -q "${BASH_REMATCH[1]}" "$work/output" || { echo "$guide:$line: no word of ${BASH_REMATCH[1]}" >&2; exit 1; }
    fi
  fi
  did=$((did + 1))
done

# What the guide promises at its end: everybody has the same ledgers.
sequence=$(on alpha curl -sf http://127.0.0.1:8001/v1/node | jq .ledger.sequence)
for machine in "${!running[@]}"; do
  same() { on "$machine" curl -sf "http://127.0.0.1:8001/v1/ledgers/$sequence" | jq -re .hash >"$work/$machine.hash"; }
  until_true "$machine has ledger $sequence" same
done
[[ $(sort -u "$work"/*.hash | wc -l) == 1 ]] || { echo "the machines disagree about ledger $sequence" >&2; exit 1; }
for machine in "${!running[@]}"; do interrupt "$machine"; done
echo "the guide holds: $did blocks followed, $skipped skipped, ledger $sequence is the same everywhere, $SECONDS s"
