// SPDX-License-Identifier: MIT
#include "dispatcher/io/show/csv.h"

#include <algorithm>
#include <string_view>

#include "dispatcher/io/show/result_fields.h"

namespace workpool::dispatcher {
namespace {

// The names are those of the members of a result line.
constexpr std::string_view kColumns =
    "line,id,status,attempt,exit,signal,error.kind,error.message,worker,queued_ms,run_ms,cpu_ms,max_rss_kib,"
    "finished,truncated,command";
constexpr std::string_view kEndOfRecord = "\r\n";

void append_cell(std::string& out, std::string_view bytes) {
  const auto is_special = [](char byte) {
    return byte == '"' || byte == ',' || byte == '\r' || byte == '\n';
  };
  if (std::none_of(bytes.begin(), bytes.end(), is_special)) {
    out += bytes;
    return;
  }
  out += '"';
  for (const char byte : bytes) {
    if (byte == '"') out += '"';
    out += byte;
  }
  out += '"';
}

// Takes a cell and a comma, except before the first cell.
class Record {
 public:
  explicit Record(std::string& out) : out_(out) {}
  Record& cell(std::string_view bytes) {
    if (!first_) out_ += ',';
    first_ = false;
    append_cell(out_, bytes);
    return *this;
  }

 private:
  std::string& out_;
  bool first_ = true;
};

}  // namespace

void InputNames::add(const CountingLine& line, const ResultView& view) {
  std::size_t which = 0;
  for (const auto& [name, value] : inputs_of(view)) {
    const Place place{line.line, which++};
    const auto [known, is_new] = places_.emplace(name, place);
    if (!is_new) known->second = std::min(known->second, place);
  }
}

void InputNames::add(const InputNames& others) {
  for (const auto& [name, place] : others.places_) {
    const auto [known, is_new] = places_.emplace(name, place);
    if (!is_new) known->second = std::min(known->second, place);
  }
}

std::vector<std::string> InputNames::in_order() const {
  std::vector<std::pair<Place, std::string>> placed;
  for (const auto& [name, place] : places_) placed.emplace_back(place, name);
  std::sort(placed.begin(), placed.end());
  std::vector<std::string> names;
  names.reserve(placed.size());
  for (auto& [place, name] : placed) names.push_back(std::move(name));
  return names;
}

std::string csv_header(const ShowOptions& options, const std::vector<std::string>& inputs) {
  std::string out(kColumns);
  const auto add = [&out](std::string_view name) {
    out += ',';
    append_cell(out, name);
  };
  for (const std::string& name : inputs) add("each." + name);
  if (options.standard_output) add("stdout");
  if (options.standard_error) add("stderr");
  if (options.value) add("value");
  out += kEndOfRecord;
  return out;
}

CsvVisitor::CsvVisitor(const ShowOptions& options, const std::vector<std::string>& inputs,
                       const JobsAtHand* jobs)
    : options_(options), inputs_(inputs) {
  if (jobs != nullptr) commands_.emplace(*jobs);
}

void CsvVisitor::take(const CountingLine& line, std::string_view /*text*/, const ResultView& view,
                      std::string& out) {
  const ResultError error = view.error.empty() ? ResultError{} : error_of(view);
  Record record(out);
  record.cell(std::to_string(line.line)).cell(text_in(view.id)).cell(name_of(line.status));
  record.cell(digits_in(view.attempt)).cell(digits_in(view.exit)).cell(digits_in(view.signal));
  record.cell(error.kind).cell(error.message).cell(text_in(view.worker));
  for (const std::string_view figure : {view.queued_ms, view.run_ms, view.cpu_ms, view.max_rss_kib})
    record.cell(digits_in(figure));
  record.cell(text_in(view.finished)).cell(digits_in(view.truncated));
  record.cell(commands_ && line.job != kNoJob ? commands_->command_of(line.job) : "");
  if (!inputs_.empty()) {
    const auto inputs = inputs_of(view);
    for (const std::string& name : inputs_) {
      const auto input =
          std::find_if(inputs.begin(), inputs.end(), [&name](const auto& i) { return i.first == name; });
      record.cell(input == inputs.end() ? "" : input->second);
    }
  }
  if (options_.standard_output || options_.standard_error) cut_.add(line, view);
  // Of a file its path: what it holds may be larger than any table.
  const auto printed = [&](const std::optional<ResultFile>& file, const std::string& captured) {
    record.cell(file ? file->path : captured);
  };
  if (options_.standard_output) printed(output_file_of(view), standard_output_of(view));
  if (options_.standard_error) printed(error_file_of(view), standard_error_of(view));
  if (options_.value) record.cell(view.value);
  out += kEndOfRecord;
}

}  // namespace workpool::dispatcher
