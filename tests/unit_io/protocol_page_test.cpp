// SPDX-License-Identifier: MIT
// docs/protocol.md against the codec: numbers, fields, their order and kinds, and the examples in bytes. The
// page is what a worker in another language is written from.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/wire/codec.h"
#include "tests/unit/common/msgpack_tree.h"
#include "tests/unit/common/sample_messages.h"

namespace workpool {
namespace {

using Row = std::vector<std::string>;
using Table = std::vector<Row>;  // without its heading; cells without blanks around them
using Fields = std::vector<std::pair<std::string, std::string>>;  // name on the page, value in the sample

class Page {
 public:
  Page() {
    std::ifstream file("docs/protocol.md");
    std::string heading;
    bool in_code = false;
    for (std::string line; std::getline(file, line);) {
      if (line.rfind("```", 0) == 0) {
        in_code = !in_code;
        if (in_code) code_.emplace_back();
      } else if (in_code) {
        code_.back() += line + "\n";
      } else if (line.rfind("#", 0) == 0) {
        heading = line.substr(line.find(' ') + 1);
      } else if (line.rfind("| ", 0) == 0) {
        add_row(heading, cells(line));
      } else if (line.rfind("|--", 0) != 0) {
        open_ = nullptr;
      }
    }
  }

  // The table of a section whose first column is called `first`.
  Table table(const std::string& heading, const std::string& first) const {
    const auto place = tables_.find({heading, first});
    EXPECT_NE(place, tables_.end()) << "no table '" << first << "' in section '" << heading << "'";
    return place == tables_.end() ? Table{} : place->second;
  }
  bool has_code(const std::string& text) const {
    return std::find(code_.begin(), code_.end(), text) != code_.end();
  }

 private:
  static Row cells(const std::string& line) {
    Row row;
    for (std::size_t at = 2; at < line.size();) {
      const std::size_t end = line.find(" |", at);
      if (end == std::string::npos) break;
      row.push_back(line.substr(at, end - at));
      at = end + 3;
    }
    return row;
  }
  void add_row(const std::string& heading, const Row& row) {
    if (open_ == nullptr) {
      open_ = &tables_[{heading, row.at(0)}];
    } else {
      open_->push_back(row);
    }
  }

  std::map<std::pair<std::string, std::string>, Table> tables_;
  std::vector<std::string> code_;
  Table* open_ = nullptr;
};

unsigned char first_byte(const MsgpackNode& node) { return static_cast<unsigned char>(node.scalar.at(0)); }

std::uint64_t big_endian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (const char byte : bytes) value = value << 8 | static_cast<unsigned char>(byte);
  return value;
}

// What the page calls a value of this kind, and the value as text.
std::pair<std::string, std::string> described(const MsgpackNode& node) {
  if (node.is_array) return {"list", std::to_string(node.elements.size())};
  const unsigned char type = first_byte(node);
  if (type <= 0x7f) return {"uint", std::to_string(type)};
  if (type >= 0xe0) return {"int", std::to_string(static_cast<signed char>(type))};
  if (type >= 0xcc && type <= 0xcf) return {"uint", std::to_string(big_endian(node.scalar.substr(1)))};
  if (type == 0xc0) return {"nil", "nil"};
  if (type == 0xc2 || type == 0xc3) return {"bool", type == 0xc3 ? "true" : "false"};
  if ((type & 0xe0) == 0xa0) return {"bytes", node.scalar.substr(1)};
  if (type == 0xc4 && node.scalar.size() == 18) return {"key", node.scalar.substr(2)};
  return {"bytes", node.scalar.substr(type == 0xc4 || type == 0xd9 ? 2 : 3)};
}

// Whether the page's word for a type ("bytes or uint", "list of keys") admits this kind.
bool admits(const std::string& word, const std::string& kind) {
  if (kind == "list") return word.rfind("list", 0) == 0;
  if (kind == "uint" && word == "int or nil") return true;
  if (kind == "key" && word == "bytes") return true;  // some other bytes, as long as a key is
  return (" " + word + " ").find(" " + kind + " ") != std::string::npos;
}

std::string bytes_of(const Hash128& hash) {
  std::string bytes;
  for (const std::uint64_t half : {hash.high, hash.low}) {
    for (int shift = 56; shift >= 0; shift -= 8) bytes += static_cast<char>(half >> shift);
  }
  return bytes;
}

const std::string kKey = bytes_of(sample::kKey);
const std::string kSpec = bytes_of(sample::kSpec);
const std::string kHandle = std::to_string(sample::kHandle.value);

// Fields `from` and later of `record` against a table of the page and against `expected`, in the page's
// order.
void compare(const MsgpackNode& record, std::size_t from, const Table& table, const Fields& expected,
             const std::string& what) {
  ASSERT_EQ(table.size(), expected.size())
      << "docs/protocol.md, " << what << ": rows, and fields of the codec";
  ASSERT_EQ(record.elements.size() - from, expected.size())
      << "the codec writes another number of fields for " << what
      << ": add them to docs/protocol.md and here";
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const auto [kind, value] = described(record.elements[from + i]);
    EXPECT_EQ(table[i].at(0), expected[i].first) << "docs/protocol.md, " << what << ", field " << i;
    EXPECT_EQ(value, expected[i].second) << what << ", " << expected[i].first;
    EXPECT_TRUE(admits(table[i].at(1), kind))
        << what << ", " << expected[i].first << " is " << kind << ", the page says " << table[i].at(1);
  }
}

// Every sample frame, by the name that the page has for its message.
std::map<std::string, MsgpackNode> sample_trees() {
  std::map<std::string, MsgpackNode> trees;
  std::string frame;
  const auto add = [&](std::string name) {
    std::replace(name.begin(), name.end(), '_', ' ');
    trees.emplace(name, read_tree(frame));
  };
  for (const auto& [name, message] : sample::requests()) encode(message, frame), add(name);
  for (const auto& [name, message] : sample::replies()) encode(message, frame), add(name);
  for (const auto& [name, message] : sample::sink()) encode(sample::kHeader, message, frame), add(name);
  for (const auto& [name, message] : sample::lane()) encode(sample::kHeader, message, frame), add(name);
  frame = frames_of(sample::kHeader, std::string(kPartBytesMost + 1, 'x')).at(1);
  add("PART");
  trees.erase("HELD EMPTY");
  trees.erase("BEAT PLAIN");
  trees.at("BEAT").elements.push_back(trees.at("BEAT PROGRESS").elements.at(8));
  trees.erase("BEAT PROGRESS");
  trees.erase("RESULTS FILES");
  // Its fourth result with every field.
  trees.at("RESULTS").elements.at(4).elements.at(3) = trees.at("RESULTS USED").elements.at(4).elements.at(0);
  trees.erase("RESULTS USED");
  trees.at("WELCOME") = trees.at("WELCOME FAILED ONLY");
  trees.erase("WELCOME FAILED ONLY");
  trees.at("JOBS").elements.at(6).elements.at(0) = trees.at("JOBS LINE").elements.at(6).elements.at(0);
  trees.erase("JOBS LINE");
  return trees;
}

const std::map<std::string, Fields>& fields_of_messages() {
  static const std::map<std::string, Fields> fields = {
      {"HELLO",
       {{"protocol", "1"},
        {"version", "0.1.0"},
        {"worker id", std::to_string(0x3132333435363738)},
        {"engine number", "2"},
        {"try number", "200"},
        {"name", "w-\xc3\xa9"},
        {"slots", "70000"},
        {"handlers", "2"},
        {"labels", "1"}}},
      {"STATUS", {{"protocol", "1"}, {"all", "false"}}},
      {"WELCOME",
       {{"protocol", "1"},
        {"run", std::to_string(0x4142434445464748)},
        {"session", std::to_string(0x5152535455565758)},
        {"name", "w-2"},
        {"lane port", "50000"},
        {"sink port", "255"},
        {"worker timeout", "10000000"},
        {"result window", std::to_string(8 << 20)},
        {"capture", "65536"},
        {"failed only", "true"}}},
      {"REFUSED", {{"protocol", "1"}, {"code", "76"}, {"reason", "no"}}},
      {"STATUS REPLY", {{"protocol", "1"}, {"status", R"({"jobs":1})"}}},
      {"PART", {{"index", "1"}, {"last", "true"}, {"bytes", "x"}}},
      {"DIED", {{"deaths", "2"}}},
      {"HELD", {{"jobs", "1"}}},
      {"RESULTS", {{"results", "5"}}},
      {"RETURNED", {{"jobs", "1"}}},
      {"READY", {{"accepting", "false"}}},
      {"BEAT", {{"echo", "123456789"}, {"held", "40"}, {"begun", "1"}, {"ended", "2"}, {"progress", "1"}}},
      {"GOODBYE", {}},
      {"JOBS", {{"ack", "17"}, {"received", "18"}, {"jobs", "2"}}},
      {"CANCEL", {{"jobs", "2"}}},
      {"RECALL", {{"jobs", "1"}}},
      {"LANE BEAT", {{"stamp", std::to_string(~0ull)}, {"ack", "1"}, {"received", "2"}}},
      {"STOP", {}},
      {"END", {}}};
  return fields;
}

TEST(ProtocolPage, NumbersAndFieldsOfEveryMessage) {
  const Page page;
  const auto trees = sample_trees();
  const Table messages = page.table("Messages", "type");
  EXPECT_EQ(messages.size(), trees.size());
  for (const Row& row : messages) {
    SCOPED_TRACE(row.at(1));
    ASSERT_TRUE(trees.contains(row.at(1)));
    const MsgpackNode& tree = trees.at(row.at(1));
    EXPECT_EQ(described(tree.elements.at(0)).second, row.at(0));
    const Fields& fields = fields_of_messages().at(row.at(1));
    if (fields.empty()) {
      EXPECT_EQ(tree.elements.size(), 4U) << "the page says: no fields";
    } else {
      compare(tree, 4, page.table(row.at(1), "field"), fields, row.at(1));
    }
  }
}

TEST(ProtocolPage, FieldsOfWhatIsInLists) {
  const Page page;
  const auto trees = sample_trees();
  const auto first = [&](const char* message, std::size_t field) {
    return trees.at(message).elements.at(4 + field).elements.at(0);
  };
  compare(first("DIED", 0), 0, page.table("DIED", "field of a death"),
          {{"engine number", "1"}, {"cause", "signal 11 (SIGSEGV)"}, {"keys", "2"}}, "a death");
  compare(first("HELD", 0), 0, page.table("HELD", "field of a held job"),
          {{"key", kKey}, {"spec", kSpec}, {"attempt", "4"}, {"elapsed", "5000000000"}}, "a held job");
  compare(first("RETURNED", 0), 0, page.table("RETURNED", "field of a returned job"),
          {{"handle", kHandle}, {"key", kKey}, {"spec", kSpec}, {"attempt", "1"}, {"reason", "2"}},
          "a returned job");
  compare(first("CANCEL", 0), 0, page.table("CANCEL", "field of a job reference"),
          {{"handle", kHandle}, {"key", kKey}, {"attempt", "2"}}, "a job reference");
  compare(first("JOBS", 2), 0, page.table("JOBS", "field of a job"),
          {{"handle", kHandle},
           {"id", "job-1"},
           {"key", kKey},
           {"spec", kSpec},
           {"attempt", "2"},
           {"work", R"({"cmd":["true"]})"},
           {"timeout", "1500000"},
           {"slots", "3"},
           {"kind", "0"},
           {"line", "70000"}},
          "a job");
  // The fourth result is that of a command, with every field.
  compare(trees.at("RESULTS").elements.at(4).elements.at(3), 0, page.table("RESULTS", "field of a result"),
          {{"handle", kHandle},
           {"key", kKey},
           {"spec", kSpec},
           {"attempt", "3"},
           {"waited", "1"},
           {"ran", "70000"},
           {"status", "1"},
           {"kind", "1"},
           {"value", ""},
           {"message", "exit status 3"},
           {"command", "true"},
           {"exit", "3"},
           {"signal", "nil"},
           {"stdout", std::string("out\0\xff", 5)},
           {"stderr", std::string(300, 'e')},
           {"truncated", "99"},
           {"cpu", "2500"},
           {"memory", "70001"}},
          "a result");
  std::string frame;
  for (const auto& [name, message] : sample::sink()) {
    if (name == "RESULTS_FILES") encode(sample::kHeader, message, frame);
  }
  compare(read_tree(frame).elements.at(4).elements.at(0).elements.at(13), 0,
          page.table("RESULTS", "field of a file"),
          {{"path", "/o/\xff"}, {"size", "70000"}, {"digest", kSpec}}, "a file");
}

// As the page shows it: an array on a line of its own, its scalars behind it.
void show(const MsgpackNode& node, std::size_t depth, std::string& out) {
  const auto hex = [&out](unsigned char byte) {
    static constexpr char kDigits[] = "0123456789abcdef";
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  };
  if (!node.is_array) {
    out += ' ';
    for (const char byte : node.scalar) hex(static_cast<unsigned char>(byte));
    return;
  }
  if (!out.empty()) out += '\n';
  out.append(2 * depth, ' ');
  const std::size_t size = node.elements.size();
  if (size < 16) {
    hex(static_cast<unsigned char>(0x90 | size));
  } else {
    out += "dc";
    hex(static_cast<unsigned char>(size >> 8));
    hex(static_cast<unsigned char>(size));
  }
  for (const MsgpackNode& element : node.elements) show(element, depth + 1, out);
}

void expect_shown(const std::string& frame) {
  std::string shown;
  show(read_tree(frame), 0, shown);
  EXPECT_TRUE(Page().has_code(shown + "\n")) << "docs/protocol.md, \"Examples in bytes\", lacks:\n" << shown;
}

TEST(ProtocolPage, ExamplesInBytes) {
  constexpr Header kHeader{{5}, {9}, 1};
  std::string frame;
  encode(RegistrationRequest{Hello{kProtocol, "0.1.0", {77}, 1, 1, "py", 1, {"noop"}, {"gpu"}}}, frame);
  expect_shown(frame);

  Jobs jobs{3, 4, {}};
  JobOrder order;
  order.handle = {1};
  order.id = "a";
  order.key = sample::kKey;
  order.spec = sample::kSpec;
  order.attempt = 1;
  order.work = R"({"cmd":["true"]})";
  jobs.jobs.push_back(order);
  order.handle = {2};
  order.id.clear();
  order.repeat = 1;
  order.work = R"({"type":"noop"})";
  order.kind = JobKind::kHandler;
  jobs.jobs.push_back(order);
  encode(kHeader, LaneMessage{jobs}, frame);
  expect_shown(frame);

  JobResult done{{2}, sample::kKey, sample::kSpec, 1, microseconds(5), microseconds(7), {}};
  JobResult failed = done;
  failed.handle = {1};
  failed.outcome.status = Status::kFailed;
  failed.outcome.kind = ErrorKind::kExit;
  failed.outcome.message = "exit status 2";
  failed.outcome.command.emplace();
  failed.outcome.command->exit = 2;
  failed.outcome.command->standard_error = "no\n";
  encode({kHeader.run, kHeader.session, 4}, SinkMessage{Results{{done, failed}}}, frame);
  expect_shown(frame);
}

}  // namespace
}  // namespace workpool
