// SPDX-License-Identifier: MIT
#include "dispatcher/io/show/file_parts.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <string_view>
#include <system_error>

#include "common/base/text.h"
#include "common/formats/output_path.h"
#include "common/io/descriptor.h"
#include "common/io/file_digest.h"

namespace workpool::dispatcher {
namespace {

constexpr std::size_t kNamed = 20;

std::string reason(int error) { return std::generic_category().message(error); }

struct Opened {
  Descriptor file;
  std::string why;  // it cannot be read, or is another one
};

Opened open_file(const ResultFile& file) {
  if (!is_absolute_path(file.path)) return {Descriptor(), "the result gives no absolute path"};
  // O_NONBLOCK: whatever stands there now must not hold us up.
  Opened opened{Descriptor(::open(file.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)), ""};
  struct stat info {};
  if (!opened.file.is_open() || ::fstat(opened.file.get(), &info) != 0) {
    opened.why = reason(errno);
  } else if (!S_ISREG(info.st_mode)) {
    opened.why = "is no regular file";
  } else if (static_cast<std::uint64_t>(info.st_size) != file.bytes) {
    opened.why = "has " + counted(static_cast<std::uint64_t>(info.st_size), "byte") + " instead of " +
                 std::to_string(file.bytes);
  }
  return opened;
}

// Reads no more than the result says: the path is a worker's word, and some files (in /proc, say) have more
// to read than their size.
FileDigest read_content(const Opened& opened, const ResultFile& file,
                        const std::function<bool(std::string_view)>& take = nullptr) {
  return digest_of_file(opened.file.get(), take, file.bytes);
}

std::string content_fault(const FileDigest& content, const ResultFile& file) {
  if (content.error != 0) return reason(content.error);
  return content.bytes == file.bytes && hex(content.digest) == file.digest ? "" : "has another content";
}

// Puts a tag in front of each line of a text that comes in pieces.
class Tagger {
 public:
  explicit Tagger(const std::string& tag) : tag_(tag) {}

  std::string take(std::string_view piece) {
    std::string tagged;
    while (!piece.empty()) {
      if (at_start_) tagged.append(tag_).append("\t");
      const std::size_t end = std::min(piece.find('\n'), piece.size() - 1) + 1;
      tagged.append(piece.substr(0, end));
      at_start_ = piece[end - 1] == '\n';
      piece.remove_prefix(end);
    }
    return tagged;
  }
  std::string finish() const { return at_start_ ? "" : "\n"; }

 private:
  const std::string& tag_;
  bool at_start_ = true;
};

}  // namespace

std::string file_fault(const ResultFile& file) {
  const Opened opened = open_file(file);
  return opened.why.empty() ? content_fault(read_content(opened, file), file) : opened.why;
}

void FileParts::note(const FilePart& part, const std::string& why) {
  ++missing_count_;
  if (missing_.size() < kNamed)
    missing_.push_back("the " + part.stream + " of the job of line " + std::to_string(part.line) + " is in " +
                       printable(part.file.path, 1000) + " on worker " + printable(part.worker, 100) +
                       "; here: " + why);
}

bool FileParts::show(const FilePart& part, const TextSink& sink) {
  const Opened opened = open_file(part.file);
  if (!opened.why.empty()) {
    note(part, opened.why);
    return true;
  }
  bool takes_more = true;
  Tagger tagger(part.tag);
  const FileDigest content = read_content(opened, part.file, [&](std::string_view piece) {
    takes_more = part.tag.empty() ? sink(piece) : sink(tagger.take(piece));
    return takes_more;
  });
  if (!takes_more) return false;
  if (!part.tag.empty() && content.bytes > 0) {
    if (const std::string end = tagger.finish(); !end.empty() && !sink(end)) return false;
  }
  if (const std::string why = content_fault(content, part.file); !why.empty()) note(part, why);
  return true;
}

std::vector<std::string> FileParts::missing() const {
  std::vector<std::string> lines = missing_;
  if (missing_count_ > lines.size())
    lines.push_back("and " + counted(missing_count_ - lines.size(), "more file") + " like these");
  return lines;
}

}  // namespace workpool::dispatcher
