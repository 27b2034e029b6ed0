"""Completion scripts: words of commands, then options, then file names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.cli.command_table import TABLE
from trunkline.cli.parsing import Command, Parser, argument, load

if TYPE_CHECKING:
    from trunkline.cli.invocation import Invocation

_BASH = """\
# Completion of trunkline for bash:  source <(trunkline completion bash)
_trunkline() {
  local current="${COMP_WORDS[COMP_CWORD]}" name="" word
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    [[ $word == -* ]] && break
    name="${name:+$name }$word"
  done
  local words=""
  while [[ -z $words ]]; do
    case "$name" in
%(cases)s
    esac
    [[ -n $words || -z $name ]] && break
    [[ $name == *" "* ]] && name="${name%% *}" || name=""
    [[ -z $name ]] && break
  done
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o bashdefault -o default -F _trunkline trunkline
"""
_ZSH = """\
# Completion of trunkline for zsh:  source <(trunkline completion zsh)
autoload -U +X bashcompinit && bashcompinit
"""
_FISH = """\
# Completion of trunkline for fish:  trunkline completion fish | source
function __trunkline_words
  string join ' ' -- (string match -v -- '-*' (commandline -opc)[2..])
end
function __trunkline_at
  test (__trunkline_words | string collect -a) = "$argv"
end
function __trunkline_in
  set -l words (__trunkline_words)
  test "$words" = "$argv"; or string match -q -- "$argv *" "$words"
end
"""


def completion(invocation: Invocation) -> None:
    """Print the completion script of a shell."""
    shell = invocation.options.shell
    if shell == "fish":
        print(fish(), end="")
    else:
        print((_ZSH if shell == "zsh" else "") + bash(), end="")


def bash() -> str:
    """Return the script for bash."""
    cases = [f'      "{name}") words="{" ".join(words)}" ;;' for name, words in next_words().items()]
    return _BASH % {"cases": "\n".join(cases)}


def fish() -> str:
    """Return the script for fish."""
    lines = [_FISH]
    for name, words in next_words().items():
        for word in words:
            if word.startswith("--"):
                condition, offer = "in", f"-l {word[2:]}"
            elif word.startswith("-"):
                condition, offer = "in", f"-s {word[1:]}"
            else:
                condition, offer = "at", f"-f -a {word}"
            lines.append(f"complete -c trunkline -n '__trunkline_{condition} {name}' {offer}\n")
    return "".join(lines)


def next_words() -> dict[str, list[str]]:
    """Return the words that may follow each prefix of a command: further words, or options of a complete command."""
    following: dict[str, set[str]] = {}
    for name in TABLE:
        words = name.split()
        for position, word in enumerate(words):
            following.setdefault(" ".join(words[:position]), set()).add(word)
        options = Parser(name, load(name))._option_string_actions
        following.setdefault(name, set()).update(options)
    return {name: sorted(words) for name, words in following.items()}


COMMANDS = {
    "completion": Command(
        completion,
        (argument("shell", choices=("bash", "zsh", "fish"), help="the shell that reads the script"),),
    ),
}
