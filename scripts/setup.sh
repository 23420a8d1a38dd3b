#!/bin/sh
# What the other scripts need, installed when it is missing.
#
# Sourced by a script in this folder, or called with the names of functions:
#
#     . "$(dirname -- "$0")/setup.sh"; need_python_venv demo; need_rabbitmq
#     scripts/setup.sh need_rabbitmq need_java_kafka
#
# A function that changes something says so in one line on standard error. One that cannot do its work says
# why and ends the script with exit code 1. What is there already is left as it is.

# Both ways of use have $0 in this folder, so the project is one level up.
PROJECT_ROOT=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
if ! [ -f "$PROJECT_ROOT/scripts/setup.sh" ]; then
    echo "setup: source setup.sh only from scripts beside it (this is $0)" >&2
    exit 1
fi

RABBITMQ_SERVER=/usr/lib/rabbitmq/bin/rabbitmq-server
CACHE=$PROJECT_ROOT/.cache
VENV=$PROJECT_ROOT/.venv

say() {
    printf 'setup: %s\n' "$*" >&2
}

fail() {
    say "error: $*"
    exit 1
}

# help_if_asked ARGUMENT...: whoever asks for help gets the comment at the head of the script.
help_if_asked() {
    case ${1:-} in
        -h | --help)
            sed -n '/^#!/d; /^#/!q; s/^# \{0,1\}//p' "$0"
            exit 0
            ;;
    esac
}

# as_root COMMAND...: runs it as root, directly or through sudo; can_install says whether that is possible.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# can_install REASON PACKAGE...: ends the script when Debian packages cannot be installed here.
can_install() {
    install_reason=$1
    shift
    command -v apt-get >/dev/null ||
        fail "$install_reason needs the Debian packages '$*', and there is no apt-get here: install their like yourself"
    [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null ||
        fail "$install_reason needs 'apt-get install $*', and this is not root and has no sudo"
}

# quietly COMMAND...: shows what the command printed only when it fails, and returns its exit code.
quietly() {
    quietly_log=$(mktemp) || fail "no temporary file can be made in ${TMPDIR:-/tmp}"
    quietly_code=0
    "$@" >"$quietly_log" 2>&1 || quietly_code=$?
    [ "$quietly_code" -eq 0 ] || tail -n 40 "$quietly_log" >&2
    rm -f "$quietly_log"
    return "$quietly_code"
}

# install_packages REASON PACKAGE...: installs Debian packages.
install_packages() {
    can_install "$@"
    shift
    say "installing the Debian packages '$*' for $install_reason"
    if [ -z "${apt_lists_are_fresh:-}" ]; then
        quietly as_root apt-get -qq update || say "apt-get update failed (above); going on with the lists at hand"
        apt_lists_are_fresh=yes
    fi
    quietly as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -o DPkg::Lock::Timeout=120 install --yes --no-install-recommends "$@" ||
        fail "apt-get could not install '$*' (above)"
}

# need_programs REASON PROGRAMS PACKAGE...: installs Debian packages when one of the programs is missing.
need_programs() {
    programs_reason=$1
    programs=$2
    shift 2
    first_missing >/dev/null || return 0
    install_packages "$programs_reason" "$@"
    ! program=$(first_missing) || fail "'$*' was installed, but there is no $program"
}

# first_missing: prints the first of $programs that is not there; fails when all are.
first_missing() {
    for program in $programs; do
        command -v "$program" >/dev/null || { echo "$program" && return 0; }
    done
    return 1
}

# is_made_of STATE STAMP: whether what STAMP lies in was made of this state.
is_made_of() {
    [ "$(cat "$2" 2>/dev/null)" = "$1" ]
}

# make_of STATE STAMP WHAT COMMAND...: has COMMAND make FOLDER.new, FOLDER being where STAMP lies. Only when it is whole
# does it take the place of FOLDER.
make_of() {
    make_state=$1
    make_stamp=$2
    make_folder=${2%/*}
    make_what=$3
    shift 3
    say "$make_what into ${make_folder#"$PROJECT_ROOT/"}"
    mkdir -p "${make_folder%/*}"
    rm -rf "$make_folder.new"
    quietly "$@" || fail "$make_what failed (above)"
    printf '%s\n' "$make_state" >"$make_folder.new/${make_stamp##*/}"
    rm -rf "$make_folder"
    mv "$make_folder.new" "$make_folder"
}

is_python_311() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

# find_python: prints the first Python 3.11 or newer; fails when there is none.
find_python() {
    for find_candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        is_python_311 "$find_candidate" && echo "$find_candidate" && return 0
    done
    return 1
}

make_venv() {
    venv_python=$(find_python) || {
        install_packages "the project's Python" python3 python3-venv
        venv_python=$(find_python) || fail "no Python 3.11 or newer is to be found"
    }
    if ! "$venv_python" -c 'import ensurepip, venv' 2>/dev/null; then
        install_packages "making a virtual environment" "$venv_python-venv"
        "$venv_python" -c 'import ensurepip, venv' 2>/dev/null ||
            fail "$(command -v "$venv_python") cannot make virtual environments: its modules venv and ensurepip are missing"
    fi
    say "making the virtual environment ${VENV#"$PROJECT_ROOT/"} for the project's Python libraries"
    rm -rf "$VENV"
    quietly "$venv_python" -m venv "$VENV" || {
        rm -rf "$VENV"
        fail "the virtual environment could not be made (above)"
    }
}

# need_python_venv [run]: .venv with the locked libraries and the project, editable: what the daemon needs alone, which
# is enough for the demo, or, without "run", everything that tests, benchmarks and scripts need.
need_python_venv() {
    venv_lock=requirements/${1:-all}.txt
    if ! is_python_311 "$VENV/bin/python" || ! "$VENV/bin/python" -c 'import pip' 2>/dev/null; then
        make_venv
    fi
    # The stamp says what was installed, out of which files, and where: an editable installation names the folder.
    # The state is that of all the files, so one stamp will do: what a lock file held before it changed back is
    # installed again. Everything includes what the demo needs, in the same versions.
    venv_state=$(cd "$PROJECT_ROOT" &&
        cksum pyproject.toml requirements/build.txt requirements/run.txt requirements/all.txt && pwd) ||
        fail "pyproject.toml or a lock file cannot be read"
    case $(cat "$VENV/.installed" 2>/dev/null) in
        "$venv_lock of $venv_state" | "requirements/all.txt of $venv_state") return 0 ;;
    esac
    say "installing $venv_lock and the project into ${VENV#"$PROJECT_ROOT/"}, because it is new, or those files changed"
    rm -f "$VENV/.installed"
    # Nothing is resolved (--no-deps): a lock file is complete, and what was published since must not matter. No code of
    # a source package is run, nor fetched for building it: all libraries have wheels.
    quietly "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check \
        --no-deps --require-hashes --only-binary=:all: \
        --requirement "$PROJECT_ROOT/requirements/build.txt" --requirement "$PROJECT_ROOT/$venv_lock" ||
        fail "pip could not install what $venv_lock names (above)"
    quietly "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check \
        --no-deps --no-build-isolation --no-index --editable "$PROJECT_ROOT" ||
        fail "pip could not install the project (above)"
    printf '%s\n' "$venv_lock of $venv_state" >"$VENV/.installed"
}

# need_shellcheck: shellcheck in .venv, after need_python_venv; on ARM it is Debian's, since no lock file has one.
need_shellcheck() {
    [ -x "$VENV/bin/shellcheck" ] && return 0
    need_programs "checking shell scripts" shellcheck shellcheck
    ln -sf "$(command -v shellcheck)" "$VENV/bin/shellcheck"
}

POLICY=/usr/sbin/policy-rc.d
POLICY_MARK='# Made by cki-notifier scripts/setup.sh for the time of one installation.'

# install_unstarted UNITS REASON PACKAGE: installs a Debian package without its services being started.
#
# Runs in a subshell, so that its traps are its own. Debian asks policy-rc.d before a package starts a service;
# 101 says no. An administrator's own file is left alone; one of ours that a killed run left is taken over.
install_unstarted() (
    new_units=$1 # the package switches these on for the next boot, which nobody here asked for
    shift
    can_install "$@"
    if ! [ -e "$POLICY" ] || grep -qxF "$POLICY_MARK" "$POLICY"; then
        trap 'as_root rm -f "$POLICY"' EXIT
        trap 'exit 1' HUP INT TERM
        # shellcheck disable=SC2016 # expanded by the inner shell
        as_root sh -c 'umask 022 && printf "#!/bin/sh\n%s\nexit 101\n" "$2" >"$1" && chmod 755 "$1"' \
            sh "$POLICY" "$POLICY_MARK" || fail "$POLICY could not be written"
    elif "$POLICY" "$2" start >/dev/null 2>&1; then
        say "$POLICY lets services start, so the package may start a system-wide $2 too"
    fi
    install_packages "$@"
    if command -v systemctl >/dev/null; then
        # shellcheck disable=SC2086 # several words
        quietly as_root systemctl --quiet disable $new_units ||
            say "$new_units could not be disabled and may start at the next boot"
    fi
)

# need_rabbitmq: what private brokers are made of. Debian's RabbitMQ server, without a system-wide broker being started;
# or, with PRIVATE_RABBITMQ=4, that of a newer Debian in a file system of its own.
need_rabbitmq() {
    case ${PRIVATE_RABBITMQ:-3} in
        3) ;;
        4)
            need_rabbitmq_4
            return 0
            ;;
        *) fail "PRIVATE_RABBITMQ is '$PRIVATE_RABBITMQ': it has to be 3 or 4" ;;
    esac
    [ -x "$RABBITMQ_SERVER" ] && return 0
    rabbitmq_units=rabbitmq-server.service
    command -v epmd >/dev/null || rabbitmq_units="$rabbitmq_units epmd.service epmd.socket"
    install_unstarted "$rabbitmq_units" "private RabbitMQ brokers" rabbitmq-server || exit 1
    [ -x "$RABBITMQ_SERVER" ] || fail "rabbitmq-server was installed, but there is no $RABBITMQ_SERVER"
}

# Debian's current release, whose RabbitMQ need_rabbitmq_4 takes.
NEWER_DEBIAN=trixie

# need_rabbitmq_4: the RabbitMQ of Debian's current release with all it needs, unpacked into .cache/rabbitmq-4, where only
# bubblewrap makes a file system of it. Nothing is installed into the system but mmdebstrap and bubblewrap.
need_rabbitmq_4() {
    need_programs "running RabbitMQ 4 in a file system of its own" bwrap bubblewrap
    is_made_of "$NEWER_DEBIAN" "$CACHE/rabbitmq-4/.release" && return 0
    need_programs "unpacking RabbitMQ 4" mmdebstrap mmdebstrap
    # From where this system's own packages come, if that is Debian.
    # shellcheck disable=SC2016  # expanded by apt-get
    rabbitmq_mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' |
        grep -v -e security -e updates | head -n 1)
    make_of "$NEWER_DEBIAN" "$CACHE/rabbitmq-4/.release" "unpacking the RabbitMQ of Debian $NEWER_DEBIAN with mmdebstrap" \
        mmdebstrap --variant=extract --include='?essential' --include=rabbitmq-server \
        "$NEWER_DEBIAN" "$CACHE/rabbitmq-4.new" ${rabbitmq_mirror:+"$rabbitmq_mirror"}
}

# need_promtool: Debian's Prometheus with its promtool, without a system-wide one being started.
need_promtool() {
    programs="promtool prometheus"
    first_missing >/dev/null || return 0
    install_unstarted prometheus.service "testing the alerts" prometheus || exit 1
    ! program=$(first_missing) || fail "prometheus was installed, but there is no $program"
}

# need_kustomize: kustomize, and schemas for what it prints, in .cache/kubernetes; after need_python_venv.
need_kustomize() {
    kustomize_source=$PROJECT_ROOT/tests/deploy/kubernetes/tools
    kustomize_state=$(cat "$kustomize_source"/* | cksum) || fail "$kustomize_source cannot be read"
    is_made_of "$kustomize_state" "$CACHE/kubernetes/.state" && return 0
    make_of "$kustomize_state" "$CACHE/kubernetes/.state" "building the tools for testing the manifests" \
        "$kustomize_source/install" "$VENV/bin/python" "$CACHE/kubernetes.new"
}

is_java_17() {
    # "openjdk version "17.0.15" ..."; before Java 9 the number began with "1."
    java_version=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p')
    [ "${java_version:-0}" -ge 17 ]
}

# need_java_kafka: Java 17 or newer, Maven, and the Kafka that tools/brokers/kafka-pom.xml names in .cache/kafka.
need_java_kafka() {
    need_programs "a private Kafka broker" java default-jre-headless
    is_java_17 || fail "Kafka needs Java 17 or newer; $(command -v java) is Java ${java_version:-unknown}"
    kafka_pom=$PROJECT_ROOT/tools/brokers/kafka-pom.xml
    kafka_state=$(cksum <"$kafka_pom") || fail "$kafka_pom cannot be read"
    is_made_of "$kafka_state" "$CACHE/kafka/.pom" && return 0
    need_programs "fetching Kafka" mvn maven
    make_of "$kafka_state" "$CACHE/kafka/.pom" "fetching Kafka with Maven" \
        mvn --quiet --batch-mode -Dstyle.color=never --file "$kafka_pom" \
        dependency:copy-dependencies "-DoutputDirectory=$CACHE/kafka.new"
}

# need_chromium: Debian's Chromium with the driver that fits it, and a font with the signs of the status page.
need_chromium() {
    need_programs "looking at the status page in a browser" "chromium chromedriver" \
        chromium chromium-driver fonts-dejavu-core
}

# need_asyncapi_parser: AsyncAPI's parser in .cache/asyncapi-parser.
need_asyncapi_parser() {
    need_node_packages asyncapi-parser tests/docs/contract/asyncapi "AsyncAPI's parser"
}

# need_textlint: the linter for prose in .cache/textlint.
need_textlint() {
    need_node_packages textlint tools/prose textlint
}

# need_node_packages NAME FOLDER WHAT: the packages that FOLDER/package-lock.json pins by hashes, in .cache/NAME.
# Their Node.js and npm are those of the virtual environment (need_python_venv), the same everywhere.
need_node_packages() {
    node_name=$1
    node_source=$PROJECT_ROOT/$2
    node_state=$(cat "$node_source/package.json" "$node_source/package-lock.json" | cksum)
    is_made_of "$node_state" "$CACHE/$node_name/.lock" && return 0
    [ -x "$VENV/bin/npm" ] || need_python_venv
    make_of "$node_state" "$CACHE/$node_name/.lock" "fetching $3 with npm" fetch_node_packages
}

# npm trusts the system's certificates, too, and runs no package's scripts.
fetch_node_packages() {
    mkdir "$CACHE/$node_name.new" &&
        cp "$node_source/package.json" "$node_source/package-lock.json" "$CACHE/$node_name.new" &&
        NODE_USE_SYSTEM_CA=1 "$VENV/bin/npm" ci --prefix "$CACHE/$node_name.new" --ignore-scripts --no-audit --no-fund \
            --no-update-notifier --cache "$PROJECT_ROOT/.cache/npm"
}

# need_jq: the jq that the documentation's examples are run with.
need_jq() {
    need_programs "running the documentation's examples" jq jq
}

# need_shells: those that complete the command line, besides bash.
need_shells() {
    need_programs "completing the command line" "zsh fish" zsh fish
}

# need_systemd: what checks a unit of systemd's without one that runs, and what lists the system calls of a process.
need_systemd() {
    need_programs "checking the unit of systemd" "systemd-analyze strace" systemd strace
}

# need_image: bubblewrap, and in .cache/image what the image's lock files name, for the Python of .venv.
#
# With these the tests carry out the Dockerfile without a container engine and without network.
need_image() {
    need_programs "building and running the image without a container engine" bwrap bubblewrap
    image_state="$(cat "$PROJECT_ROOT/requirements/run.txt" "$PROJECT_ROOT/requirements/build.txt" | cksum) $("$VENV/bin/python" -VV)" ||
        fail "the image's lock files cannot be read"
    is_made_of "$image_state" "$CACHE/image/.locks" && return 0
    make_of "$image_state" "$CACHE/image/.locks" "fetching the packages of the image" \
        "$VENV/bin/python" -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
        --only-binary :all: --dest "$CACHE/image.new" \
        --requirement "$PROJECT_ROOT/requirements/run.txt" --requirement "$PROJECT_ROOT/requirements/build.txt"
}

if [ "${0##*/}" = setup.sh ]; then
    set -eu
    setup_known=$(sed -n 's/^\(need_[a-z0-9_]*\)() .*/\1/p' "$0" | tr '\n' ' ')
    [ "$#" -gt 0 ] || fail "name what is needed: $setup_known"
    for setup_need in "$@"; do
        case " $setup_known" in
            *" $setup_need "*) "$setup_need" ;;
            *) fail "'$setup_need' is none of $setup_known" ;;
        esac
    done
fi
