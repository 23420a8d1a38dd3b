#!/bin/sh
# Installs programs and files that the other scripts need and that are missing.
#
# Source it in a script of this folder, or run it with the names of functions:
#
#     . "$(dirname -- "$0")/setup.sh"; need_python_venv run; need_rabbitmq
#     scripts/setup.sh need_rabbitmq need_java_kafka
#
# A function that changes something prints one line to standard error. A function that fails prints the reason and ends
# the script with exit code 1. Installed programs stay as they are. Files in .venv and .cache are replaced if they are out of
# date.

# $0 is in this folder in both cases, so the project is one level up.
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

# help_if_asked ARGUMENT...: prints the comment at the head of the script for -h and --help.
help_if_asked() {
    case ${1:-} in
        -h | --help)
            sed -n '/^#!/d; /^#/!q; s/^# \{0,1\}//p' "$0"
            exit 0
            ;;
    esac
}

# as_root COMMAND...: runs the command as root, directly or through sudo. Check with can_install first.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# can_install REASON PACKAGE...: ends the script if it can't install Debian packages.
can_install() {
    install_reason=$1
    shift
    command -v apt-get >/dev/null ||
        fail "$install_reason needs the Debian packages '$*', but there is no apt-get: install your system's packages"
    [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null ||
        fail "$install_reason needs 'apt-get install $*', but you are not root and there is no sudo: run it as root"
}

# quietly COMMAND...: shows the command's output only if it fails, and returns its exit code.
quietly() {
    quietly_log=$(mktemp) || fail "could not create a temporary file in ${TMPDIR:-/tmp}: check its space and permissions"
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
        quietly as_root apt-get -qq update || say "apt-get update failed (above); using the old package lists"
        apt_lists_are_fresh=yes
    fi
    quietly as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -o DPkg::Lock::Timeout=120 install --yes --no-install-recommends "$@" ||
        fail "apt-get could not install '$*' (above)"
}

# need_programs REASON PROGRAMS PACKAGE...: installs Debian packages if one of the programs is missing.
need_programs() {
    programs_reason=$1
    programs=$2
    shift 2
    first_missing >/dev/null || return 0
    install_packages "$programs_reason" "$@"
    ! program=$(first_missing) || fail "'$*' is installed, but has no $program"
}

# first_missing: prints the first missing program of $programs. Fails if none is missing.
first_missing() {
    for program in $programs; do
        command -v "$program" >/dev/null || { echo "$program" && return 0; }
    done
    return 1
}

# is_made_of STATE STAMP: succeeds if the file STAMP contains STATE, so that its folder is up to date.
is_made_of() {
    [ "$(cat "$2" 2>/dev/null)" = "$1" ]
}

# make_of STATE STAMP WHAT COMMAND...: runs COMMAND, which makes FOLDER.new, where FOLDER is the folder of STAMP. Replaces
# FOLDER only if COMMAND succeeds.
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

# find_python: prints the first Python 3.11 or newer. Fails if there is none.
find_python() {
    for find_candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        is_python_311 "$find_candidate" && echo "$find_candidate" && return 0
    done
    return 1
}

make_venv() {
    venv_python=$(find_python) || {
        install_packages "the project's Python" python3 python3-venv
        venv_python=$(find_python) || fail "found no Python 3.11 or newer: install one"
    }
    if ! "$venv_python" -c 'import ensurepip, venv' 2>/dev/null; then
        install_packages "making a virtual environment" "$venv_python-venv"
        "$venv_python" -c 'import ensurepip, venv' 2>/dev/null ||
            fail "$(command -v "$venv_python") has no modules venv and ensurepip: install them"
    fi
    say "making the virtual environment ${VENV#"$PROJECT_ROOT/"} for the project's Python libraries"
    rm -rf "$VENV"
    quietly "$venv_python" -m venv "$VENV" || {
        rm -rf "$VENV"
        fail "could not make the virtual environment (above)"
    }
}

# need_python_venv [run]: makes .venv with the locked libraries and an editable installation of the project. With "run",
# it installs only the daemon's libraries, which are enough for the demo.
need_python_venv() {
    venv_lock=requirements/${1:-all}.txt
    if ! is_python_311 "$VENV/bin/python" || ! "$VENV/bin/python" -c 'import pip' 2>/dev/null; then
        make_venv
    fi
    # The stamp names the installed lock file, the state of all lock files, and the folder, because an editable
    # installation contains its path. A change of any lock file causes an installation, also a change back.
    # requirements/all.txt includes requirements/run.txt, in the same versions.
    venv_state=$(cd "$PROJECT_ROOT" &&
        cksum pyproject.toml requirements/build.txt requirements/run.txt requirements/all.txt && pwd) ||
        fail "could not read pyproject.toml or a lock file"
    case $(cat "$VENV/.installed" 2>/dev/null) in
        "$venv_lock of $venv_state" | "requirements/all.txt of $venv_state") return 0 ;;
    esac
    say "installing $venv_lock and the project into ${VENV#"$PROJECT_ROOT/"}, which is new or out of date"
    rm -f "$VENV/.installed"
    # --no-compile, because Python compiles a module when it first imports it: most are never imported.
    # --no-deps, because the lock files are complete. --only-binary, so that pip runs no code of source packages: all
    # libraries have wheels.
    quietly "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
        --no-deps --require-hashes --only-binary=:all: \
        --requirement "$PROJECT_ROOT/requirements/build.txt" --requirement "$PROJECT_ROOT/$venv_lock" ||
        fail "pip could not install the packages of $venv_lock (above)"
    quietly "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check \
        --no-deps --no-build-isolation --no-index --editable "$PROJECT_ROOT" ||
        fail "pip could not install the project (above)"
    printf '%s\n' "$venv_lock of $venv_state" >"$VENV/.installed"
}

# need_shellcheck: puts Debian's shellcheck into .venv, on ARM, where the lock files have none. Needs need_python_venv
# before.
need_shellcheck() {
    [ -x "$VENV/bin/shellcheck" ] && return 0
    need_programs "checking shell scripts" shellcheck shellcheck
    ln -sf "$(command -v shellcheck)" "$VENV/bin/shellcheck"
}

POLICY=/usr/sbin/policy-rc.d
POLICY_MARK='# Made by cki-notifier scripts/setup.sh for the time of one installation.'

# install_unstarted UNITS REASON PACKAGE: installs a Debian package, but does not start its services.
#
# Runs in a subshell, because it sets traps. Debian asks policy-rc.d before a package starts a service, and exit code 101
# prevents the start. This function keeps an administrator's policy-rc.d, and replaces one that a killed run left.
install_unstarted() (
    new_units=$1 # the package enables these units for the next boot
    shift
    can_install "$@"
    if ! [ -e "$POLICY" ] || grep -qxF "$POLICY_MARK" "$POLICY"; then
        trap 'as_root rm -f "$POLICY"' EXIT
        trap 'exit 1' HUP INT TERM
        # shellcheck disable=SC2016 # expanded by the inner shell
        as_root sh -c 'umask 022 && printf "#!/bin/sh\n%s\nexit 101\n" "$2" >"$1" && chmod 755 "$1"' \
            sh "$POLICY" "$POLICY_MARK" || fail "could not write $POLICY"
    elif "$POLICY" "$2" start >/dev/null 2>&1; then
        say "$POLICY lets services start, so the package may also start a system-wide $2"
    fi
    install_packages "$@"
    if command -v systemctl >/dev/null; then
        # shellcheck disable=SC2086 # several words
        quietly as_root systemctl --quiet disable $new_units ||
            say "could not disable $new_units: they may start at the next boot"
    fi
)

# need_rabbitmq: installs Debian's RabbitMQ server for private brokers, but starts no system-wide broker. With
# PRIVATE_RABBITMQ=4, unpacks the RabbitMQ of a newer Debian into a separate file system.
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
    [ -x "$RABBITMQ_SERVER" ] || fail "rabbitmq-server is installed, but has no $RABBITMQ_SERVER"
}

# Debian's current release, for need_rabbitmq_4.
NEWER_DEBIAN=trixie

# need_rabbitmq_4: unpacks the RabbitMQ of Debian's current release and its dependencies into .cache/rabbitmq-4, for
# bubblewrap. Installs only mmdebstrap and bubblewrap into the system.
need_rabbitmq_4() {
    need_programs "running RabbitMQ 4 in a file system of its own" bwrap bubblewrap
    is_made_of "$NEWER_DEBIAN" "$CACHE/rabbitmq-4/.release" && return 0
    need_programs "unpacking RabbitMQ 4" mmdebstrap mmdebstrap
    # The mirror of this system's packages, if the system is Debian.
    # shellcheck disable=SC2016  # expanded by apt-get
    rabbitmq_mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' |
        grep -v -e security -e updates | head -n 1)
    make_of "$NEWER_DEBIAN" "$CACHE/rabbitmq-4/.release" "unpacking the RabbitMQ of Debian $NEWER_DEBIAN with mmdebstrap" \
        mmdebstrap --variant=extract --include='?essential' --include=rabbitmq-server \
        "$NEWER_DEBIAN" "$CACHE/rabbitmq-4.new" ${rabbitmq_mirror:+"$rabbitmq_mirror"}
}

# need_promtool: installs Debian's Prometheus with promtool, but starts no system-wide Prometheus.
need_promtool() {
    programs="promtool prometheus"
    first_missing >/dev/null || return 0
    install_unstarted prometheus.service "testing the alerts" prometheus || exit 1
    ! program=$(first_missing) || fail "prometheus is installed, but has no $program"
}

# need_kustomize: puts kustomize and the schemas of its output into .cache/kubernetes. Needs need_python_venv before.
need_kustomize() {
    kustomize_source=$PROJECT_ROOT/tests/deploy/kubernetes/tools
    kustomize_state=$(cat "$kustomize_source"/* | cksum) || fail "could not read $kustomize_source"
    is_made_of "$kustomize_state" "$CACHE/kubernetes/.state" && return 0
    make_of "$kustomize_state" "$CACHE/kubernetes/.state" "building the tools for testing the manifests" \
        "$kustomize_source/install" "$VENV/bin/python" "$CACHE/kubernetes.new"
}

is_java_17() {
    # Example: openjdk version "17.0.15" ... Before Java 9, the version began with "1."
    java_version=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p')
    [ "${java_version:-0}" -ge 17 ]
}

# need_java_kafka: installs Java 17 or newer and Maven, and puts the Kafka of tools/brokers/kafka-pom.xml into .cache/kafka.
need_java_kafka() {
    need_programs "a private Kafka broker" java default-jre-headless
    is_java_17 || fail "Kafka needs Java 17 or newer; $(command -v java) is Java ${java_version:-unknown}"
    kafka_pom=$PROJECT_ROOT/tools/brokers/kafka-pom.xml
    kafka_state=$(cksum <"$kafka_pom") || fail "could not read $kafka_pom"
    is_made_of "$kafka_state" "$CACHE/kafka/.pom" && return 0
    need_programs "fetching Kafka" mvn maven
    make_of "$kafka_state" "$CACHE/kafka/.pom" "fetching Kafka with Maven" \
        mvn --quiet --batch-mode -Dstyle.color=never --file "$kafka_pom" \
        dependency:copy-dependencies "-DoutputDirectory=$CACHE/kafka.new"
}

# need_chromium: installs Debian's Chromium, its driver, and a font with the status page's symbols.
need_chromium() {
    need_programs "looking at the status page in a browser" "chromium chromedriver" \
        chromium chromium-driver fonts-dejavu-core
}

# need_asyncapi_parser: puts AsyncAPI's parser into .cache/asyncapi-parser.
need_asyncapi_parser() {
    need_node_packages asyncapi-parser tests/docs/contract/asyncapi "AsyncAPI's parser"
}

# need_textlint: puts the linter for prose into .cache/textlint.
need_textlint() {
    need_node_packages textlint tools/prose textlint
}

# need_node_packages NAME FOLDER WHAT: puts the packages that FOLDER/package-lock.json pins by hashes into .cache/NAME.
# Node.js and npm come from the virtual environment (need_python_venv), so that they are the same everywhere.
need_node_packages() {
    node_name=$1
    node_source=$PROJECT_ROOT/$2
    node_state=$(cat "$node_source/package.json" "$node_source/package-lock.json" | cksum)
    is_made_of "$node_state" "$CACHE/$node_name/.lock" && return 0
    [ -x "$VENV/bin/npm" ] || need_python_venv
    make_of "$node_state" "$CACHE/$node_name/.lock" "fetching $3 with npm" fetch_node_packages
}

# npm also trusts the system's certificates, and runs no scripts of packages.
fetch_node_packages() {
    mkdir "$CACHE/$node_name.new" &&
        cp "$node_source/package.json" "$node_source/package-lock.json" "$CACHE/$node_name.new" &&
        NODE_USE_SYSTEM_CA=1 "$VENV/bin/npm" ci --prefix "$CACHE/$node_name.new" --ignore-scripts --no-audit --no-fund \
            --no-update-notifier --cache "$PROJECT_ROOT/.cache/npm"
}

# need_jq: installs jq, which the documentation's examples use.
need_jq() {
    need_programs "running the documentation's examples" jq jq
}

# need_shells: installs zsh and fish, whose completion of the command line is tested.
need_shells() {
    need_programs "completing the command line" "zsh fish" zsh fish
}

# need_systemd: installs systemd-analyze, which checks units, and strace, which lists a process's system calls.
need_systemd() {
    need_programs "checking the unit of systemd" "systemd-analyze strace" systemd strace
}

# need_image: installs bubblewrap, and puts the image's locked packages into .cache/image, for the Python of .venv.
#
# With these, the tests run the Dockerfile's steps without a container engine and without network.
need_image() {
    need_programs "building and running the image without a container engine" bwrap bubblewrap
    image_state="$(cat "$PROJECT_ROOT/requirements/run.txt" "$PROJECT_ROOT/requirements/build.txt" | cksum) $("$VENV/bin/python" -VV)" ||
        fail "could not read the image's lock files"
    is_made_of "$image_state" "$CACHE/image/.locks" && return 0
    make_of "$image_state" "$CACHE/image/.locks" "fetching the packages of the image" \
        "$VENV/bin/python" -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
        --only-binary :all: --dest "$CACHE/image.new" \
        --requirement "$PROJECT_ROOT/requirements/run.txt" --requirement "$PROJECT_ROOT/requirements/build.txt"
}

if [ "${0##*/}" = setup.sh ]; then
    set -eu
    setup_known=$(sed -n 's/^\(need_[a-z0-9_]*\)() .*/\1/p' "$0" | tr '\n' ' ')
    [ "$#" -gt 0 ] || fail "name one or more functions: $setup_known"
    for setup_need in "$@"; do
        case " $setup_known" in
            *" $setup_need "*) "$setup_need" ;;
            *) fail "unknown function '$setup_need': use one of $setup_known" ;;
        esac
    done
fi
