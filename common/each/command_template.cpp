// SPDX-License-Identifier: MIT
#include "common/each/command_template.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "common/base/text.h"

namespace workpool {
namespace {

// More would be copied into every result line for nobody to read.
constexpr std::size_t kEachBytesMost = 16 * 1024;
constexpr std::size_t kColumnsShown = 20;  // in an error

bool is_placeholder_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
         c == '%' || c == '#';
}

// Where the suffix (`.`, `/`, `//`, `/.`) of a placeholder's inside begins.
std::size_t suffix_place(std::string_view inside) {
  for (const std::string_view suffix : {"/.", "//", "/", "."}) {
    if (inside.ends_with(suffix)) return inside.size() - suffix.size();
  }
  return inside.size();
}

void append_member(std::string& out, std::string_view name) { out.append(",\"").append(name).append("\":"); }

std::string members_of(const CommandSetting& setting) {
  std::string out;
  append_members(out, setting.defaults, setting.shell);
  if (setting.slots != 1) {
    append_member(out, "slots");
    out += std::to_string(setting.slots);
  }
  if (setting.priority != 0) {
    append_member(out, "priority");
    out += std::to_string(setting.priority);
  }
  return out;
}

// Placeholders of GNU parallel that we have no counterpart for.
bool is_foreign(std::string_view inside) {
  return inside == ".." || inside == "..." || inside == "##" || inside.starts_with('%') ||
         (inside.size() > 1 && inside.front() == ':');
}

}  // namespace

std::variant<CommandTemplate, std::string> CommandTemplate::parse(const std::vector<std::string>& words,
                                                                  const ValueNames& names,
                                                                  const CommandSetting& setting,
                                                                  bool takes_values) {
  CommandTemplate made;
  made.names_ = names;
  made.shell_ = setting.shell;
  made.setting_ = members_of(setting);
  for (const std::string& word : words) {
    if (auto wrong = made.add_word(word)) return *std::move(wrong);
  }
  if (auto wrong = made.read_path("--stdout", setting.output_path, made.output_path_))
    return *std::move(wrong);
  if (auto wrong = made.read_path("--stderr", setting.error_path, made.error_path_)) return *std::move(wrong);
  for (const std::string& key : setting.limits) {
    if (auto wrong = made.add_pieces(key, made.limits_.emplace_back())) return *std::move(wrong);
  }
  const auto is_value = [](const Piece& piece) { return piece.value != kText; };
  const bool has_any = std::any_of(made.words_.begin(), made.words_.end(), [&](const Word& word) {
    return std::any_of(word.begin(), word.end(), is_value);
  });
  if (takes_values && !has_any) made.words_.push_back({Piece{kAll}});
  if (auto wrong = made.shell_ ? made.find_shell_places() : std::nullopt) return *std::move(wrong);
  return made;
}

std::optional<std::string> CommandTemplate::add_pieces(const std::string& word, Word& pieces) {
  std::string text;
  const auto end_text = [&] {
    if (!text.empty()) pieces.push_back({kText, ValuePart::kWhole, std::exchange(text, {})});
  };
  for (std::size_t at = 0; at < word.size();) {
    if (word.compare(at, 2, "{{") == 0) {
      text += '{';
      at += 2;
      continue;
    }
    Word placeholder;
    std::string wrong;
    const bool is_variable = at > 0 && word[at - 1] == '$';  // of a shell: ${HOME}
    const std::size_t taken = is_variable ? 0 : placeholder_at(word, at, placeholder, wrong);
    if (!wrong.empty()) return wrong;
    if (taken == 0) {
      text += word[at++];
      continue;
    }
    end_text();
    pieces.push_back(std::move(placeholder.front()));
    at += taken;
  }
  end_text();
  return std::nullopt;
}

// A path whose placeholders for the worker stay what they are. A column of that name goes first, so that a
// placeholder has one meaning in the path and in the command.
std::optional<std::string> CommandTemplate::read_path(std::string_view flag, std::string_view path,
                                                      Word& pieces) {
  constexpr std::array<std::string_view, 3> kKnown = {"{id}", "{line}", "{attempt}"};
  std::string part;
  bool differs = path.empty();
  for (std::size_t at = 0; at < path.size();) {
    const auto found = std::find_if(kKnown.begin(), kKnown.end(), [&](std::string_view known) {
      return path.substr(at).starts_with(known) && !value_named(known.substr(1, known.size() - 2));
    });
    const bool is_brace = path.substr(at).starts_with("{{");
    if (found == kKnown.end()) {
      part += path.substr(at, is_brace ? 2 : 1);
      at += is_brace ? 2 : 1;
      continue;
    }
    if (auto wrong = add_pieces(std::exchange(part, {}), pieces)) return wrong;
    pieces.push_back({kForWorker, ValuePart::kWhole, std::string(*found)});
    differs = differs || *found != "{attempt}";
    at += found->size();
  }
  if (auto wrong = add_pieces(part, pieces)) return wrong;
  for (const Piece& piece : pieces) differs = differs || (piece.value != kText && piece.value != kForWorker);
  if (differs) return std::nullopt;
  return std::string(flag) + " is the same file for every job: put a value, {#} or {id} into it";
}

// What quotes stand around each value; returns what is wrong if a value cannot be put there safely.
std::optional<std::string> CommandTemplate::find_shell_places() {
  ShellText text;
  for (Word& word : words_) {
    for (Piece& piece : word) {
      if (piece.value == kText) {
        text.read(piece.text);
        continue;
      }
      const auto place = text.place_value();
      if (const auto* wrong = std::get_if<std::string>(&place)) return *wrong;
      piece.place = std::get<ShellPlace>(place);
    }
    text.read(" ");
  }
  if (std::string late = text.late_problem(); !late.empty()) return late;
  return std::nullopt;
}

std::size_t CommandTemplate::placeholder_at(std::string_view word, std::size_t at, Word& into,
                                            std::string& wrong) const {
  const std::size_t end = word[at] == '{' ? word.find('}', at) : std::string_view::npos;
  if (end == std::string_view::npos) return 0;
  const std::string_view inside = word.substr(at + 1, end - at - 1);
  const std::size_t taken = end + 1 - at;
  if (inside == "#") {
    into.push_back({kNumber});
    return taken;
  }
  // A column may be called anything, also something that ends like a suffix.
  if (const auto value = value_named(inside)) {
    into.push_back({*value});
    return taken;
  }
  const std::string_view name = inside.substr(0, suffix_place(inside));
  if (const auto value = value_named(name)) {
    into.push_back({*value, *value_part_named(inside.substr(name.size()))});
    return taken;
  }
  if (inside.starts_with('=')) {
    wrong = "`" + printable(word.substr(at, taken), 80) +
            "`: there are no Perl expressions here; use --shell, or write {{ for {";
  } else if (inside == "%") {
    wrong = "`{%}`: the slot is known only where the job runs, as $WORKPOOL_SLOT (use --shell)";
  } else if (is_foreign(inside) || std::all_of(name.begin(), name.end(), is_placeholder_letter)) {
    wrong = "unknown placeholder `" + printable(word.substr(at, taken), 80) + "`: known are " +
            known_placeholders() + "; write {{ for {";
  }
  return 0;
}

// `{}` stands for all values. A number counts from 1.
std::optional<std::size_t> CommandTemplate::value_named(std::string_view name) const {
  if (name.empty()) return names_.count > 0 ? std::optional(kAll) : std::nullopt;
  const auto column = std::find(names_.columns.begin(), names_.columns.end(), name);
  if (column != names_.columns.end()) return static_cast<std::size_t>(column - names_.columns.begin());
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc() || end != name.data() + name.size() || number == 0 || number > names_.count)
    return std::nullopt;
  return number - 1;
}

std::string CommandTemplate::known_placeholders() const {
  std::string known = names_.count > 0 ? "{}, {#}" : "{#}";
  if (names_.count > 0)
    known += names_.count == 1 ? ", {1}" : ", {1} to {" + std::to_string(names_.count) + "}";
  for (std::size_t i = 0; i < std::min(names_.columns.size(), kColumnsShown); ++i)
    known += ", {" + printable(names_.columns[i], 40) + "}";
  if (names_.columns.size() > kColumnsShown) known += ", …";
  return known + ", each with . / // or /. before the }";
}

// Values that belong together are joined by a blank, each quoted for a shell if one reads them.
void CommandTemplate::expand(std::string& out, const Word& word, const JobValues& job, bool quoted) const {
  const auto put = [&](std::string_view value, const Piece& piece) {
    if (quoted) {
      append_shell_value(out, part_of(value, piece.part), piece.place);
    } else {
      out += part_of(value, piece.part);
    }
  };
  for (const Piece& piece : word) {
    if (piece.value == kText) {
      out += piece.text;
    } else if (piece.value == kNumber) {
      put(std::to_string(job.number), piece);
    } else if (piece.value != kAll) {
      put(piece.value < job.values.size() ? job.values[piece.value] : std::string_view(), piece);
    } else {
      for (std::size_t i = 0; i < job.values.size(); ++i) {
        if (i > 0) out += ' ';
        put(job.values[i], piece);
      }
    }
  }
}

void CommandTemplate::append_array(std::string& out, const JobValues& job) const {
  char between = '[';
  std::string argument;
  const auto put = [&](std::string_view value) {
    out += std::exchange(between, ',');
    append_json_bytes(out, value);
  };
  for (const Word& word : words_) {
    // A word that is nothing but {} becomes as many arguments as there are values.
    if (word.size() == 1 && word.front().value == kAll) {
      for (const std::string_view value : job.values) put(part_of(value, word.front().part));
      continue;
    }
    argument.clear();
    expand(argument, word, job, false);
    put(argument);
  }
  out += between == '[' ? "[]" : "]";
}

void CommandTemplate::append_shell(std::string& out, const JobValues& job) const {
  std::string text;
  for (const Word& word : words_) {
    if (!text.empty()) text += ' ';
    expand(text, word, job, true);
  }
  append_json_bytes(out, text);
}

// The member `each`: by column, else by number; a group of one source as a list.
void CommandTemplate::append_values(std::string& out, const JobValues& job) const {
  const std::size_t start = out.size();
  append_member(out, "each");
  const auto key = [&](std::size_t place) {
    const bool has_name = place < names_.columns.size() && !names_.columns[place].empty();
    append_json_string(out, has_name ? names_.columns[place] : std::to_string(place + 1));
    out += ':';
  };
  char between = '{';
  const bool is_list = names_.one_source && names_.count > 1 && names_.columns.empty();
  if (is_list) {
    out += "{\"1\":";
    between = '[';
  }
  for (std::size_t i = 0; i < job.values.size(); ++i) {
    out += std::exchange(between, ',');
    if (!is_list) key(i);
    append_json_bytes(out, job.values[i]);
  }
  out += is_list ? (between == '[' ? "[]}" : "]}") : (between == '{' ? "{}" : "}");
  if (out.size() - start > kEachBytesMost) out.resize(start);
}

void CommandTemplate::append_path(std::string& out, std::string_view member, const Word& path,
                                  const JobValues& job) const {
  std::string text;
  const auto put = [&text](std::string_view literal) {
    for (const char letter : literal) text.append(letter == '{' ? 2 : 1, letter);
  };
  for (const Piece& piece : path) {
    if (piece.value == kForWorker) {
      text += piece.text;
    } else if (piece.value == kText) {
      put(piece.text);
    } else if (piece.value == kNumber) {
      put(std::to_string(job.number));
    } else if (piece.value != kAll) {
      if (piece.value < job.values.size()) put(part_of(job.values[piece.value], piece.part));
    } else {
      for (std::size_t i = 0; i < job.values.size(); ++i) {
        if (i > 0) text += ' ';
        put(part_of(job.values[i], piece.part));
      }
    }
  }
  append_member(out, member);
  append_json_bytes(out, text);
}

void CommandTemplate::append_limits(std::string& out, const JobValues& job) const {
  append_member(out, "limit");
  char between = '[';
  std::string key;
  for (const Word& word : limits_) {
    key.clear();
    expand(key, word, job, false);
    out += std::exchange(between, ',');
    append_json_bytes(out, key);
  }
  out += ']';
}

void CommandTemplate::append_line(std::string& out, const JobValues& job) const {
  out += "{\"cmd\":";
  if (shell_) {
    append_shell(out, job);
  } else {
    append_array(out, job);
  }
  out += setting_;
  if (!output_path_.empty()) append_path(out, "stdout", output_path_, job);
  if (!error_path_.empty()) append_path(out, "stderr", error_path_, job);
  if (!limits_.empty()) append_limits(out, job);
  if (job.standard_input) {
    append_member(out, "stdin");
    append_json_bytes(out, *job.standard_input);
  }
  if (!job.values.empty()) append_values(out, job);
  out += '}';
}

}  // namespace workpool
