"""The command line is completed by real shells."""

import subprocess
from pathlib import Path

import pytest

from cki_notifier.cli import main
from cki_notifier.dead_letters.arguments import REASONS
from cki_notifier.notification.models import Status

COMMANDS = {"audit", "completion", "dead-letters", "doctor", "explain", "schema"}
#: A typed line, and the shell's offers for its last word.
TYPED = [
    ("cki-notifier ", COMMANDS),
    ("cki-notifier d", {"dead-letters", "doctor"}),
    ("cki-notifier --checkout", {"--checkout-id"}),
    ("cki-notifier --status ", set(Status)),
    ("cki-notifier dead-letters ", {"discard", "list", "retry", "show"}),
    ("cki-notifier dead-letters retry --l", {"--limit"}),
    ("cki-notifier dead-letters list --reason ", set(REASONS)),
    ("cki-notifier completion ", {"bash", "fish", "zsh"}),
    ("cki-notifier explain noti", {"notification.json"}),
]

_BASH = r"""
source completion.bash
word=$(complete -p cki-notifier) && function=${word##*-F } && function=${function%% *}
COMP_WORDS=($1) COMP_LINE=$1 COMP_POINT=${#1}
[[ $1 == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
$function cki-notifier "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
((${#COMPREPLY[@]})) || mapfile -t COMPREPLY < <(compgen -f "${COMP_WORDS[-1]}") # -o bashdefault
printf "%s\\n" "${COMPREPLY[@]}"
"""
_FISH = 'source completion.fish; complete -C "$argv[1]" | cut -f 1'
# A real line editor on a terminal of its own, in which compadd says what would be offered.
_ZSH = r"""
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "PS1=; fpath=($PWD \$fpath); autoload -U compinit; compinit -u -D
compadd() {
    local -a offered
    builtin compadd -O offered \"\$@\"
    print -rl -- \${offered/#/offer:} >>offered
    builtin compadd \"\$@\"
}
print READ''Y"
zpty -r -m shell said '*READY*'
zpty -w -n shell "$1"$'\t'
for wait in {1..100}; do sleep 0.1; [[ -s offered ]] && break; done
sleep 0.3
zpty -d shell
sed -n 's/^offer:\(..*\)/\1/p' offered
"""
_SCRIPTS = {"bash": ["-c", _BASH, "bash"], "fish": ["-c", _FISH], "zsh": ["-fc", _ZSH, "zsh"]}


@pytest.mark.parametrize("shell", _SCRIPTS)
@pytest.mark.parametrize(("typed", "offered"), TYPED)
def test_a_shell_offers_what_there_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], shell: str, typed: str, offered: set[str]
) -> None:
    """Commands, options, their values, and files."""
    assert main(["completion", shell]) == 0
    name = "_cki-notifier" if shell == "zsh" else f"completion.{shell}"
    (tmp_path / name).write_text(capsys.readouterr().out)
    (tmp_path / "notification.json").touch()
    said = subprocess.run(
        [shell, *_SCRIPTS[shell], typed],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "TERM": "xterm"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout.split()
    assert set(said) == offered
