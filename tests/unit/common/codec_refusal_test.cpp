// SPDX-License-Identifier: MIT
// What is no frame of ours is refused, and never read past its end.
#include <gtest/gtest.h>

#include <string>

#include "common/wire/codec.h"
#include "tests/unit/common/msgpack_tree.h"
#include "tests/unit/common/sample_frames.h"

namespace workpool {
namespace {

using namespace std::string_literals;

// The frame of this name, decoded after `change`.
bool decodes_with(const std::string& name, const std::function<void(MsgpackNode&)>& change) {
  for (const SampleFrame& frame : sample_frames()) {
    if (frame.name != name) continue;
    MsgpackNode tree = read_tree(frame.bytes);
    change(tree);
    return decodes(frame.decoder, written(tree));
  }
  ADD_FAILURE() << "no sample " << name;
  return false;
}

MsgpackNode& field(MsgpackNode& tree, std::initializer_list<std::size_t> path) {
  MsgpackNode* node = &tree;
  for (const std::size_t index : path) node = &node->elements.at(index);
  return *node;
}

// Whether the sample decodes with `scalar` in the place of the node at `path`.
bool takes(const std::string& name, std::initializer_list<std::size_t> path, const std::string& scalar) {
  return decodes_with(name, [&](MsgpackNode& tree) { field(tree, path) = MsgpackNode::raw(scalar); });
}

TEST(CodecRefusal, EveryTruncation) {
  for (const SampleFrame& frame : sample_frames()) {
    ASSERT_TRUE(decodes(frame.decoder, frame.bytes)) << frame.name;
    for (std::size_t size = 0; size < frame.bytes.size(); ++size) {
      EXPECT_FALSE(decodes(frame.decoder, std::string_view(frame.bytes).substr(0, size)))
          << frame.name << " " << size;
    }
  }
}

TEST(CodecRefusal, TrailingBytes) {
  for (const SampleFrame& frame : sample_frames()) {
    EXPECT_FALSE(decodes(frame.decoder, frame.bytes + '\0')) << frame.name;
    EXPECT_FALSE(decodes(frame.decoder, frame.bytes + frame.bytes)) << frame.name;
  }
}

// Every element of every frame in turn becomes something that stands nowhere in the protocol.
TEST(CodecRefusal, WrongTypes) {
  for (const SampleFrame& frame : sample_frames()) {
    MsgpackNode tree = read_tree(frame.bytes);
    std::size_t nodes = 0;
    visit_tree(tree, [&](MsgpackNode&, int) { ++nodes; });
    for (std::size_t wanted = 0; wanted < nodes; ++wanted) {
      for (const std::string& wrong : {"\x80"s, "\xde\0\0"s, "\xc1"s, "\xcb\0\0\0\0\0\0\0\0"s,
                                       "\xca\0\0\0\0"s, "\xd4\0\0"s, "\xc7\0\0"s, "\x92\xc0\xc0"s}) {
        MsgpackNode changed = tree;
        std::size_t at = 0;
        bool hit = false;
        visit_tree(changed, [&](MsgpackNode& node, int) {
          if (hit || at++ != wanted) return;
          node = MsgpackNode::raw(wrong);
          hit = true;
        });
        EXPECT_FALSE(decodes(frame.decoder, written(changed)))
            << frame.name << " node " << wanted << " type "
            << static_cast<int>(static_cast<unsigned char>(wrong[0]));
      }
    }
  }
}

TEST(CodecRefusal, NumbersTextsAndBooleansAreNotMixedUp) {
  EXPECT_TRUE(takes("READY", {4}, "\xc3"));
  EXPECT_FALSE(takes("READY", {4}, "\x01"));
  EXPECT_FALSE(takes("READY", {4}, "\xc0"));
  EXPECT_FALSE(takes("BEAT", {4}, "\xff")) << "negative";
  EXPECT_FALSE(takes("BEAT", {4}, "\xd0\x05")) << "a signed number where none is";
  EXPECT_FALSE(takes("BEAT", {4}, "\xa1x"));
  EXPECT_FALSE(takes("HELD", {4, 0, 0}, "\x01"));
  EXPECT_FALSE(takes("HELLO", {9}, "\x01"));
  EXPECT_FALSE(takes("HELLO", {11, 0}, "\x01"));
}

TEST(CodecRefusal, RecordsThatAreTooShort) {
  for (const SampleFrame& frame : sample_frames()) {
    if (frame.name.starts_with("RESULTS")) continue;  // may end early: codec_test.cpp
    MsgpackNode tree = read_tree(frame.bytes);
    std::size_t records = 0;
    visit_tree(tree,
               [&](MsgpackNode& node, int depth) { records += node.is_array && depth % 2 == 0 ? 1 : 0; });
    for (std::size_t wanted = 0; wanted < records; ++wanted) {
      MsgpackNode changed = tree;
      std::size_t at = 0;
      visit_tree(changed, [&](MsgpackNode& node, int depth) {
        if (!node.is_array || depth % 2 != 0 || at++ != wanted) return;
        node.elements.pop_back();
        if (frame.name == "JOBS" && depth > 0) node.elements.pop_back();  // the kind may be missing
        if (frame.name == "WELCOME_FAILED_ONLY") node.elements.pop_back();
        if (frame.name == "JOBS_LINE" && depth > 0) {
          node.elements.pop_back();  // so may its line, too
          node.elements.pop_back();
        }
        if (frame.name == "BEAT_PROGRESS" && depth == 0) {
          node.elements.pop_back();
          node.elements.pop_back();
        }
        // So may what has ended, and whether all running jobs are asked for.
        if ((frame.name == "BEAT" && depth == 0) || frame.name == "STATUS") node.elements.pop_back();
      });
      EXPECT_FALSE(decodes(frame.decoder, written(changed))) << frame.name << " record " << wanted;
    }
  }
  EXPECT_FALSE(decodes_with("RESULTS", [](MsgpackNode& tree) { field(tree, {4, 0}).elements.pop_back(); }));
}

TEST(CodecRefusal, EnumerationsOutOfRange) {
  EXPECT_TRUE(takes("RETURNED", {4, 0, 4}, "\x01"));
  EXPECT_FALSE(takes("RETURNED", {4, 0, 4}, "\x04")) << "reason";
  EXPECT_TRUE(takes("RESULTS", {4, 3, 7}, "\x04"));
  EXPECT_FALSE(takes("RESULTS", {4, 3, 7}, "\x05")) << "failed, of the kind timeout";
  EXPECT_FALSE(takes("RESULTS", {4, 1, 7}, "\x04")) << "timeout, of another kind";
  EXPECT_FALSE(takes("RESULTS", {4, 3, 7}, "\x02")) << "a signal, with an exit status";
  EXPECT_FALSE(takes("RESULTS", {4, 3, 7}, "\x06")) << "crash is the dispatcher's own kind";
  EXPECT_FALSE(takes("RESULTS", {4, 3, 7}, "\x07")) << "as is invalid";
  EXPECT_TRUE(takes("RESULTS", {4, 3, 7}, "\x08")) << "an output that is not in its place";
  EXPECT_FALSE(takes("RESULTS", {4, 3, 7}, "\x09"));
  EXPECT_FALSE(takes("RESULTS", {4, 3, 6}, "\x03")) << "and quarantined its own status";
  EXPECT_FALSE(takes("RESULTS", {4, 3, 6}, "\0"s)) << "ok, and an error";
  EXPECT_FALSE(takes("RESULTS", {4, 3, 7}, "\0"s)) << "failed, and none";
  EXPECT_FALSE(takes("READY", {0}, "\x11")) << "a type that is none";
  EXPECT_FALSE(takes("READY", {0}, "\xce\0\0\x01\x0e"s)) << "14 in the low byte";
}

TEST(CodecRefusal, NumbersOutOfRange) {
  EXPECT_FALSE(takes("JOBS", {6, 0, 7}, "\0"s)) << "a job without a slot";
  EXPECT_TRUE(takes("JOBS", {6, 0, 7}, "\xce\0\x10\0\0"s));
  EXPECT_FALSE(takes("JOBS", {6, 0, 7}, "\xce\0\x10\0\1"s)) << "wider than any worker";
  EXPECT_FALSE(takes("JOBS", {6, 0, 4}, "\xcf\0\0\0\1\0\0\0\1"s)) << "an attempt beyond 32 bits";
  EXPECT_FALSE(takes("JOBS", {6, 0, 4}, "\0"s)) << "never given";
  EXPECT_FALSE(takes("HELD", {4, 0, 2}, "\0"s)) << "never given";
  EXPECT_FALSE(takes("RESULTS", {4, 3, 3}, "\0"s)) << "never given";
  EXPECT_TRUE(takes("RESULTS", {4, 3, 3}, "\xce\x80\0\0\0"s));
  EXPECT_FALSE(takes("RESULTS", {4, 3, 3}, "\xce\x80\0\0\1"s)) << "too near the end of its type";
  EXPECT_FALSE(takes("RETURNED", {4, 0, 3}, "\0"s)) << "never given";
  EXPECT_TRUE(takes("RESULTS", {4, 3, 11}, "\0"s)) << "the job says which exit status is a failure";
  EXPECT_TRUE(takes("RESULTS", {4, 3, 15}, "\xcf\0\x20\0\0\0\0\0\0"s));
  EXPECT_FALSE(takes("RESULTS", {4, 3, 15}, "\xcf\0\x20\0\0\0\0\0\1"s)) << "what is cut is added to it";
  EXPECT_TRUE(takes("BEAT", {4}, "\xcf\x7f\xff\xff\xff\xff\xff\xff\xff"s));
  EXPECT_FALSE(takes("BEAT", {4}, "\xcf\x80\0\0\0\0\0\0\0"s)) << "a stamp that no clock shows";
  EXPECT_TRUE(takes("BEAT_PROGRESS", {8, 0, 1}, "\xcd\x03\xe8"));
  EXPECT_FALSE(takes("BEAT_PROGRESS", {8, 0, 1}, "\xcd\x03\xe9")) << "more than all of it";
  EXPECT_TRUE(takes("BEAT_PROGRESS", {8, 0, 2}, "\xd9\xc8"s + std::string(200, 't')));
  EXPECT_FALSE(takes("BEAT_PROGRESS", {8, 0, 2}, "\xd9\xc9"s + std::string(201, 't')));
  EXPECT_FALSE(takes("HELD", {4, 0, 3}, "\xcf\x0b\x38\xab\x4d\xa4\0\0\0"s)) << "longer than a hundred years";
  EXPECT_FALSE(takes("HELD", {4, 0, 3}, "\xcf\xff\xff\xff\xff\xff\xff\xff\xff"s));
  EXPECT_FALSE(takes("WELCOME", {8}, "\xce\0\1\0\0"s)) << "a port";
  EXPECT_FALSE(takes("WELCOME", {8}, "\0"s)) << "nothing can be dialled there";
  EXPECT_FALSE(takes("WELCOME", {9}, "\0"s));
  EXPECT_FALSE(takes("WELCOME", {10}, "\0"s)) << "a silence of 0 would end every session at once";
  EXPECT_FALSE(takes("WELCOME", {6}, "\0"s)) << "no session";
  EXPECT_FALSE(takes("HELLO", {10}, "\xce\0\x10\0\1"s)) << "slots";
  EXPECT_FALSE(takes("RESULTS", {4, 3, 11}, "\xd3\0\0\0\1\0\0\0\0"s)) << "an exit status";
  EXPECT_TRUE(takes("RESULTS", {4, 3, 11}, "\xd2\x80\0\0\0"s));
}

TEST(CodecRefusal, SizesOutOfRange) {
  const std::string key_15 = "\xc4\x0f"s + std::string(15, 'k');
  const std::string key_17 = "\xc4\x11"s + std::string(17, 'k');
  EXPECT_FALSE(takes("HELD", {4, 0, 0}, key_15));
  EXPECT_FALSE(takes("HELD", {4, 0, 0}, key_17));
  EXPECT_FALSE(takes("JOBS", {6, 0, 1}, "\xc5\x01\x01"s + std::string(257, 'i'))) << "an id";
  EXPECT_TRUE(takes("JOBS", {6, 0, 1}, "\xc5\x01\x00"s + std::string(256, 'i')));
  Hello hello;
  hello.labels.assign(20, std::string(200, 'l'));
  std::string frame;
  encode(RegistrationRequest{hello}, frame);
  ASSERT_LT(frame.size(), kHelloBytesMost);
  EXPECT_TRUE(decode_request(frame));
  hello.labels.emplace_back(200, 'l');
  encode(RegistrationRequest{hello}, frame);
  ASSERT_GT(frame.size(), kHelloBytesMost);
  EXPECT_FALSE(decode_request(frame)) << "a HELLO that is too long";
}

// They cost their own job, not the frame with the results of others: dispatcher/core/outcome_check.h.
TEST(CodecRefusal, ValuesAndMessagesAreTakenWhateverTheyHold) {
  EXPECT_TRUE(takes("RESULTS", {4, 2, 8}, "\xc4\x03[1]"));
  EXPECT_TRUE(takes("RESULTS", {4, 2, 8}, "\xc4\x03[1\n"));
  EXPECT_TRUE(takes("RESULTS", {4, 2, 8}, "\xc4\x03\"\xff\""));
  EXPECT_TRUE(takes("RESULTS", {4, 3, 9}, "\xc5\x20\x01"s + std::string(8193, 'm')));
}

// Lengths are believed only as far as the frame goes: these ask for up to 2^32 - 1 elements or bytes.
TEST(CodecRefusal, LengthsBeyondTheFrame) {
  for (const std::string& length :
       {"\xdd\x7f\xff\xff\xff"s, "\xdd\xff\xff\xff\xff"s, "\xdc\xff\xff"s, "\x9f"s}) {
    for (const Decoder decoder : {Decoder::kRequest, Decoder::kReply, Decoder::kSink, Decoder::kLane}) {
      EXPECT_FALSE(decodes(decoder, length));
    }
    EXPECT_FALSE(takes("HELD", {4}, length));
    EXPECT_FALSE(takes("DIED", {4, 0, 2}, length));
    EXPECT_FALSE(takes("BEAT", {6}, length));
    EXPECT_FALSE(takes("BEAT", {7}, length));
    EXPECT_FALSE(takes("JOBS", {6}, length));
    EXPECT_FALSE(takes("HELLO", {12}, length));
  }
  for (const std::string& length :
       {"\xc6\x7f\xff\xff\xff"s, "\xdb\xff\xff\xff\xff"s, "\xc5\xff\xff"s, "\xc4\xff"s}) {
    EXPECT_FALSE(takes("JOBS", {6, 0, 5}, length));
    EXPECT_FALSE(takes("RESULTS", {4, 3, 13}, length));
    EXPECT_FALSE(takes("PART", {6}, length));
    EXPECT_FALSE(takes("STATUS_REPLY", {5}, length));
  }
}

// An unknown field may be nested, but not without end: reading it recurses.
TEST(CodecRefusal, DepthBombs) {
  const auto nested = [](std::size_t depth) {
    return [depth](MsgpackNode& tree) {
      tree.elements.push_back(MsgpackNode::raw(std::string(depth, '\x91') + '\x01'));
    };
  };
  for (const char* name : {"HELLO", "WELCOME_FAILED_ONLY", "REFUSED", "STATUS", "STATUS_REPLY", "READY",
                           "STOP", "BEAT_PROGRESS", "JOBS"}) {
    EXPECT_TRUE(decodes_with(name, nested(4))) << name;
    EXPECT_FALSE(decodes_with(name, nested(64))) << name;
    EXPECT_FALSE(decodes_with(name, nested(100'000))) << name;
  }
}

TEST(CodecRefusal, NotShortestNumbersAndLengthsAreTaken) {
  EXPECT_TRUE(takes("READY", {0}, "\xcf\0\0\0\0\0\0\0\x0e"s));
  EXPECT_TRUE(takes("READY", {3}, "\xcc\x01"));
  EXPECT_TRUE(takes("JOBS", {6, 0, 7}, "\xcd\0\x03"s));
  EXPECT_TRUE(takes("HELD", {4, 0, 0}, "\xc6\0\0\0\x10"s + std::string(16, 'k')));
  EXPECT_TRUE(takes("HELLO", {9}, "\xdb\0\0\0\x01n"s));
  EXPECT_TRUE(takes("HELLO", {9}, "\xc4\x01n")) << "bin where a text is";
}

}  // namespace
}  // namespace workpool
