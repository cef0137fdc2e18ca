"""Completion in bash of names that have spaces, colons and other characters of the shell's own."""

from __future__ import annotations

import os
import re
import shlex
from typing import TYPE_CHECKING, Any, Final

from click.shell_completion import BashComplete, split_arg_string

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_SOURCE: Final = """\
%(complete_func)s() {
    local type value
    COMPREPLY=()
    while IFS=',' read -r type value; do
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done < <(env COMP_WORDS="${COMP_LINE:0:COMP_POINT}" COMP_CWORD="$2" %(complete_var)s=bash_complete "$1")
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""
_QUOTED: Final = re.compile(r"([^\w@%+=:,./-])")


class Bash(BashComplete):
    """Click's own takes ``rack:7`` for two words, as bash does, and puts ``a & b`` on the command line as it is."""

    source_template = _SOURCE

    def get_completion_args(self) -> tuple[list[str], str]:
        """Split the line up to the cursor as the shell does. Returns the whole words, and the one that is begun."""
        line = os.environ["COMP_WORDS"]
        words = split_arg_string(line)
        begun = len(split_arg_string(f"{line}x")) == len(words)
        return words[1:-1] if begun else words[1:], words[-1] if begun else ""

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """Quote a completion, without what stands before the last colon of the word: bash replaces what follows it."""
        _, incomplete = self.get_completion_args()
        replaced = "".join(split_arg_string(os.environ["COMP_CWORD"]))
        kept = len(incomplete) - len(replaced) if incomplete.endswith(replaced) else 0
        value = str(item.value)[kept:]
        quoted = value if _in_quotes(os.environ["COMP_WORDS"]) else _QUOTED.sub(r"\\\1", value)
        return f"{item.type},{quoted}"


def _in_quotes(line: str) -> bool:
    """Whether a quotation is still open."""
    try:
        shlex.split(line.rstrip("\\"))
    except ValueError:
        return True
    return False
