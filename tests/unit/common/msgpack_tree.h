// SPDX-License-Identifier: MIT
// msgpack as a tree that a test can change and write again: only what our frames are made of. Written apart
// from the codec, so that the one is no witness for the other. REQUIRES: what is read is valid.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace workpool {

struct MsgpackNode {
  bool is_array = false;
  std::string scalar;                 // the bytes of anything that is no array
  std::vector<MsgpackNode> elements;  // of an array

  static MsgpackNode raw(std::string_view bytes) { return {false, std::string(bytes), {}}; }
};

class MsgpackTreeReader {
 public:
  explicit MsgpackTreeReader(std::string_view bytes) : bytes_(bytes) {}

  MsgpackNode read() {
    const std::size_t start = at_;
    const auto type = static_cast<unsigned char>(bytes_[at_++]);
    if ((type & 0xf0) == 0x90) return read_array(type & 0x0f);
    if (type == 0xdc) return read_array(length(2));
    if (type == 0xdd) return read_array(length(4));
    if ((type & 0xe0) == 0xa0) {
      at_ += type & 0x1f;
    } else if (type == 0xc4 || type == 0xd9) {
      at_ += length(1);
    } else if (type == 0xc5 || type == 0xda) {
      at_ += length(2);
    } else if (type == 0xc6 || type == 0xdb) {
      at_ += length(4);
    } else if (type >= 0xcc && type <= 0xd3) {
      at_ += std::size_t{1} << (type & 3);
    }
    return MsgpackNode::raw(bytes_.substr(start, at_ - start));
  }

 private:
  std::size_t length(int bytes) {
    std::size_t value = 0;
    for (int i = 0; i < bytes; ++i) value = value << 8 | static_cast<unsigned char>(bytes_[at_++]);
    return value;
  }
  MsgpackNode read_array(std::size_t count) {
    MsgpackNode node{true, {}, {}};
    for (std::size_t i = 0; i < count; ++i) node.elements.push_back(read());
    return node;
  }

  std::string_view bytes_;
  std::size_t at_ = 0;
};

inline MsgpackNode read_tree(std::string_view frame) { return MsgpackTreeReader(frame).read(); }

// Arrays always with a length of 32 bits: longer than needed, and as valid.
inline void write_tree(const MsgpackNode& node, std::string& out) {
  if (!node.is_array) {
    out += node.scalar;
    return;
  }
  out += '\xdd';
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(node.elements.size() >> shift);
  for (const MsgpackNode& element : node.elements) write_tree(element, out);
}

inline std::string written(const MsgpackNode& node) {
  std::string out;
  write_tree(node, out);
  return out;
}

// Visits every node with its depth, the outermost one first (depth 0). In our frames the arrays at even
// depths are records, which may grow, and those at odd depths are lists of them.
inline void visit_tree(MsgpackNode& node, const std::function<void(MsgpackNode&, int)>& visit,
                       int depth = 0) {
  visit(node, depth);
  for (MsgpackNode& element : node.elements) visit_tree(element, visit, depth + 1);
}

}  // namespace workpool
