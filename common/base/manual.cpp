// SPDX-License-Identifier: MIT
#include "common/base/manual.h"

#include <cstddef>

namespace workpool {
namespace {

// Text as troff prints it unchanged.
std::string troff(std::string_view text) {
  std::string out;
  bool starts_line = true;
  for (const char c : text) {
    if (starts_line && (c == '.' || c == '\'')) out += "\\&";
    starts_line = c == '\n';
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
  }
  return out;
}

void append_flag(std::string& out, const Flag& flag) {
  out += ".TP\n";
  if (flag.letter != 0) out += "\\fB\\-" + std::string(1, flag.letter) + "\\fR, ";
  out += "\\fB\\-\\-" + troff(flag.name) + "\\fR";
  if (!flag.value.empty()) out += " \\fI" + troff(flag.value) + "\\fR";
  out += '\n' + troff(flag.help);
  if (!flag.initial.empty()) out += troff(" [" + flag.initial + "]");
  out += '\n';
}

// COMMANDS stands for the names of the commands.
constexpr std::string_view kBash = R"sh(_workpool() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]} flags values
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ] || { [ "$COMP_CWORD" -eq 2 ] && [ "$command" = help ]; }; then
    COMPREPLY=($(compgen -W "COMMANDS" -- "$current"))
    return
  fi
  flags=$("${COMP_WORDS[0]}" "$command" --list-flags 2>/dev/null)
  case $current in
    -*)
      COMPREPLY=($(compgen -W "$(printf '%s\n' "$flags" | cut -f1)" -- "$current"))
      return
      ;;
  esac
  values=$(printf '%s\n' "$flags" | awk -F '\t' -v flag="$previous" '$1 == flag && $2 ~ /\|/ { gsub(/\|/, " ", $2); print $2 }')
  if [ -n "$values" ]; then
    COMPREPLY=($(compgen -W "$values" -- "$current"))
  else
    compopt -o filenames
    COMPREPLY=($(compgen -f -- "$current"))
  fi
}
complete -F _workpool workpool
)sh";

constexpr std::string_view kZsh = R"sh(#compdef workpool
_workpool() {
  local -a flags
  local line name value help
  if (( CURRENT == 2 )); then
    compadd COMMANDS
    return
  fi
  if [[ $words[CURRENT] == -* ]]; then
    while IFS=$'\t' read -r name value help; do
      flags+=("$name:$help")
    done < <($words[1] $words[2] --list-flags 2>/dev/null)
    _describe flag flags
    return
  fi
  while IFS=$'\t' read -r name value help; do
    if [[ $name == $words[CURRENT-1] && $value == *'|'* ]]; then
      compadd ${(s:|:)value}
      return
    fi
  done < <($words[1] $words[2] --list-flags 2>/dev/null)
  _files
}
compdef _workpool workpool
)sh";

constexpr std::string_view kFish = R"sh(function __workpool_flags
  set -l words (commandline -opc)
  test (count $words) -ge 2; or return
  $words[1] $words[2] --list-flags 2>/dev/null | string match -r '^--.*' | string replace -r '\t[^\t]*\t' '\t'
end
complete -c workpool -n __fish_use_subcommand -f -a "COMMANDS"
complete -c workpool -n "not __fish_use_subcommand" -a "(__workpool_flags)"
)sh";

}  // namespace

std::string manual_head(std::string_view name, std::string_view summary, std::string_view version) {
  std::string out = ".TH ";
  out.append(name).append(" 1 \"\" \"").append(name).append(" ").append(version).append("\"\n.SH NAME\n");
  out += troff(std::string(name) + " - ");
  return out + troff(summary) + '\n';
}

std::string manual_section(const CommandTable& table) {
  std::string out = ".SH \"" + troff(table.program) + "\"\n.B " + troff(table.program) + "\n" +
                    troff(table.usage) + "\n.PP\n" + troff(table.summary) + '\n';
  for (const Flag& flag : table.flags) {
    if (!flag.hidden) append_flag(out, flag);
  }
  if (!table.epilogue.empty()) out += ".PP\n.nf\n" + troff(table.epilogue) + ".fi\n";
  return out;
}

std::string flag_list(const CommandTable& table) {
  std::string out;
  const auto add = [&out](const std::string& name, const Flag& flag) {
    out += name + '\t' + flag.value + '\t' + flag.help + '\n';
  };
  for (const Flag& flag : table.flags) {
    if (flag.hidden) continue;
    add("--" + flag.name, flag);
    if (flag.letter != 0) add(std::string("-") + flag.letter, flag);
  }
  return out + "--help\t\tprint this and exit\n--version\t\tprint the version and exit\n";
}

std::string completion_script(std::string_view shell, const std::vector<std::string_view>& commands) {
  std::string script(shell == "bash" ? kBash : shell == "zsh" ? kZsh : shell == "fish" ? kFish : "");
  std::string words;
  for (const std::string_view command : commands) words.append(words.empty() ? "" : " ").append(command);
  constexpr std::string_view kPlace = "COMMANDS";
  const std::size_t at = script.find(kPlace);
  if (at != std::string::npos) script.replace(at, kPlace.size(), words);
  return script;
}

}  // namespace workpool
