"""Completion scripts: what a shell needs to ask ``trunkline __complete`` when the Tab key is pressed.

Every script asks the same question and gets the same answer (``cli.completing``), so it never has to change with the
commands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.cli.parsing import Command, argument

if TYPE_CHECKING:
    from trunkline.cli.invocation import Invocation

#: Readline splits words at ``:``, ``=`` and ``@``, so what precedes the last of them must not be repeated.
_BASH = r"""# Completion of trunkline for bash:  source <(trunkline completion bash)
_trunkline() {
  local line=${COMP_LINE:0:COMP_POINT} character prefix="" current value note kind
  local -a words
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  current=${words[${#words[@]}-1]}
  for character in : = @; do
    [[ $COMP_WORDBREAKS == *"$character"* && $current == *"$character"* ]] || continue
    value=${current%"${current##*"$character"}"}
    ((${#value} > ${#prefix})) && prefix=$value
  done
  COMPREPLY=()
  {
    read -r kind
    if [[ $kind == files ]]; then
      compopt -o default 2>/dev/null
      return
    fi
    while IFS=$'\t' read -r value note; do
      [[ $value == *[@:/=] ]] && compopt -o nospace 2>/dev/null
      COMPREPLY+=("${value#"$prefix"}")
    done
  } < <(trunkline __complete ":$current" "${words[@]:1:${#words[@]}-2}" 2>/dev/null)
}
complete -F _trunkline trunkline
"""
_ZSH = r"""#compdef trunkline
# Completion of trunkline for zsh:  source <(trunkline completion zsh)
_trunkline() {
  local -a lines open_values open_lines values descriptions
  local line value
  lines=("${(@f)$(trunkline __complete ":${(Q)PREFIX}" "${(@Q)words[2,CURRENT-1]}" 2>/dev/null)}")
  if [[ $lines[1] == files ]]; then
    _files
    return
  fi
  for line in "${(@)lines[2,-1]}"; do
    value=${line%%$'\t'*}
    [[ $line == *$'\t'* ]] && line="$value  -- ${line#*$'\t'}"
    if [[ $value == *[@:/=] ]]; then
      open_values+=("$value") open_lines+=("$line")
    else
      values+=("$value") descriptions+=("$line")
    fi
  done
  (( $#open_values )) && compadd -S '' -l -d open_lines -- "${open_values[@]}"
  (( $#values )) && compadd -l -d descriptions -- "${values[@]}"
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
if [[ $funcstack[1] == _trunkline ]]; then _trunkline "$@"; else compdef _trunkline trunkline; fi
"""
_FISH = r"""# Completion of trunkline for fish:  trunkline completion fish | source
function __trunkline_complete
  set -l current (commandline -ct | string collect -a)
  set -l lines (trunkline __complete ":$current" (commandline -opc)[2..] 2>/dev/null)
  if test "$lines[1]" = files
    __fish_complete_path "$current"
  else
    printf '%s\n' $lines[2..]
  end
end
complete -c trunkline -f -a '(__trunkline_complete)'
"""
_POWERSHELL = r"""# Completion of trunkline for PowerShell:
#   trunkline completion powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName trunkline -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $words = @($commandAst.CommandElements | Where-Object { $_.Extent.EndOffset -lt $cursorPosition } |
    Select-Object -Skip 1 | ForEach-Object { "$_" })
  $lines = @(trunkline __complete ":$wordToComplete" @words 2>$null)
  if ($lines.Count -gt 0 -and $lines[0] -eq 'words') {
    $lines | Select-Object -Skip 1 | ForEach-Object {
      $value, $note = $_ -split "`t", 2
      if (-not $note) { $note = $value }
      [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $note)
    }
  }
}
"""
SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH, "powershell": _POWERSHELL}


def completion(invocation: Invocation) -> None:
    """Print the completion script of a shell."""
    print(SCRIPTS[invocation.options.shell], end="")


COMMANDS = {
    "completion": Command(
        completion,
        (argument("shell", choices=tuple(SCRIPTS), help="bash, zsh, fish or powershell"),),
        examples=(
            ("trunkline completion bash", "for bash; in this shell: source <(trunkline completion bash)"),
            ("trunkline completion fish", "for fish; put it into ~/.config/fish/completions/trunkline.fish"),
        ),
    ),
}
